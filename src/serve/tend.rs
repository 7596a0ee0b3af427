//! Looking after sessions whose links are shared. A link of one's own tells a coordinator that its client is there; a shared
//! one does not, so the router closes what a vanished client left, and keeps what an idle one still wants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::calls::Calls;
use super::own_call::{OwnCall, call, framing};
use super::pool::Grant;
use super::shared::{Fleet, Shared};
use crate::clock;
use crate::cluster::room::{Kind, Purpose};
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::session::table::{Cause, Pinned, Tended};
use crate::wire::facts::Guid;
use crate::wire::method::lookup;
use crate::wire::verdict::Verdict;

/// How many abandoned sessions of a cluster are closed at a time.
const CLOSED_AT_ONCE: usize = 64;

/// Closes sessions whose clients are gone for good, in the background, on links of their identities that are idle. A
/// session whose identity has no link there any more is its coordinator's: its own timer has begun.
pub(super) fn close_abandoned<S: Stream>(shared: &Arc<Shared<S>>, fleet: &Arc<Fleet<S>>) {
    let Some(upkeep) = fleet.room.upkeep else { return };
    for session in fleet.table.abandoned(clock::now(), upkeep.client_lost_grace, CLOSED_AT_ONCE) {
        let coordinator = fleet.cluster.coordinator(session.coordinator);
        let pool = coordinator.and_then(|coordinator| fleet.pool(coordinator, Service::Hs2));
        let grant = pool.and_then(|pool| pool.claim(&session.identity, Purpose::Relief, Kind::Idle));
        let (Some(Grant::Link(link)), Some(framing)) = (grant, framing(&session.identity)) else { continue };
        let (cut, fleet) = (shared.cut.clone(), Arc::clone(fleet));
        tokio::spawn(async move {
            let verdict = tokio::select! {
                biased;
                () = cut.cancelled() => None,
                verdict = call(link, OwnCall::Close(session.handle), framing) => verdict,
            };
            forget_if_gone(&fleet, &session, verdict);
        });
    }
}

fn forget_if_gone<S: Stream>(fleet: &Fleet<S>, session: &Tended, verdict: Option<Verdict>) {
    if matches!(verdict, Some(Verdict::Success | Verdict::NoSuchSession)) {
        fleet.table.remove_session(&session.handle.guid);
    }
}

/// When a connection's sessions are to be touched.
#[derive(Debug)]
pub(super) struct Touching {
    /// Whether there was a call since it was looked at last.
    pub used: bool,
    idle_since: Instant,
    touched: Instant,
}

impl Touching {
    /// Just used.
    pub(super) fn new() -> Self {
        let now = clock::now();
        Self { used: false, idle_since: now, touched: now }
    }

    /// Whether it is time, after so long without a call or a touch; how long the client has been idle then.
    fn is_due(&mut self, now: Instant, after: Duration) -> Option<Duration> {
        if std::mem::take(&mut self.used) {
            self.idle_since = now;
            self.touched = now;
        }
        let is_due = now.saturating_duration_since(self.touched) >= after;
        is_due.then(|| now.saturating_duration_since(self.idle_since))
    }
}

impl<S: Stream> Calls<S> {
    /// Touches the connection's sessions before their coordinators close them for want of links: each as long as its client
    /// has been idle for less than the session's own idle timeout.
    pub(super) async fn touch_sessions(&mut self) {
        let Some(upkeep) = self.fleet.room.upkeep else { return };
        let now = clock::now();
        let Some(idle) = self.touching.is_due(now, upkeep.touch_after()) else { return };
        self.touching.touched = now;
        for guid in self.attached.sessions() {
            self.touch(&guid, idle).await;
        }
    }

    async fn touch(&mut self, guid: &Guid, idle: Duration) {
        let Some(session) = self.fleet.table.tended(guid) else { return };
        if session.idle_timeout.is_some_and(|timeout| idle >= timeout)
            || session.identity != *self.links.identity()
        {
            return;
        }
        let coordinator = self.fleet.cluster.coordinator(session.coordinator);
        let pool = coordinator.and_then(|coordinator| self.fleet.pool(coordinator, Service::Hs2));
        let grant = pool.and_then(|pool| pool.claim(&session.identity, Purpose::Work, Kind::Any));
        let Some(grant) = grant else { return };
        let Ok(Ok(link)) = self.link_of(grant, lookup(b"PingImpalaHS2Service")).await else { return };
        let answer = call(link, OwnCall::Touch(session.handle), self.framing).await;
        // One that can move may have been lost with its coordinator: its next call finds that out and opens it again.
        let may_come_back = self.fleet.table.may_leave(guid, Cause::Lost) != Err(Pinned::Immovable);
        if answer == Some(Verdict::NoSuchSession) && !may_come_back {
            self.fleet.table.remove_session(guid);
        }
    }
}
