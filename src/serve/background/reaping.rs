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
use crate::serve::fleet::Fleet;
use crate::serve::link::login::Login;
use crate::serve::link::own_call::{OwnCall, call};
use crate::serve::link::slot::Grant;
use crate::serve::message::link_end::Look;
use crate::serve::shared::Shared;
use crate::session::table::{Reaping, Target};
use crate::wire::facts::{Guid, GuidText};
use crate::wire::verdict::Verdict;

/// Closes sessions whose clients are gone for good, and those that have been idle for too long, in the background, on links of
/// their identities. Who logs in has links only as long as a client of that name was there: a session without one is its
/// coordinator's, whose own timer has begun. Each coordinator has its sessions closed one after the other, so that the one
/// link that is left of a client serves for all that it had, before they are forgotten.
pub(crate) fn close_over<S: Stream>(shared: &Arc<Shared<S>>, fleet: &Arc<Fleet<S>>) {
    let Some(upkeep) = fleet.room.upkeep else { return };
    let grace = upkeep.client_lost_grace;
    let mut sessions: BTreeMap<CoordinatorId, Vec<Guid>> = BTreeMap::new();
    for guid in fleet.table.to_reap(clock::now(), grace) {
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
        let Some(reaping) = fleet.table.reap(&guid, clock::now(), grace) else { continue };
        let granted = |place: &Target| Some((place.clone(), grant(&fleet, place)?));
        let granted: Vec<_> = reaping.targets.iter().filter_map(granted).collect();
        close(&shared, &fleet, reaping, granted).await;
    }
}

/// What it takes to call a session's coordinator without its client.
fn grant<S: Stream>(fleet: &Fleet<S>, session: &Target) -> Option<Grant<S>> {
    let coordinator = fleet.cluster.coordinator(session.coordinator)?;
    let answers = match coordinator.standing(Service::Hs2, clock::now()) {
        Standing::Ready | Standing::Starting | Standing::Quiescing => true,
        Standing::Cooling(_) | Standing::Ejected => false,
    };
    let kind = match session.access.identity {
        // Not to be dialed for each of its sessions, if it cannot be reached.
        Identity::Anonymous if answers => Kind::Any,
        Identity::Anonymous | Identity::Plain(_) | Identity::Unread => Kind::Idle,
    };
    fleet.port(&coordinator, Service::Hs2)?.claim(Holder::ourselves(&session.access), Purpose::Relief, kind)
}

/// Closes a session wherever it is open.
async fn close<S: Stream>(
    shared: &Shared<S>,
    fleet: &Fleet<S>,
    reaping: Reaping,
    granted: Vec<(Target, Grant<S>)>,
) {
    let closing = granted.into_iter().map(async |(place, granted)| {
        if close_there(shared, fleet, &place, granted).await {
            tracing::debug!(session = %GuidText(place.handle.guid), "a session that is over was closed");
            reaping.closed(&place);
        }
    });
    join_all(closing).await;
}

/// Closes a session where it is or was; whether its coordinator says that it has it no more.
async fn close_there<S: Stream>(
    shared: &Shared<S>,
    fleet: &Fleet<S>,
    session: &Target,
    granted: Grant<S>,
) -> bool {
    let link = match granted.live(Look::Closely) {
        Ok(link) => link,
        // For somebody who logs in there is nothing to dial with.
        Err(_) if matches!(session.access.identity, Identity::Plain(_)) => return false,
        Err(slot) => match fleet.dial(slot, &Login::Nobody, session.access.transport, shared).await {
            Ok(link) => link,
            Err(_) => return false,
        },
    };
    let Some(answer) = call(link, OwnCall::Close(session.handle)).await else { return false };
    let verdict = answer.verdict(fleet.cluster.flavor.family());
    answer.put_back();
    matches!(verdict, Verdict::Success | Verdict::NoSuchSession)
}
