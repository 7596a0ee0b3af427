//! Coordinators for operators: what is known of each, and the two verbs that change what people want of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use super::{View, guard};
use crate::clock;
use crate::cluster::judged::{Judged, PassedOver, Score};
use crate::cluster::{AdminState, Coordinator, Standing};
use crate::control::config::{TimeSpan, UnitError};
use crate::ids::{CoordinatorId, HostAndPort, PerService, Service};
use crate::serve::fleet::shared::Fleet;
use crate::session::table::Waiting;
use crate::wire::facts::GuidText;

/// As many of the sessions that a drain waits for are shown.
const MOST_WAITED_FOR: usize = 20;

/// One coordinator, as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    cluster: String,
    name: String,
    host: String,
    /// `active` or `drain`: what people want of it.
    state: &'static str,
    /// Of one that is drained.
    drain: Option<ShownDrain>,
    weight: u32,
    /// Of those ports that are in use.
    ports: Vec<Port>,
    /// Seconds since it says that it is shutting down.
    quiescing_for: Option<f64>,
    /// Seconds since it says that its catalog is not ready.
    starting_for: Option<f64>,
    /// Sessions of this router; a connection that is passed on unread counts as one.
    sessions: u32,
    /// Connections of this router that are passed on unread. A drain waits for them, too.
    opaque_connections: u32,
    /// Running operations of this router.
    running: u32,
    /// Operations of this router that are not closed: what a drain waits for.
    open_operations: u32,
    opens_in_progress: u32,
    /// Sessions of this router that are still there while it is drained or shuts down: those with the most open operations
    /// first, and no more than [`MOST_WAITED_FOR`].
    waits_for: Vec<WaitsFor>,
    /// What it has to do for direct clients and other routers; absent while its figures are not known.
    others: Option<Others>,
}

#[derive(Debug, Serialize)]
struct ShownDrain {
    /// Seconds since it began.
    since: f64,
    /// Seconds until its deadline; 0 once that has come.
    deadline_in: f64,
    /// What becomes of the operations that are open then: `leave` or `cancel`.
    then: &'static str,
}

#[derive(Debug, Serialize)]
struct WaitsFor {
    session: String,
    open_operations: usize,
    /// Why it does not move; absent if it is about to.
    pinned: Option<String>,
}

#[derive(Debug, Serialize)]
struct Others {
    sessions: u32,
    operations: u32,
    /// Client connections that it serves, ours included.
    connections: u32,
    /// Client connections that wait to be served.
    queued: u32,
    /// Seconds since it was asked.
    age: f64,
}

#[derive(Debug, Serialize)]
struct Port {
    service: &'static str,
    address: String,
    health: &'static str,
    /// The last failure, while it is not healthy.
    reason: Option<String>,
    /// Seconds in this state; absent if it never was another.
    since: Option<f64>,
    /// How much of its weight it takes, in hundredths.
    share: u8,
    /// Why it gets no new session, or is only picked late; empty if it gets them by its score.
    passed_over: Vec<String>,
    /// What picks go by; absent under round-robin.
    score: Option<ShownScore>,
    /// Connections of this router.
    links: Option<Links>,
}

/// In running operations, rounded to thousandths.
#[derive(Debug, Serialize)]
struct ShownScore {
    /// The sum of what follows, divided by the weight, and the failures.
    total: f64,
    running: f64,
    opens: f64,
    sessions: f64,
    others_running: f64,
    others_sessions: f64,
    /// With as much of it as it takes.
    weight: f64,
    failures: f64,
}

impl From<Score> for ShownScore {
    fn from(score: Score) -> Self {
        let Score { total, terms, weight, failures } = score;
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        Self {
            total: rounded(total),
            running: rounded(terms.running),
            opens: rounded(terms.opens),
            sessions: rounded(terms.sessions),
            others_running: rounded(terms.others_running),
            others_sessions: rounded(terms.others_sessions),
            weight: rounded(weight),
            failures: rounded(failures),
        }
    }
}

#[derive(Debug, Serialize)]
struct Links {
    /// Those that are being made among them.
    open: u32,
    /// Those that wait for a call of any client of their identity.
    idle: u32,
    /// How many there may be; absent: any number.
    limit: Option<u32>,
    /// Connections of others, as of the last poll.
    others: u32,
    /// Whether others wait to be served: nothing new is sent there.
    crowded: bool,
    /// Calls that wait for one.
    waiting: usize,
}

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    // A cluster and a name; or a name alone, which then stands where the cluster does.
    Router::new()
        .route("/api/v1/coordinators", get(list))
        .route("/api/v1/coordinators/{cluster}/drain", post(drain))
        .route("/api/v1/coordinators/{cluster}/resume", post(resume))
        .route("/api/v1/coordinators/{cluster}/{name}/drain", post(drain))
        .route("/api/v1/coordinators/{cluster}/{name}/resume", post(resume))
        .route_layer(from_fn(guard::own_host))
}

async fn list(State(view): State<View>) -> Response {
    let now = clock::now();
    let of = |fleet: &Arc<Fleet>| {
        let judged = judge(fleet, now);
        fleet.cluster.coordinators().iter().map(|one| show(fleet, one, &judged, now)).collect::<Vec<_>>()
    };
    let shown: Vec<Shown> = view.fleets.iter().flat_map(of).collect();
    json(&shown)
}

async fn drain(view: State<View>, name: Path<Vec<String>>, query: RawQuery, head: HeaderMap) -> Response {
    act(&view, &name, &head, || Ok(Verb::Drain { deadline: deadline_in(query.0.as_deref())? }))
}

async fn resume(view: State<View>, name: Path<Vec<String>>, query: RawQuery, head: HeaderMap) -> Response {
    act(&view, &name, &head, || match query.0.as_deref() {
        None | Some("") => Ok(Verb::Resume),
        Some(_) => Err(BadQuery::NoParameters),
    })
}

/// What is to be done with a coordinator.
enum Verb {
    Drain {
        /// From now on; none: that of the drain under way, else the cluster's.
        deadline: Option<Duration>,
    },
    Resume,
}

/// Why the parameters of a request mean nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BadQuery {
    #[error("there is one parameter, deadline, to be given once: ?deadline=30s, 10m or 1h")]
    NotDeadline,
    #[error("deadline {0}; write a duration such as 30s, 10m or 1h")]
    Deadline(UnitError),
    #[error("there are no parameters to this")]
    NoParameters,
}

/// The deadline that a query asks for, if it does.
fn deadline_in(query: Option<&str>) -> Result<Option<Duration>, BadQuery> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let value = query.strip_prefix("deadline=").filter(|value| !value.contains('&'));
    // Not guessed at: better no drain than one with another deadline than was meant.
    let span: TimeSpan = value.ok_or(BadQuery::NotDeadline)?.parse().map_err(BadQuery::Deadline)?;
    Ok(Some(span.0))
}

fn act(
    view: &View,
    Path(name): &Path<Vec<String>>,
    head: &HeaderMap,
    verb: impl FnOnce() -> Result<Verb, BadQuery>,
) -> Response {
    if let Err(refusal) = guard::check(head) {
        return refusal.into_response();
    }
    let verb = match verb() {
        Ok(verb) => verb,
        Err(bad) => return (StatusCode::BAD_REQUEST, format!("{bad}\n")).into_response(),
    };
    let found = find(&view.fleets, name);
    let (fleet, coordinator) = match found.as_slice() {
        [(fleet, coordinator)] => (*fleet, coordinator),
        [] => return (StatusCode::NOT_FOUND, "there is no such coordinator\n").into_response(),
        _ => {
            let text = "several clusters have a coordinator of that name: write …/{cluster}/{name}/…\n";
            return (StatusCode::CONFLICT, text).into_response();
        }
    };
    match verb {
        Verb::Drain { deadline } => fleet.drain(coordinator, deadline),
        Verb::Resume => coordinator.resume(),
    }
    let (state, drain) = (coordinator.state(), coordinator.drain_under_way());
    let left = drain.map(|drain| drain.deadline.saturating_duration_since(clock::now()));
    // Rounded: nobody asks for less than seconds.
    let deadline = left.map(|left| Duration::from_secs((left + Duration::from_millis(500)).as_secs()));
    tracing::info!(
        cluster = %fleet.cluster.name, coordinator = %coordinator.name, %state,
        deadline = deadline.map(tracing::field::debug), "state set by an operator"
    );
    let now = clock::now();
    json(&show(fleet, coordinator, &judge(fleet, now), now))
}

/// The coordinators of a name, in one cluster or in all.
fn find<'a>(fleets: &'a [Arc<Fleet>], name: &[String]) -> Vec<(&'a Fleet, Arc<Coordinator>)> {
    let (cluster, name) = match name {
        [name] => (None, name),
        [cluster, name] => (Some(cluster), name),
        _ => return Vec::new(),
    };
    let asked = |fleet: &&Arc<Fleet>| cluster.is_none_or(|cluster| *fleet.cluster.name == **cluster);
    let of_name = |fleet: &'a Arc<Fleet>| Some((&**fleet, fleet.cluster.named(name)?));
    fleets.iter().filter(asked).filter_map(of_name).collect()
}

/// What is thought of each coordinator, for each service.
type AllJudged = PerService<BTreeMap<CoordinatorId, Judged>>;

fn judge(fleet: &Fleet, now: Instant) -> AllJudged {
    PerService::new(|service| fleet.cluster.judge(service, now))
}

fn show(fleet: &Fleet, coordinator: &Arc<Coordinator>, judged: &AllJudged, now: Instant) -> Shown {
    let load = coordinator.load();
    let seconds = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
    let used = judged.iter().filter(|(service, _)| coordinator.is_used(*service));
    let ports = used.filter_map(|(service, all)| {
        let judged = all.get(&coordinator.id)?;
        port(fleet, coordinator, (service, judged), now)
    });
    let others = coordinator.figures().map(|(figures, at)| Others {
        sessions: coordinator.others().sessions,
        operations: coordinator.others().operations,
        connections: figures.connections(),
        queued: figures.queued(),
        age: seconds(at),
    });
    Shown {
        cluster: fleet.cluster.name.to_string(),
        name: coordinator.name.to_string(),
        host: coordinator.host.clone(),
        state: coordinator.state().as_str(),
        drain: coordinator.drain_under_way().map(|drain| ShownDrain {
            since: seconds(drain.since),
            deadline_in: drain.deadline.saturating_duration_since(now).as_secs_f64(),
            then: fleet.draining.then.as_str(),
        }),
        weight: coordinator.weight.get(),
        ports: ports.collect(),
        quiescing_for: coordinator.quiescing_since().map(seconds),
        starting_for: coordinator.starting_since().map(seconds),
        sessions: load.open_sessions,
        opaque_connections: coordinator.opaque_connections(),
        running: load.running_operations,
        open_operations: coordinator.open_operations(),
        opens_in_progress: load.opens_in_progress,
        waits_for: waits_for(fleet, coordinator, now),
        others,
    }
}

fn waits_for(fleet: &Fleet, coordinator: &Coordinator, now: Instant) -> Vec<WaitsFor> {
    if coordinator.state() == AdminState::Active && coordinator.quiescing_since().is_none() {
        return Vec::new();
    }
    let shown = |one: Waiting| WaitsFor {
        session: GuidText(one.session).to_string(),
        open_operations: one.open_operations,
        pinned: one.pinned.map(|pinned| pinned.to_string()),
    };
    fleet.waited_for(coordinator.id, now, MOST_WAITED_FOR).into_iter().map(shown).collect()
}

/// Why a port gets no new session, or is only picked late.
fn passed_over(
    fleet: &Fleet,
    coordinator: &Coordinator,
    (service, judged): (Service, &Judged),
    share: u8,
) -> Vec<String> {
    let standing = (judged.standing != Standing::Ready).then(|| judged.standing.to_string());
    let others = [
        (coordinator.state() == AdminState::Drain, "draining"),
        (!fleet.has_room(coordinator, service), "no room for another connection"),
        (judged.is_failing, PassedOver::Failing.as_str()),
        (share < 100, "back for a short time (slow_start)"),
    ];
    let others = others.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why.to_owned());
    standing.into_iter().chain(others).collect()
}

fn port(
    fleet: &Fleet,
    coordinator: &Coordinator,
    (service, judged): (Service, &Judged),
    now: Instant,
) -> Option<Port> {
    let number = coordinator.ports.of(service)?;
    let health = coordinator.health(service);
    let share = coordinator.share(service, now).percent();
    Some(Port {
        service: service.as_str(),
        address: HostAndPort { host: &coordinator.host, port: number }.to_string(),
        health: health.state().as_str(),
        reason: health.reason().map(ToString::to_string),
        since: health.since().map(|since| now.saturating_duration_since(since).as_secs_f64()),
        share,
        passed_over: passed_over(fleet, coordinator, (service, judged), share),
        score: judged.score.map(ShownScore::from),
        links: fleet.room_of(coordinator, service).map(|(room, waiting)| Links {
            open: room.links,
            idle: room.idle,
            limit: room.limit,
            others: room.others,
            crowded: room.crowded,
            waiting,
        }),
    })
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_written_as_in_the_config() {
        assert_eq!(deadline_in(None), Ok(None));
        assert_eq!(deadline_in(Some("")), Ok(None));
        for (query, seconds) in [("deadline=0s", 0), ("deadline=90s", 90), ("deadline=1h", 3600)] {
            assert_eq!(deadline_in(Some(query)), Ok(Some(Duration::from_secs(seconds))), "{query}");
        }
    }

    #[test]
    fn what_is_no_deadline_is_not_guessed_at() {
        for query in ["deadline", "deadlin=1s", "x=1", "deadline=1s&deadline=2s", "deadline=1s&x=1"] {
            assert_eq!(deadline_in(Some(query)), Err(BadQuery::NotDeadline), "{query}");
        }
        for query in ["deadline=", "deadline=30", "deadline=-1s", "deadline=1.5s", "deadline=1%73"] {
            let bad = deadline_in(Some(query)).unwrap_err().to_string();
            assert!(
                bad.contains("is not a whole number and a unit") && bad.contains("30s, 10m or 1h"),
                "{bad}"
            );
        }
        assert!(deadline_in(Some("deadline=9999h")).unwrap_err().to_string().contains("is more than a year"));
    }
}
