//! Looking after sessions whose links are shared. A link of one's own tells a coordinator that its client is there; a shared
//! one does not, so the router closes what a vanished client left, keeps what an idle one still wants, and closes what it has
//! kept for as long as the session's own idle timeout says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::calls::{Calls, DRAIN_LOOK_INTERVAL};
use super::link::dial;
use super::own_call::{OwnCall, call, framing};
use super::pool::Grant;
use super::shared::{Fleet, Shared};
use crate::clock;
use crate::cluster::Standing;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::ids::{CoordinatorId, Identity, Service};
use crate::net::stream::Stream;
use crate::session::table::{Cause, Ending, Pinned, Tended};
use crate::wire::facts::{Guid, GuidText};
use crate::wire::method::lookup;
use crate::wire::verdict::Verdict;

/// How often an idle connection looks at what it has, or more often.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Closes sessions whose clients are gone for good, and those that have been idle for too long, in the background, on links of
/// their identities. Who logs in has links only as long as a client of that name was there: a session without one is its
/// coordinator's, whose own timer has begun. Each coordinator has its sessions closed one after the other, so that the one
/// link that is left of a client serves for all that it had, before they are forgotten.
pub(super) fn close_over<S: Stream>(shared: &Arc<Shared<S>>, fleet: &Arc<Fleet<S>>) {
    let Some(upkeep) = fleet.room.upkeep else { return };
    let grace = upkeep.client_lost_grace;
    let mut sessions: BTreeMap<CoordinatorId, Vec<Guid>> = BTreeMap::new();
    for guid in fleet.table.to_end(clock::now(), grace) {
        if let Some(owner) = fleet.table.session_owner(&guid) {
            sessions.entry(owner).or_default().push(guid);
        }
    }
    for sessions in sessions.into_values() {
        let closing = close_in_turn(Arc::clone(shared), Arc::clone(fleet), sessions, grace);
        tokio::spawn(shared.cut.clone().run_until_cancelled_owned(closing));
    }
}

/// Closes one session after the other, each if it is still to be closed when it is its turn.
async fn close_in_turn<S: Stream>(
    shared: Arc<Shared<S>>,
    fleet: Arc<Fleet<S>>,
    sessions: Vec<Guid>,
    grace: Duration,
) {
    for guid in sessions {
        let Some(ending) = fleet.table.end(&guid, clock::now(), grace) else { continue };
        let granted = |place: &Tended| Some((place.clone(), grant(&fleet, place)?));
        let granted: Vec<_> = ending.places.iter().filter_map(granted).collect();
        close(&shared, &fleet, ending, granted).await;
    }
}

/// What it takes to call a session's coordinator without its client.
fn grant<S: Stream>(fleet: &Fleet<S>, session: &Tended) -> Option<Grant<S>> {
    let coordinator = fleet.cluster.coordinator(session.coordinator)?;
    let answers = match coordinator.standing(Service::Hs2, clock::now()) {
        Standing::Ready | Standing::Starting | Standing::Quiescing => true,
        Standing::Cooling(_) | Standing::Ejected => false,
    };
    let kind = match session.identity {
        // Not to be dialed for each of its sessions, if it cannot be reached.
        Identity::Anonymous { .. } if answers => Kind::Any,
        Identity::Anonymous { .. } | Identity::Plain(_) | Identity::Unread => Kind::Idle,
    };
    fleet.pool(coordinator, Service::Hs2)?.claim(Holder::ourselves(&session.identity), Purpose::Relief, kind)
}

/// Closes a session wherever it is open.
async fn close<S: Stream>(
    shared: &Shared<S>,
    fleet: &Fleet<S>,
    ending: Ending,
    granted: Vec<(Tended, Grant<S>)>,
) {
    let closing = granted.into_iter().map(async |(place, granted)| {
        if close_there(shared, fleet, &place, granted).await {
            tracing::debug!(session = %GuidText(place.handle.guid), "a session that is over was closed");
            ending.closed(&place);
        }
    });
    join_all(closing).await;
}

/// Closes a session where it is or was; whether its coordinator says that it has it no more.
async fn close_there<S: Stream>(
    shared: &Shared<S>,
    fleet: &Fleet<S>,
    session: &Tended,
    granted: Grant<S>,
) -> bool {
    let Some(framing) = framing(&session.identity) else { return false };
    let link = match granted.live() {
        Ok(link) => link,
        // For somebody who logs in there is nothing to dial with.
        Err(_) if matches!(session.identity, Identity::Plain(_)) => return false,
        Err(seat) => match dial(seat, None, fleet, shared).await {
            Ok(link) => link,
            Err(_) => return false,
        },
    };
    let family = fleet.cluster.flavor.family();
    let verdict = call(link, OwnCall::Close(session.handle), framing, family).await;
    matches!(verdict, Some(Verdict::Success | Verdict::NoSuchSession))
}

impl<S: Stream> Calls<S> {
    /// Looks at what an idle connection has, and again after a while.
    pub(super) async fn look_after_sessions(&mut self) {
        self.touch_sessions().await;
        // Operations that are open on it end on whatever connection.
        let interval = if self.leaving { DRAIN_LOOK_INTERVAL } else { look_interval(&self.fleet) };
        self.look_in(interval);
    }

    /// Touches the connection's sessions before their coordinators close them for want of links: each as long as its clients
    /// have been idle for less than the session's own idle timeout.
    pub(super) async fn touch_sessions(&mut self) {
        let Some(upkeep) = self.fleet.room.upkeep else { return };
        let (now, after) = (clock::now(), upkeep.touch_after());
        if now.saturating_duration_since(self.touched) < after {
            return;
        }
        self.touched = now;
        for guid in self.attached.sessions() {
            // One that was used since the last time, but long ago, would otherwise wait for twice as long.
            if let Some(session) = self.fleet.table.to_touch(&guid, now, after / 2) {
                self.touch(&guid, session).await;
            }
        }
    }

    async fn touch(&mut self, guid: &Guid, session: Tended) {
        if session.identity != *self.links.identity() {
            return;
        }
        let coordinator = self.fleet.cluster.coordinator(session.coordinator);
        let pool = coordinator.and_then(|coordinator| self.fleet.pool(coordinator, Service::Hs2));
        let grant = pool.and_then(|pool| pool.claim(self.holder(), Purpose::Work, Kind::Any));
        let Some(grant) = grant else { return };
        let Ok(Ok(link)) = self.link_of(grant, lookup(b"PingImpalaHS2Service")).await else { return };
        // While the link was dialed, perhaps: a coordinator that is lost does not keep it.
        if self.fleet.table.has_left(guid, session.coordinator) {
            return link.put_back();
        }
        let family = self.fleet.cluster.flavor.family();
        let answer = call(link, OwnCall::Touch(session.handle), self.framing, family).await;
        if answer == Some(Verdict::Success)
            && let Some(activity) = self.fleet.table.activity(guid)
        {
            activity.note_answered(clock::now());
            if let Some(coordinator) = self.fleet.cluster.coordinator(session.coordinator)
                && !activity.is_counted()
            {
                self.fleet.table.count_again(guid, coordinator);
            }
        }
        // One that can move may have been lost with its coordinator: its next call finds that out and opens it again.
        let may_come_back = self.fleet.table.may_leave(guid, Cause::Lost) != Err(Pinned::Immovable);
        if answer == Some(Verdict::NoSuchSession) && !may_come_back {
            self.fleet.table.remove_session(guid);
        }
    }
}

/// How often an idle connection looks at what it has: often enough for sessions that are to be touched.
pub(super) fn look_interval<S: Stream>(fleet: &Fleet<S>) -> Duration {
    fleet.room.upkeep.map_or(LOOK_INTERVAL, |upkeep| LOOK_INTERVAL.min(upkeep.touch_after()))
}
