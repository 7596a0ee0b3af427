//! What is not understood is passed on unread, to the least-loaded coordinator, until both sides have finished.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::client::Client;
use super::dialing::reach;
use super::end::End;
use super::shared::{Entrance, Shared};
use super::{Connection, note_depth};
use crate::cluster::Opening;
use crate::ids::{Depth, Service};
use crate::metrics::{Direction, RefusalCause};
use crate::net::flow;
use crate::net::relay::{Side, relay};
use crate::net::stream::Stream;

/// A coordinator that was dialed for a connection that is not understood.
pub(super) struct Dialed<S> {
    /// The connection.
    pub stream: S,
    /// Counts the connection there.
    pub opening: Opening,
}

/// A connection that is passed on unread.
pub(super) struct Passage<S: Stream> {
    /// Its client's side.
    pub(super) connection: Connection<S>,
    /// The coordinators' port that it is for.
    pub(super) service: Service,
    /// The coordinator's side, if there is one already.
    pub(super) dialed: Option<Dialed<S>>,
}

impl<S: Stream> Passage<S> {
    /// Passes bytes on until both sides have finished; to the best coordinator, if none was dialed.
    pub(super) async fn relay(self) -> End {
        let Self { connection, service, dialed } = self;
        let Connection { shared, entrance, mut client, counters, .. } = connection;
        note_depth(&counters, Depth::Opaque);
        let dialed = match dialed {
            Some(dialed) => Some(dialed),
            None => dial_best(&shared, &entrance, service).await,
        };
        let Some(dialed) = dialed else {
            let all_drain = entrance.fleet.pick(service, &[]).is_none();
            let cause = if all_drain { RefusalCause::NoCoordinator } else { RefusalCause::Unreachable };
            shared.metrics.connections_refused.count(cause);
            // There are no words for this that an unknown protocol would understand.
            client.stream.reset_on_close();
            return End::NoCoordinator;
        };
        relay_both(&shared, &mut client, dialed).await
    }
}

async fn relay_both<S: Stream>(shared: &Shared<S>, client: &mut Client<S>, dialed: Dialed<S>) -> End {
    let Dialed { mut stream, opening } = dialed;
    let span = tracing::Span::current();
    span.record("coordinator", tracing::field::display(&opening.coordinator().name));
    // A peer may pause for as long as it likes, and nobody but the two of them knows why.
    let _cleared = client.stream.set_user_timeout(None);
    let _cleared = stream.set_user_timeout(None);
    let _session = opening.into_session();
    let pending = std::mem::take(&mut client.pending);
    if let Err((error, _)) = flow::write_all(&mut stream, &pending, shared.settings.stall_timeout).await {
        client.stream.reset_on_close();
        return End::CoordinatorLost { cause: error.to_string() };
    }
    let bytes = &shared.metrics.bytes;
    bytes.add(Direction::ToCoordinator, pending.len() as u64);
    drop(pending);
    let ended = relay(&mut client.stream, &mut stream, |side, count| {
        bytes.add(if side == Side::Client { Direction::ToCoordinator } else { Direction::ToClient }, count);
    })
    .await;
    match (ended.who, ended.error) {
        (Side::Client, None) => End::ClientClosed,
        (Side::Client, Some(error)) => End::ClientGone(error),
        (Side::Coordinator, None) => End::CoordinatorClosed,
        (Side::Coordinator, Some(error)) => End::CoordinatorLost { cause: error.to_string() },
    }
}

/// Dials coordinators in the order of the pick until one answers.
pub(super) async fn dial_best<S: Stream>(
    shared: &Shared<S>,
    entrance: &Entrance,
    service: Service,
) -> Option<Dialed<S>> {
    let mut tried = Vec::new();
    while let Some(opening) = entrance.fleet.pick(service, &tried) {
        let coordinator = Arc::clone(opening.coordinator());
        tried.push(coordinator.id);
        if let Ok(stream) = reach(&coordinator, service, &entrance.fleet, shared).await {
            return Some(Dialed { stream, opening });
        }
    }
    None
}

/// Dials the best coordinator for a silent client, if no other such dial to it is under way; the permit ends that.
pub(super) async fn dial_parked<S: Stream>(
    shared: &Shared<S>,
    entrance: &Entrance,
) -> Option<(Dialed<S>, OwnedSemaphorePermit)> {
    // Not counted while it waits for its turn: a thousand silent clients are no load.
    let coordinator = Arc::clone(entrance.fleet.pick(entrance.service, &[])?.coordinator());
    let parked = entrance.fleet.parked(&coordinator, entrance.service)?;
    let permit = Arc::clone(parked).acquire_owned().await.ok()?;
    let opening = coordinator.begin_open();
    let stream = reach(&coordinator, entrance.service, &entrance.fleet, shared).await.ok()?;
    Some((Dialed { stream, opening }, permit))
}
