//! Watches coordinators: one task for each web port asks for the load, and one for each client port probes
//! whether it works. This file asks, counts and logs; [`crate::cluster`] decides what follows from the
//! answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use tokio::net::TcpStream;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::cluster::health::{Change, Finding, State};
use crate::cluster::room::PortFigures;
use crate::cluster::{Coordinator, Figures, Flavor, News, Report, Standing};
use crate::ids::Service;
use crate::metrics::{PollOutcome, PortState, ProbeOutcome};
use crate::net::dial::Destination;
use crate::net::probe::{Login, Passed, Probe, ProbeError, ProbeSettings};
use crate::net::stream::{Network, Stream};
use crate::net::web::{self, ImpalaMetrics, WebError, WebSettings};
use crate::serve::background::probing::Probing;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::member::Member;
use crate::serve::link::port::Port;
use crate::serve::link::watch::least;
use crate::serve::shared::Shared;

/// How many handshakes go on at once on a SASL port of Impala. Each waits in its thread for LDAP and for a
/// service thread (Impala: `accepted_cnxn_setup_thread_pool_size`, `TAcceptQueueServer.cpp`
/// `SetupConnection`).
const SETUP_THREADS: usize = 2;

/// What is needed to watch coordinators.
#[derive(Debug)]
pub struct Watchers<S: Stream = TcpStream> {
    /// What all connections share.
    pub shared: Arc<Shared<S>>,
    /// The tasks that watch.
    pub tasks: TaskTracker,
    /// Ends all of them when it is cancelled.
    pub end: CancellationToken,
}

impl<S: Stream> Watchers<S> {
    /// Starts to watch every coordinator of a fleet. Web ports are polled at once. The port that most clients
    /// use is first probed after one interval and believed to work until then; other ports are probed once a
    /// client has wanted them.
    pub fn start(&self, fleet: &Arc<Fleet<S>>) {
        fleet.members().iter().for_each(|member| self.watch(fleet, member));
    }

    /// Starts to watch one coordinator, until the watchers end or the coordinator is removed.
    pub(super) fn watch(&self, fleet: &Arc<Fleet<S>>, member: &Arc<Member<S>>) {
        let coordinator = &member.coordinator;
        if let Some(main) = coordinator.ports.main() {
            coordinator.note_used(main);
        }
        let end = self.end.child_token();
        member.end_with(end.clone());
        let watch = || Watch::new(self, fleet, member, &end);
        for service in Service::ALL {
            if let Some(destination) = member.ports.get(service).destination() {
                self.tasks.spawn(member.watchers.track_future(watch().probe_port(service, destination)));
            }
        }
        if let Some(web) = member.web().filter(|_| fleet.cluster.flavor == Flavor::Impala) {
            self.tasks.spawn(member.watchers.track_future(watch().poll_web_port(web)));
        } else {
            tracing::info!(
                cluster = %fleet.cluster.name, coordinator = %coordinator.name,
                "no web port to poll: load is judged by this router's own counts"
            );
        }
    }
}

/// One coordinator, and what is needed to watch it.
struct Watch<S: Stream> {
    fleet: Arc<Fleet<S>>,
    member: Arc<Member<S>>,
    coordinator: Arc<Coordinator>,
    web: WebSettings<S::Network>,
    end: CancellationToken,
}

impl<S: Stream> Watch<S> {
    fn new(
        watchers: &Watchers<S>,
        fleet: &Arc<Fleet<S>>,
        member: &Arc<Member<S>>,
        end: &CancellationToken,
    ) -> Self {
        let network = watchers.shared.network.clone();
        Self {
            fleet: Arc::clone(fleet),
            member: Arc::clone(member),
            coordinator: Arc::clone(&member.coordinator),
            web: WebSettings { network, allowed: fleet.watching.probe_timeout },
            end: end.clone(),
        }
    }

    /// Waits for the next turn; false when the watching ends. The turn comes earlier if `wanted` resolves:
    /// then it comes the returned time after the last one began.
    async fn turn<W: Future<Output = Duration>>(
        &self,
        begun: Instant,
        interval: Duration,
        wanted: impl Fn() -> W,
    ) -> bool {
        let mut due = begun + self.fleet.chance.draw(|rng| jittered(interval, rng));
        loop {
            tokio::select! {
                biased;
                () = self.end.cancelled() => return false,
                () = sleep_until(due.into()) => return true,
                pause = wanted() => due = due.min(begun + pause),
            }
        }
    }

    async fn poll_web_port(self, destination: Destination) {
        loop {
            let begun = clock::now();
            let before = self.coordinator.own();
            let links = self.member.own_links();
            let report = tokio::select! {
                biased;
                () = self.end.cancelled() => return,
                report = report(&destination, &self.web) => report,
            };
            self.fleet.note_whereabouts(&self.coordinator);
            let own = before.at_most(self.coordinator.own());
            let told_before = self.coordinator.told_start();
            self.count_poll(&report);
            match report {
                Ok(report) => {
                    if let Some(figures) = &report.figures {
                        self.member.note_ports(figures, &links);
                    }
                    for news in self.coordinator.note_report(report, own, begun, clock::now()) {
                        if news.is_return() {
                            self.fleet.lookups.forget_unknown();
                        }
                        if news == News::NewIncarnation {
                            self.fleet.note_restarted(&self.coordinator, told_before);
                        }
                        self.say(news, None);
                    }
                }
                Err(error) => {
                    if let Some(main) = self.coordinator.ports.main().filter(|_| !error.is_answer()) {
                        self.fleet.doubt(&self.coordinator, main);
                    }
                    if let Some(news) = self.coordinator.note_no_report() {
                        self.member.forget_ports();
                        self.say(news, Some(&error));
                    }
                }
            }
            self.member.polled.send_replace(Some(begun));
            let interval = self.fleet.watching.load_interval;
            let wanted = async || {
                self.member.poll.notified().await;
                least(interval)
            };
            if !self.turn(begun, interval, wanted).await {
                return;
            }
        }
    }

    fn count_poll(&self, report: &Result<Report, WebError>) {
        let outcome = match report {
            Ok(report) if report.figures.is_some() => PollOutcome::Read,
            Ok(_) => PollOutcome::Unusable,
            Err(error) if error.is_answer() => PollOutcome::Unusable,
            Err(_) => PollOutcome::Unanswered,
        };
        self.member.counters.load_polls.count(outcome);
    }

    fn say(&self, news: News, error: Option<&WebError>) {
        let (cluster, coordinator) = (&self.fleet.cluster.name, &self.coordinator.name);
        match news {
            News::Quiescing => tracing::info!(%cluster, %coordinator, "coordinator is shutting down"),
            News::NotQuiescing => tracing::info!(%cluster, %coordinator, "coordinator shuts down no more"),
            News::NewIncarnation => tracing::info!(%cluster, %coordinator, "coordinator was restarted"),
            News::Starting => tracing::info!(%cluster, %coordinator, "coordinator's catalog is not ready"),
            News::Started => tracing::info!(%cluster, %coordinator, "coordinator's catalog is ready"),
            News::LoadKnown => tracing::info!(%cluster, %coordinator, "coordinator's figures are known"),
            News::OwnCountsOnly => {
                let cause = error.map(ToString::to_string).unwrap_or_default();
                tracing::warn!(
                    %cluster, %coordinator, cause,
                    "coordinator's figures are not known: load is judged by this router's own counts"
                );
            }
        }
    }

    async fn probe_port(self, service: Service, destination: Destination) {
        let settings = ProbeSettings { network: self.web.network.clone(), allowed: self.web.allowed };
        let probe = Probe::new(destination, settings);
        let healthz = self.member.web().filter(|_| self.fleet.cluster.flavor == Flavor::Impala);
        let port = self.member.ports.get(service);
        let mut probe = Probing::new(probe, port);
        let (mut begun, interval) = (clock::now(), self.fleet.watching.probe_interval);
        while self.turn(begun, interval, || port.watch.wanted(interval)).await {
            begun = clock::now();
            if self.coordinator.is_used(service) {
                let ended = tokio::select! {
                    biased;
                    () = self.end.cancelled() => true,
                    () = self.probe_once(port, &mut probe, healthz.as_ref()) => false,
                };
                if ended {
                    break;
                }
            }
        }
        probe.close().await;
    }

    async fn probe_once(&self, port: &Port<S>, probe: &mut Probing<S>, healthz: Option<&Destination>) {
        let service = port.service;
        // A coordinator that shuts down opens no session; asking it would only fill its log.
        let without_login = service == Service::Hs2
            && self.coordinator.opens_without_login()
            && self.coordinator.quiescing_since().is_none();
        let login = if without_login { Login::None } else { Login::Unknown };
        let asked = async {
            match healthz {
                Some(destination) => web::healthz(destination, &self.web).await,
                None => Ok(()),
            }
        };
        let (passed, answer) = tokio::join!(probe.run(login, port.watch.take_doubt()), asked);
        self.fleet.note_whereabouts(&self.coordinator);
        let web_answers = Some(probe.web_answers).filter(|_| healthz.is_some());
        // Over HTTP, credentials are checked by the thread that serves the link.
        let may_be_busy = self.fleet.cluster.flavor == Flavor::Impala
            && service != Service::Hs2Http
            && may_be_busy(passed.as_ref(), port.watch.logins(), &answer, web_answers);
        let passed = passed.filter(|_| !may_be_busy);
        if matches!(passed, Some(Ok(Passed::ShuttingDown))) {
            self.fleet.note_shutting_down(&self.coordinator);
        }
        let finding = finding(passed.as_ref(), &answer, probe.web_answers);
        probe.web_answers |= matches!(answer, Ok(()) | Err(WebError::Status(_))) && healthz.is_some();
        self.member.counters.probes.count(match finding {
            Some(Finding::Passed) => ProbeOutcome::Passed,
            Some(Finding::Failed(_) | Finding::Silent(_)) => ProbeOutcome::Failed,
            None => ProbeOutcome::NotTried,
        });
        let (now, silent) = (clock::now(), matches!(finding, Some(Finding::Silent(_))));
        if let Some(change) = finding.and_then(|finding| self.coordinator.note_probe(service, finding, now)) {
            if change.to == State::Healthy {
                self.fleet.lookups.forget_unknown();
            }
            self.say_change(service, &change);
        }
        match passed {
            // This comes after the ejection, so that calls that then go elsewhere do not come here again.
            _ if silent && self.coordinator.is_silent(service) => port.watch.tell_silent(),
            Some(Err(ProbeError::Silent { speaks, .. })) => port.watch.doubt(speaks),
            _ => {}
        }
    }

    fn say_change(&self, service: Service, change: &Change) {
        let (cluster, coordinator) = (&self.fleet.cluster.name, &self.coordinator.name);
        let reason = change.reason.as_deref().unwrap_or_default();
        match (change.from, change.to) {
            (_, State::Ejected) => {
                tracing::warn!(%cluster, %coordinator, port = %service, reason, "coordinator ejected");
            }
            (State::Probation | State::Ejected, State::Healthy) => {
                tracing::info!(%cluster, %coordinator, port = %service, "coordinator restored");
            }
            (_, state) => {
                tracing::debug!(%cluster, %coordinator, port = %service, %state, reason, "coordinator's health");
            }
        }
    }
}

/// Combines the results of a probe and of the web port. A web port that cannot be reached or wants a login
/// says nothing; one that answered before and is silent now counts as an error. If there was no room for the
/// probe, a healthy web port alone says nothing.
fn finding(
    passed: Option<&Result<Passed, ProbeError>>,
    healthy: &Result<(), WebError>,
    web_answers: bool,
) -> Option<Finding> {
    let failed = |text: String| Some(Finding::Failed(text.into()));
    match (passed, healthy) {
        (Some(Err(error)), _) if error.is_silence() => Some(Finding::Silent(error.to_string().into())),
        (Some(Err(error)), _) if error.is_remote() => failed(error.to_string()),
        (Some(Err(_)), _) => None,
        (_, Err(WebError::Status(status))) if status.is_server_error() => {
            failed(format!("/healthz: {status}"))
        }
        (_, Err(WebError::TimedOut(allowed))) if web_answers => {
            failed(format!("/healthz: no answer within {allowed:?}"))
        }
        (passed, _) => passed.map(|_| Finding::Passed),
    }
}

/// Returns whether a silent port of Impala may only have all of its [`SETUP_THREADS`] busy. That may be so if
/// the web port of the same process answers, or if the web port never answered and at least so many logins
/// are under way. `web_answers` says whether it answered before; none if there is no web port.
fn may_be_busy(
    passed: Option<&Result<Passed, ProbeError>>,
    logins: usize,
    healthy: &Result<(), WebError>,
    web_answers: Option<bool>,
) -> bool {
    if !matches!(passed, Some(Err(ProbeError::Silent { .. }))) {
        return false;
    }
    match (healthy, web_answers) {
        (Ok(()) | Err(WebError::Status(_)), Some(_)) => true,
        (_, Some(true)) => false,
        (_, Some(false) | None) => logins >= SETUP_THREADS,
    }
}

/// Returns the interval, made up to a tenth shorter or longer, so that many routers or coordinators do not
/// stay in step.
fn jittered(interval: Duration, rng: &mut impl Rng) -> Duration {
    interval / 10 * (9_000 + rng.next_u32() % 2_001) / 1_000
}

/// Reads what a web port tells, as far as it tells anything.
async fn report<N: Network>(
    destination: &Destination,
    settings: &WebSettings<N>,
) -> Result<Report, WebError> {
    let (metrics, quiescing) =
        tokio::join!(web::impala_metrics(destination, settings), web::is_quiescing(destination, settings));
    let (metrics, quiescing) = match (metrics, quiescing) {
        (Err(error), Err(_)) => return Err(error),
        (metrics, quiescing) => (metrics.unwrap_or_default(), quiescing.unwrap_or_default()),
    };
    let figures = figures(&metrics);
    let ImpalaMetrics { catalog_ready, process_start_time, .. } = metrics;
    Ok(Report { figures, catalog_ready, process_start_time, quiescing })
}

fn figures(metrics: &ImpalaMetrics) -> Option<Figures> {
    Some(Figures {
        sessions: metrics.sessions?,
        registered: metrics.registered?,
        ports: metrics.ports.map(|port| PortFigures { in_use: port.in_use, queued: port.setup_queue }),
    })
}

/// Returns the state that is shown for a port.
pub(crate) fn port_state(coordinator: &Coordinator, service: Service, now: Instant) -> PortState {
    if coordinator.ejected_since().is_some() {
        return PortState::Ejected;
    }
    match (coordinator.standing(service, now), coordinator.health(service).state()) {
        (Standing::Quiescing, _) => PortState::Quiescing,
        (Standing::Starting, _) => PortState::Starting,
        (_, State::Healthy) => PortState::Healthy,
        (_, State::Suspect) => PortState::Suspect,
        (_, State::Ejected) => PortState::Ejected,
        (_, State::Probation) => PortState::Probation,
    }
}

#[cfg(test)]
mod tests;
