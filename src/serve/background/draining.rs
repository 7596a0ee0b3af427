//! Carries out the deadline of a coordinator's drain: the operations that are still open there are left alone
//! or cancelled. Sessions whose operations were cancelled can leave; their clients learn of it from the
//! coordinator itself, when they fetch. On connections that are passed on the router can cancel nothing; those
//! are left alone or closed, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::cluster::{AdminState, Coordinator, DrainThen};
use crate::metrics::DrainedOutcome;
use crate::net::stream::Stream;
use crate::serve::background::deputy::{self, Deputy};
use crate::serve::fleet::Fleet;
use crate::serve::fleet::member::Member;
use crate::serve::shared::Shared;
use crate::session::table::{OpenOf, OperationEnd};

/// How often to look for drains whose deadline has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// For how many identities operations are cancelled at the same time, each on one link and one after the
/// other.
const AT_ONCE: usize = 16;

/// Ends drains at their deadlines, until the router ends.
pub async fn end_drains<S: Stream>(shared: Arc<Shared<S>>, fleet: Arc<Fleet<S>>, end: CancellationToken) {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Dropping this aborts what is still under way.
    let mut ends = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        while ends.try_join_next().is_some() {}
        for member in fleet.members().iter() {
            let coordinator = &member.coordinator;
            if !coordinator.drain_ends(clock::now()) {
                continue;
            }
            match fleet.draining.then {
                DrainThen::Leave => tracing::info!(
                    cluster = %fleet.cluster.name, coordinator = %coordinator.name,
                    left = coordinator.open_operations(), opaque_connections = coordinator.opaque_connections(),
                    "the deadline of the drain has come: operations that are open go on"
                ),
                DrainThen::Cancel => {
                    close_passages(&fleet, member);
                    let (shared, fleet) = (Arc::clone(&shared), Arc::clone(&fleet));
                    ends.spawn(cancel_open(shared, fleet, Arc::clone(coordinator)));
                }
            }
        }
    }
}

/// Closes the connections to a coordinator that are passed on.
fn close_passages<S: Stream>(fleet: &Fleet<S>, member: &Member<S>) {
    let coordinator = &member.coordinator;
    let closed = coordinator.opaque_connections();
    member.end_passages();
    if closed > 0 {
        tracing::info!(
            cluster = %fleet.cluster.name, coordinator = %coordinator.name, closed,
            "the deadline of the drain has come: connections that are passed on unread are closed"
        );
    }
}

/// Cancels all operations that are open on a coordinator.
async fn cancel_open<S: Stream>(shared: Arc<Shared<S>>, fleet: Arc<Fleet<S>>, coordinator: Arc<Coordinator>) {
    let open = fleet.table.open_on(coordinator.id);
    let found: usize = open.iter().map(|of| of.operations.len()).sum();
    let mut waiting = open.into_iter();
    let (mut under_way, mut cancelled) = (JoinSet::new(), 0);
    loop {
        while under_way.len() < AT_ONCE
            && let Some(of) = waiting.next()
        {
            let (shared, fleet) = (Arc::clone(&shared), Arc::clone(&fleet));
            let deputy = Deputy { shared, fleet, coordinator: Arc::clone(&coordinator) };
            under_way.spawn(async move { cancel_all(&deputy, &of).await });
        }
        match under_way.join_next().await {
            Some(done) => cancelled += done.unwrap_or(0),
            None => break,
        }
    }
    let (cluster, name, left) = (&fleet.cluster.name, &coordinator.name, coordinator.open_operations());
    if cancelled == found {
        tracing::info!(
            %cluster, coordinator = %name, cancelled, left,
            "the deadline of the drain has come: operations that were open are cancelled"
        );
    } else {
        tracing::warn!(
            %cluster, coordinator = %name, cancelled, left,
            "the deadline of the drain has come: not all operations that were open could be cancelled; another drain with \
             a deadline tries again"
        );
    }
    shared.have_connections_look();
}

/// Cancels all operations of an identity on one coordinator, one after the other; returns how many were
/// cancelled.
async fn cancel_all<S: Stream>(deputy: &Deputy<S>, of: &OpenOf) -> usize {
    let Deputy { fleet, coordinator, .. } = deputy;
    let (mut link, mut cancelled) = (None, 0);
    for operation in &of.operations {
        // The coordinator was resumed or removed meanwhile.
        let is_there = fleet.cluster.coordinator(coordinator.id).is_some();
        if coordinator.state() == AdminState::Active || !is_there {
            break;
        }
        let done = deputy.cancel(&of.access, *operation, &mut link).await.is_ok();
        if done {
            let guid = operation.guid();
            fleet.table.note_closing(&guid, clock::now());
            fleet.table.close_operation(&guid, OperationEnd::Cancelled);
        }
        cancelled += usize::from(done);
        if !done && link.is_none() {
            // Refused credentials are not shown again: four wrong binds lock an account.
            break;
        }
    }
    deputy::put_back(link);
    if let Some(counters) = fleet.counters(coordinator.id) {
        let failed = of.operations.len() - cancelled;
        counters.drained.add(DrainedOutcome::Cancelled, cancelled as u64);
        counters.drained.add(DrainedOutcome::Failed, failed as u64);
    }
    cancelled
}
