//! Closes sessions that are not wanted any more: those whose clients are gone for good, and those that were
//! idle for longer than they may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::clock;
use crate::cluster::Standing;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::link::login::Login;
use crate::serve::link::own_call::OwnCall;
use crate::serve::link::slot::Grant;
use crate::serve::message::link_end::Look;
use crate::serve::shared::Shared;
use crate::session::table::{Reaping, Target};
use crate::wire::facts::{Guid, GuidText};
use crate::wire::verdict::Verdict;

/// Closes sessions whose clients are gone for good, and sessions that were idle for too long, in the
/// background and on links of their identities. For an identity that proves itself, there are links only as
/// long as a client of it is connected; a session without one is left to its coordinator, whose own timeout
/// has begun. Each coordinator's sessions are closed one after the other, so that the one link that is left
/// of a client serves for all of its sessions.
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
        shared.detached.spawn(shared.cut.clone().run_until_cancelled_owned(closing));
    }
}

/// Closes sessions one after the other, each only if it is still to be closed when its turn comes.
async fn close_in_turn<S: Stream>(
    shared: Arc<Shared<S>>,
    fleet: Arc<Fleet<S>>,
    sessions: Vec<Guid>,
    grace: Duration,
) {
    for guid in sessions {
        let Some(reaping) = fleet.table.reap(&guid, clock::now(), grace) else { continue };
        let granted = |target: &Target| Some((target.clone(), grant(&fleet, target)?));
        let granted: Vec<_> = reaping.targets.iter().filter_map(granted).collect();
        close(&shared, &fleet, reaping, granted).await;
    }
}

/// Claims a link or a slot on which a session's coordinator can be called without its client.
fn grant<S: Stream>(fleet: &Fleet<S>, session: &Target) -> Option<Grant<S>> {
    let coordinator = fleet.cluster.coordinator(session.coordinator)?;
    if fleet.forbids(&session.access, coordinator.id) {
        return None;
    }
    let answers = match coordinator.standing(session.access.hs2(), clock::now()) {
        Standing::Ready | Standing::Starting | Standing::Quiescing => true,
        Standing::Cooling(_) | Standing::Ejected => false,
    };
    // A coordinator that cannot be reached is not dialed for each of its sessions.
    let kind = if answers && login(fleet, session).is_some() { Kind::Any } else { Kind::Idle };
    fleet.port(&coordinator, session.access.hs2())?.claim(
        Holder::ourselves(&session.access),
        Purpose::Relief,
        kind,
    )
}

/// Returns with what to dial for a session. `None` if there is nothing, and for one of a name that logs in: a
/// password is not shown again only to close something.
fn login<S: Stream>(fleet: &Fleet<S>, session: &Target) -> Option<Login> {
    let identity = &session.access.identity;
    fleet.keyring.login_of(identity).filter(|login| !login.shows_password())
}

/// Closes a session wherever it is open.
async fn close<S: Stream>(
    shared: &Shared<S>,
    fleet: &Fleet<S>,
    reaping: Reaping,
    granted: Vec<(Target, Grant<S>)>,
) {
    let closing = granted.into_iter().map(async |(target, granted)| {
        if close_there(shared, fleet, &target, granted).await {
            tracing::debug!(session = %GuidText(target.handle.guid), "a session that is over was closed");
            reaping.closed(&target);
        }
    });
    join_all(closing).await;
}

/// Closes a session where it is or was; returns whether the coordinator no longer has it.
async fn close_there<S: Stream>(
    shared: &Shared<S>,
    fleet: &Fleet<S>,
    session: &Target,
    granted: Grant<S>,
) -> bool {
    let link = match granted.live(Look::Closely) {
        Ok(link) => link,
        Err(slot) => {
            let Some(login) = login(fleet, session) else { return false };
            let Ok(link) = fleet.dial(slot, &login, shared).await else { return false };
            link
        }
    };
    let closed = fleet.own_call(link, OwnCall::Close(session.handle)).await;
    let Some(answer) = closed else { return false };
    let verdict = answer.verdict(fleet.cluster.flavor.family());
    answer.put_back();
    matches!(verdict, Verdict::Success | Verdict::NoSuchSession)
}
