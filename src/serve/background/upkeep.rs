//! Periodic upkeep: forgets and closes sessions that are over, moves sessions off coordinators, sets the
//! gauges.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::cluster::AdminState;
use crate::cluster::judged::{News, Watch};
use crate::cluster::rebalance::Rebalance;
use crate::ids::Service;
use crate::metrics::{AcceptError, DrainWait, Metrics};
use crate::net::listen::AcceptCounts;
use crate::net::stream::Stream;
use crate::serve::background::reaping;
use crate::serve::background::watching::port_state;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::member::Member;
use crate::serve::shared::Shared;

/// How often gauges are set.
const GAUGE_INTERVAL: Duration = Duration::from_secs(1);
/// Sessions that are over are looked for once in this many gauge intervals, because that looks at every
/// session.
const FORGET_EVERY: u32 = 15;

/// How often to look for coordinators that sessions must leave.
const LEAVE_INTERVAL: Duration = Duration::from_millis(250);
/// While there is such a coordinator, connections look again once in this many intervals, for sessions that
/// something kept there.
const LEAVE_AGAIN_EVERY: u32 = 4;

/// Moves sessions off the coordinators that they must leave, until the router ends.
pub async fn move_sessions<S: Stream>(shared: Arc<Shared<S>>, fleet: Arc<Fleet<S>>, end: CancellationToken) {
    let mut ticks = interval(LEAVE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut tick, mut rebalance): (u32, Rebalance) = Default::default();
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tick = tick.wrapping_add(1);
        let still_has_some =
            |one: &Arc<Member<S>>| one.sessions_must_leave() && one.coordinator.load().open_sessions > 0;
        let news = fleet.look_where_sessions_must_leave();
        let mut shifts = Vec::new();
        if fleet.moves.settings.rebalance && fleet.moves.are_on() {
            shifts = rebalance.look(&fleet.cluster, LEAVE_INTERVAL, clock::now());
        }
        let goes_back = !shifts.is_empty();
        if goes_back {
            fleet.moves.shift(shifts);
        }
        let is_wanted = || !fleet.moves.wishes.is_empty() || fleet.members().iter().any(still_has_some);
        let again = tick.is_multiple_of(LEAVE_AGAIN_EVERY) && is_wanted();
        if news || again || goes_back {
            shared.have_connections_look();
        }
    }
}

/// Does the periodic upkeep until the router ends.
pub async fn run<S: Stream>(
    shared: Arc<Shared<S>>,
    fleets: Vec<Arc<Fleet<S>>>,
    accepts: Arc<AcceptCounts>,
    end: CancellationToken,
) {
    let mut ticks = interval(GAUGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick: u32 = 0;
    let mut watches: Vec<Watch> = fleets.iter().map(|_| Watch::default()).collect();
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tick = tick.wrapping_add(1);
        for (fleet, watch) in fleets.iter().zip(&mut watches) {
            if tick.is_multiple_of(FORGET_EVERY) {
                let forgotten = fleet.table.forget_detached(clock::now());
                if forgotten > 0 {
                    tracing::debug!(cluster = %fleet.cluster.name, forgotten, "sessions without connections forgotten");
                }
                reaping::close_over(&shared, fleet);
            }
            let now = clock::now();
            watch.look(&fleet.cluster, now).iter().for_each(|news| log_passed_over(&shared, fleet, news));
            for member in fleet.members().iter() {
                member.ports.values().for_each(|port| port.look_after(now));
            }
            fleet.note_breaks();
            fleet.pause.end_if_due(now);
            set_gauges(fleet);
        }
        take_accept_counts(&accepts, &shared.metrics);
        let sessions: usize = fleets.iter().map(|fleet| fleet.table.sessions()).sum();
        shared.metrics.session_table_entries.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }
}

/// Logs why a coordinator that passes its probes gets no sessions, and when it gets some again.
fn log_passed_over<S: Stream>(shared: &Shared<S>, fleet: &Fleet<S>, news: &News) {
    let (cluster, coordinator, port) = (&fleet.cluster.name, &news.coordinator.name, news.service);
    match news.why {
        Some(cause) => {
            if let Some(left_out) = shared.admit_line("coordinator passed over", cause.as_str()) {
                tracing::info!(%cluster, %coordinator, %port, %cause, left_out, "coordinator passed over");
            }
        }
        None => {
            if let Some(left_out) = shared.admit_line("coordinator passed over no more", "") {
                tracing::info!(%cluster, %coordinator, %port, left_out, "coordinator passed over no more");
            }
        }
    }
}

fn set_gauges<S: Stream>(fleet: &Fleet<S>) {
    for member in fleet.members().iter() {
        let (coordinator, counters) = (&member.coordinator, &member.counters);
        let (load, opaque) = (coordinator.load(), coordinator.opaque_connections());
        counters.drain.set(coordinator.state() == AdminState::Drain, |what| match what {
            DrainWait::Sessions => load.open_sessions.saturating_sub(opaque),
            DrainWait::Operations => coordinator.open_operations(),
            DrainWait::Opaque => opaque,
        });
        counters.sessions_open.set(load.open_sessions.into());
        counters.operations_running.set(load.running_operations.into());
        for service in Service::ALL.into_iter().filter(|service| coordinator.is_used(*service)) {
            counters.states.set(service, port_state(coordinator, service, clock::now()));
            let room = member.ports.get(service).view();
            counters.links.set(service, room.links, room.idle);
        }
    }
}

/// Adds what the accept loops have counted since the last time. They keep counts of their own, because they
/// stand below the metrics.
fn take_accept_counts(accepts: &AcceptCounts, metrics: &Metrics) {
    let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
    metrics.accept_errors.add(AcceptError::Connection, take(&accepts.failed));
    metrics.accept_errors.add(AcceptError::Exhausted, take(&accepts.exhausted));
    metrics.accept_waits.inc_by(take(&accepts.at_limit));
}
