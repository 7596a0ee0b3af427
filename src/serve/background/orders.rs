//! What operators order: to cancel an operation, to close a session, to cut a connection, to move one session or
//! all of a coordinator.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::clock;
use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::serve::background::deputy::{self, Deputy, NotDone};
use crate::serve::connections::Listed;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::wishes::{Fulfilled, Wished};
use crate::serve::shared::Shared;
use crate::session::table::{NotNamed, NotReaped, OperationEnd, Pinned};
use crate::wire::facts::Guid;

/// How long all sessions of a coordinator may take to move, from the order on.
pub const MOVE_ALL_TIME: Duration = Duration::from_mins(1);

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NotCarriedOut {
    /// The router cannot call for that operation.
    #[error(transparent)]
    NotNamed(#[from] NotNamed),
    /// The router cannot close that session.
    #[error(transparent)]
    NotReaped(#[from] NotReaped),
    /// The coordinator did not do it.
    #[error(transparent)]
    NotDone(#[from] NotDone),
    /// The session must stay where it is.
    #[error("it stays: {0}")]
    Pinned(Pinned),
    /// No session of this cluster moves.
    #[error("sessions of this cluster do not move: move_idle_sessions is off, or its flavor is not impala")]
    MovesAreOff,
    /// Nobody is there who could open it elsewhere.
    #[error("no connection uses it, and only its client's can open it elsewhere")]
    Unattached,
    /// It is where it is wanted.
    #[error("it is there already")]
    There,
    /// Somebody else has it moved.
    #[error("somebody has it moved at the moment")]
    Ordered,
    /// The move was tried.
    #[error("it stays: {0}")]
    NotMoved(String),
}

/// Cancels an open operation, on whatever coordinator it runs; returns which. Its client learns of it from the
/// coordinator, and closes it.
///
/// # Errors
/// [`NotCarriedOut`]: it is as it was.
pub async fn cancel<S: Stream>(
    shared: &Arc<Shared<S>>,
    fleet: &Arc<Fleet<S>>,
    operation: &Guid,
) -> Result<CoordinatorId, NotCarriedOut> {
    let running = fleet.table.running(operation)?;
    let (deputy, mut link) = (deputy(shared, fleet, running.coordinator)?, None);
    let cancelled = deputy.cancel(&running.access, running.named, &mut link).await;
    deputy::put_back(link);
    cancelled?;
    fleet.table.end_running(operation, OperationEnd::Cancelled);
    Ok(running.coordinator)
}

/// Closes a session wherever it is open, with all operations in it. Its client's next call is told that there
/// is no such session.
///
/// # Errors
/// [`NotCarriedOut`]: it is as it was.
pub async fn close<S: Stream>(
    shared: &Arc<Shared<S>>,
    fleet: &Arc<Fleet<S>>,
    session: &Guid,
) -> Result<(), NotCarriedOut> {
    let reaping = fleet.table.close_now(session)?;
    // The first is where it is; upkeep closes what it has left elsewhere, if this does not. After a refusal no password
    // is shown again: four wrong binds lock an account.
    for (place, target) in reaping.targets.iter().enumerate() {
        let closed = match deputy(shared, fleet, target.coordinator) {
            Ok(deputy) => deputy.close(target).await,
            Err(NotDone::Removed) => Ok(()),
            Err(why) => Err(why),
        };
        match closed {
            Ok(()) => reaping.closed(target),
            Err(why) if place == 0 => return Err(why.into()),
            Err(_) => break,
        }
    }
    Ok(())
}

/// Ends a connection at once, as if its client had vanished; returns when it has ended.
pub async fn cut<S: Stream>(shared: &Shared<S>, connection: &Listed) {
    shared.connections.cut(connection).await;
}

/// Has one of its connections move a session to this coordinator, or to the best; returns where it is then.
///
/// # Errors
/// [`NotCarriedOut`]: it stays.
pub async fn relocate<S: Stream>(
    shared: &Shared<S>,
    fleet: &Fleet<S>,
    session: &Guid,
    to: Option<CoordinatorId>,
) -> Result<CoordinatorId, NotCarriedOut> {
    may_move(fleet, session, to)?;
    let wished = fleet.moves.wishes.make(*session, to).ok_or(NotCarriedOut::Ordered)?;
    shared.have_connections_look();
    fulfilled(wished).await.map_err(NotCarriedOut::NotMoved)
}

/// What came of a wish. It is told unless somebody has taken the wish back.
async fn fulfilled(mut wished: Wished) -> Fulfilled {
    (&mut wished.told).await.unwrap_or_else(|_| Err("the order was taken back".to_owned()))
}

/// Has all sessions moved that can leave this coordinator now, each as by [`relocate`], and does not wait for
/// them. Those that have not moved within [`MOVE_ALL_TIME`] stay.
///
/// # Errors
/// [`NotCarriedOut::MovesAreOff`], or [`NotCarriedOut::There`].
pub fn relocate_all<S: Stream>(
    shared: &Arc<Shared<S>>,
    fleet: &Arc<Fleet<S>>,
    from: CoordinatorId,
    to: Option<CoordinatorId>,
) -> Result<(), NotCarriedOut> {
    if !fleet.moves.are_on() {
        return Err(NotCarriedOut::MovesAreOff);
    }
    if to == Some(from) {
        return Err(NotCarriedOut::There);
    }
    let (now, mut sessions) = (clock::now(), Vec::new());
    fleet.table.see_sessions(fleet.cause_to_leave(now), now, |seen| {
        if seen.coordinator == from && seen.pinned.is_none() && seen.connections > 0 {
            sessions.push(seen.guid);
        }
    });
    let wishes: Vec<_> =
        sessions.into_iter().filter_map(|session| fleet.moves.wishes.make(session, to)).collect();
    shared.have_connections_look();
    let (fleet, ordered) = (Arc::clone(fleet), wishes.len());
    let moving = async move {
        let each = wishes.into_iter().map(async |wished| {
            timeout(MOVE_ALL_TIME, fulfilled(wished)).await.is_ok_and(|came| came.is_ok())
        });
        let moved = join_all(each).await.into_iter().filter(|moved| *moved).count();
        tracing::info!(
            cluster = %fleet.cluster.name, coordinator = fleet.name_of(from), ordered, moved,
            "sessions were moved by order of an operator"
        );
    };
    shared.detached.spawn(shared.cut.clone().run_until_cancelled_owned(moving));
    Ok(())
}

/// How many sessions of a coordinator are to move by order of an operator, and have not done so yet.
pub fn ordered_to_move<S: Stream>(fleet: &Fleet<S>, from: CoordinatorId) -> usize {
    let is_there = |session: &Guid| fleet.table.session_owner(session) == Some(from);
    fleet.moves.wishes.sessions().iter().filter(|session| is_there(session)).count()
}

fn may_move<S: Stream>(
    fleet: &Fleet<S>,
    session: &Guid,
    to: Option<CoordinatorId>,
) -> Result<(), NotCarriedOut> {
    if !fleet.moves.are_on() {
        return Err(NotCarriedOut::MovesAreOff);
    }
    let now = clock::now();
    let seen = fleet.table.see_session(session, fleet.cause_to_leave(now), now, |seen| {
        (seen.coordinator, seen.pinned, seen.connections)
    });
    match seen {
        None => Err(NotCarriedOut::Pinned(Pinned::Immovable)),
        Some((owner, ..)) if to == Some(owner) => Err(NotCarriedOut::There),
        Some((_, Some(pinned), _)) => Err(NotCarriedOut::Pinned(pinned)),
        Some((_, None, 0)) => Err(NotCarriedOut::Unattached),
        Some((_, None, _)) => Ok(()),
    }
}

fn deputy<S: Stream>(
    shared: &Arc<Shared<S>>,
    fleet: &Arc<Fleet<S>>,
    coordinator: CoordinatorId,
) -> Result<Deputy<S>, NotDone> {
    let coordinator = fleet.cluster.coordinator(coordinator).ok_or(NotDone::Removed)?;
    Ok(Deputy { shared: Arc::clone(shared), fleet: Arc::clone(fleet), coordinator })
}
