//! Coordinators as operators see them in JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::cluster::judged::{Judged, PassedOver, Score};
use crate::cluster::{AdminState, Coordinator, Standing};
use crate::ids::{CoordinatorId, HostAndPort, PerService, Service};
use crate::serve::background::orders::ordered_to_move;
use crate::serve::fleet::Fleet;
use crate::session::table::Remaining;
use crate::wire::facts::GuidText;

/// How many of the sessions that a drain waits for are shown.
const MOST_WAITED_FOR: usize = 20;

/// One coordinator in the answer.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    cluster: String,
    name: String,
    host: String,
    /// `active` or `drain`, as set by the config file or an operator.
    state: &'static str,
    /// Seconds since an operator took it out.
    ejected_for: Option<f64>,
    /// Only while it is drained.
    drain: Option<ShownDrain>,
    weight: u32,
    /// Only if it is reached with TLS.
    tls: Option<ShownTls>,
    /// Only ports that are in use.
    ports: Vec<Port>,
    /// Seconds since it says that it is shutting down.
    quiescing_for: Option<f64>,
    /// Seconds since it says that its catalog is not ready.
    starting_for: Option<f64>,
    /// Sessions of this router; an opaque connection counts as one.
    sessions: u32,
    /// Opaque connections of this router. A drain waits for them as well.
    opaque_connections: u32,
    /// Running operations of this router.
    running: u32,
    /// Operations of this router that are not closed; a drain waits for them.
    open_operations: u32,
    opens_in_progress: u32,
    /// Sessions that are to move by order of an operator, and have not done so yet.
    ordered_to_move: usize,
    /// Sessions of this router that are left while the coordinator drains or shuts down: those with the most
    /// open operations first, at most [`MOST_WAITED_FOR`].
    waits_for: Vec<WaitsFor>,
    /// Its load from direct clients and other routers; absent while its figures are not known.
    others: Option<Others>,
}

#[derive(Debug, Serialize)]
struct ShownTls {
    /// What is demanded of its certificate: `full`, `name-of-cluster` or `none`.
    verify: &'static str,
    /// The name that its certificate must be for.
    server_name: String,
}

#[derive(Debug, Serialize)]
struct ShownDrain {
    /// Seconds since it began.
    since: f64,
    /// Seconds until its deadline; 0 after that.
    deadline_in: f64,
    /// What happens to the operations that are open at the deadline: `leave` or `cancel`.
    then: &'static str,
}

#[derive(Debug, Serialize)]
struct WaitsFor {
    session: String,
    open_operations: usize,
    /// Why the session does not move; absent if it is about to.
    pinned: Option<String>,
}

#[derive(Debug, Serialize)]
struct Others {
    sessions: u32,
    operations: u32,
    /// Client connections that it serves, including the router's.
    connections: u32,
    /// Client connections that are waiting to be served.
    queued: u32,
    /// Seconds since the poll that read these figures.
    age: f64,
}

#[derive(Debug, Serialize)]
struct Port {
    service: &'static str,
    address: String,
    health: &'static str,
    /// The last failure, while the port is not healthy.
    reason: Option<String>,
    /// Seconds in this state; absent if the state never changed.
    since: Option<f64>,
    /// The part of its weight that counts so far, in percent.
    share: u8,
    /// Why the port gets no new session, or is only picked last; empty if it is picked by its score alone.
    passed_over: Vec<String>,
    /// The score that picks use; absent with round-robin.
    score: Option<ShownScore>,
    /// This router's connections to the port.
    links: Option<Links>,
}

/// In running operations, rounded to thousandths.
#[derive(Debug, Serialize)]
struct ShownScore {
    /// The sum of the terms below divided by the weight, plus the failures.
    total: f64,
    running: f64,
    opens: f64,
    sessions: f64,
    others_running: f64,
    others_sessions: f64,
    /// The weight times the part of it that counts so far.
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
    /// All of them, including those that are being made.
    open: u32,
    /// Those that any client of the same identity may use.
    idle: u32,
    /// The limit; absent if there is none.
    limit: Option<u32>,
    /// Connections of others, as of the last poll.
    others: u32,
    /// Whether connections of others are waiting to be served; nothing new is sent there then.
    crowded: bool,
    /// Calls that are waiting for a connection.
    waiting: usize,
}

/// A look at the coordinators of a cluster.
pub(super) struct Look<'a> {
    fleet: &'a Fleet,
    now: Instant,
    /// How picks judge each coordinator.
    judged: PerService<BTreeMap<CoordinatorId, Judged>>,
}

impl<'a> Look<'a> {
    /// A look at the coordinators as they are `now`.
    pub(super) fn new(fleet: &'a Fleet, now: Instant) -> Self {
        Self { fleet, now, judged: PerService::new(|service| fleet.cluster.judge(service, now)) }
    }

    /// All coordinators, in the order of the config.
    pub(super) fn all(&self) -> Vec<Shown> {
        self.fleet.cluster.coordinators().iter().map(|coordinator| self.show(coordinator)).collect()
    }

    /// One coordinator.
    pub(super) fn show(&self, coordinator: &Arc<Coordinator>) -> Shown {
        let load = coordinator.load();
        Shown {
            cluster: self.fleet.cluster.name.to_string(),
            name: coordinator.name.to_string(),
            host: coordinator.host.clone(),
            state: coordinator.state().as_str(),
            ejected_for: coordinator.ejected_since().map(|since| self.seconds_since(since)),
            drain: self.drain(coordinator),
            weight: coordinator.weight().get(),
            tls: self.tls(coordinator),
            ports: self.ports(coordinator),
            quiescing_for: coordinator.quiescing_since().map(|since| self.seconds_since(since)),
            starting_for: coordinator.starting_since().map(|since| self.seconds_since(since)),
            sessions: load.open_sessions,
            opaque_connections: coordinator.opaque_connections(),
            running: load.running_operations,
            open_operations: coordinator.open_operations(),
            opens_in_progress: load.opens_in_progress,
            ordered_to_move: ordered_to_move(self.fleet, coordinator.id),
            waits_for: self.waits_for(coordinator),
            others: self.others(coordinator),
        }
    }

    fn seconds_since(&self, since: Instant) -> f64 {
        self.now.saturating_duration_since(since).as_secs_f64()
    }

    fn drain(&self, coordinator: &Coordinator) -> Option<ShownDrain> {
        coordinator.drain_under_way().map(|drain| ShownDrain {
            since: self.seconds_since(drain.since),
            deadline_in: drain.deadline.saturating_duration_since(self.now).as_secs_f64(),
            then: self.fleet.draining.then.as_str(),
        })
    }

    fn tls(&self, coordinator: &Coordinator) -> Option<ShownTls> {
        let (plan, name) = self.fleet.tls().zip(coordinator.tls.as_ref())?;
        let verify = plan.cluster.verify().as_str();
        Some(ShownTls { verify, server_name: name.to_str().into_owned() })
    }

    fn others(&self, coordinator: &Coordinator) -> Option<Others> {
        coordinator.figures().map(|(figures, at)| Others {
            sessions: coordinator.others().sessions,
            operations: coordinator.others().operations,
            connections: figures.connections(),
            queued: figures.queued(),
            age: self.seconds_since(at),
        })
    }

    fn waits_for(&self, coordinator: &Coordinator) -> Vec<WaitsFor> {
        if coordinator.state() == AdminState::Active && coordinator.quiescing_since().is_none() {
            return Vec::new();
        }
        let shown = |one: Remaining| WaitsFor {
            session: GuidText(one.session).to_string(),
            open_operations: one.open_operations,
            pinned: one.pinned.map(|pinned| pinned.to_string()),
        };
        self.fleet.waited_for(coordinator.id, self.now, MOST_WAITED_FOR).into_iter().map(shown).collect()
    }

    fn ports(&self, coordinator: &Coordinator) -> Vec<Port> {
        let used = self.judged.iter().filter(|(service, _)| coordinator.is_used(*service));
        used.filter_map(|(service, all)| self.port(coordinator, service, all.get(&coordinator.id)?)).collect()
    }

    fn port(&self, coordinator: &Coordinator, service: Service, judged: &Judged) -> Option<Port> {
        let number = coordinator.ports.of(service)?;
        let health = coordinator.health(service);
        Some(Port {
            service: service.as_str(),
            address: HostAndPort { host: &coordinator.host, port: number }.to_string(),
            health: health.state().as_str(),
            reason: health.reason().map(ToString::to_string),
            since: health.since().map(|since| self.seconds_since(since)),
            share: coordinator.share(service, self.now).percent(),
            passed_over: self.passed_over(coordinator, service, judged),
            score: judged.score.map(ShownScore::from),
            links: self.fleet.room_of(coordinator, service).map(|(room, waiting)| Links {
                open: room.links,
                idle: room.idle,
                limit: room.limit,
                others: room.others,
                crowded: room.crowded,
                waiting,
            }),
        })
    }

    /// Why a port gets no new session, or is only picked last.
    fn passed_over(&self, coordinator: &Coordinator, service: Service, judged: &Judged) -> Vec<String> {
        let standing = (judged.standing != Standing::Ready).then(|| judged.standing.to_string());
        let others = [
            (coordinator.ejected_since().is_some(), "ejected by an operator"),
            (coordinator.state() == AdminState::Drain, "draining"),
            (!self.fleet.has_room(coordinator, service), "no room for another connection"),
            (judged.is_failing, PassedOver::Failing.as_str()),
            (coordinator.share(service, self.now).percent() < 100, "recently returned (slow_start)"),
        ];
        let others = others.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why.to_owned());
        standing.into_iter().chain(others).collect()
    }
}
