//! Closing sessions that nobody wants any more: those whose clients are gone for good, and those that were idle for longer than
//! they may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::clock;
use crate::cluster::Standing;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::ids::{CoordinatorId, Identity, Service};
use crate::net::stream::Stream;
use crate::serve::fleet::shared::Fleet;
use crate::serve::link::own_call::{OwnCall, call, framing};
use crate::serve::link::slot::Grant;
use crate::serve::shared::Shared;
use crate::session::table::{Ending, Tended};
use crate::wire::facts::{Guid, GuidText};
use crate::wire::verdict::Verdict;

/// Closes sessions whose clients are gone for good, and those that have been idle for too long, in the background, on links of
/// their identities. Who logs in has links only as long as a client of that name was there: a session without one is its
/// coordinator's, whose own timer has begun. Each coordinator has its sessions closed one after the other, so that the one
/// link that is left of a client serves for all that it had, before they are forgotten.
pub(in crate::serve) fn close_over<S: Stream>(shared: &Arc<Shared<S>>, fleet: &Arc<Fleet<S>>) {
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
    fleet.port(&coordinator, Service::Hs2)?.claim(Holder::ourselves(&session.identity), Purpose::Relief, kind)
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
        Err(slot) => match fleet.dial(slot, None, shared).await {
            Ok(link) => link,
            Err(_) => return false,
        },
    };
    let family = fleet.cluster.flavor.family();
    let verdict = call(link, OwnCall::Close(session.handle), framing, family).await;
    matches!(verdict, Some(Verdict::Success | Verdict::NoSuchSession))
}
