//! SASL on the client's side. The router takes the credentials of PLAIN and lets the first coordinator judge them: its verdict
//! is the client's. Every other mechanism is between client and coordinator, and passed on unread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use tokio::time::timeout;

use super::calls::Calls;
use super::client::{Client, Framing};
use super::end::End;
use super::link::{Link, Links, NoLink};
use super::shared::{Entrance, Shared};
use super::{Connection, note_depth, opaque};
use crate::cluster::Opening;
use crate::ids::{Depth, Service};
use crate::metrics::RefusalCause;
use crate::net::stream::Stream;
use crate::wire::sasl::{Acceptor, Credentials, Mechanism, Status, Step, encode};

/// Which binary service credentials are checked against before the first call tells (HS2 and Beeswax differ only then).
fn service_of(listener: Service) -> Service {
    match listener {
        Service::Beeswax => Service::Beeswax,
        Service::Hs2 | Service::Hs2Http => Service::Hs2,
    }
}

/// What the client began with.
enum Opened {
    Plain(Credentials),
    /// Another mechanism; `pending` holds all that came, from the first byte on.
    Other(Mechanism),
}

/// Serves a client that began a SASL handshake.
pub(super) async fn serve<S: Stream>(connection: Connection<S>) -> End {
    let Connection { shared, entrance, conn, mut client, counters } = connection;
    let allowed = shared.settings.handshake_timeout;
    let opened = timeout(allowed, accept(&mut client)).await.unwrap_or(Err(End::HandshakeTimedOut));
    let credentials = match opened {
        Ok(Opened::Plain(credentials)) => credentials,
        Ok(Opened::Other(mechanism)) => {
            tracing::debug!(mechanism = mechanism.as_str(), "passed on unread");
            let connection = Connection { shared, entrance, conn, client, counters };
            return Box::pin(opaque::serve(connection, None)).await;
        }
        Err(End::BadHandshake(error)) => {
            let text = format!("hs2router ({conn}): {error}");
            let told =
                tell(&mut client, error.status(), text.as_bytes(), shared.settings.stall_timeout).await;
            return told.err().unwrap_or(End::BadHandshake(error));
        }
        Err(end) => return end,
    };
    let service = service_of(entrance.service);
    let mut links = Links::new(entrance.fleet.clone(), conn, Some(credentials));
    match first_link(&mut links, service, &shared, &entrance).await {
        Ok((link, opening)) => {
            let stall = shared.settings.stall_timeout;
            if let Err(end) = tell(&mut client, Status::Complete, b"", stall).await {
                return end;
            }
            note_depth(&counters, Depth::Route);
            links.put(link);
            let calls = Calls::new(shared, &entrance, client, Framing::Sasl, links);
            Box::pin(calls.reserved(opening).serve()).await
        }
        Err(refusal) => {
            let Refused { status, text, end } = refusal;
            let text = match end {
                End::NoCoordinator => {
                    shared.metrics.connections_refused.count(RefusalCause::Unreachable);
                    format!("hs2router ({conn}): {}", String::from_utf8_lossy(&text)).into_bytes()
                }
                _ => text,
            };
            let told = tell(&mut client, status, &text, shared.settings.stall_timeout).await;
            told.err().unwrap_or(end)
        }
    }
}

/// Reads the client's part of the handshake.
async fn accept<S: Stream>(client: &mut Client<S>) -> Result<Opened, End> {
    let mut acceptor = Acceptor::new();
    loop {
        let taken = acceptor.push(&client.pending);
        client.pending.advance(taken.used);
        match taken.step {
            Step::NeedMore => {}
            Step::Credentials(credentials) => return Ok(Opened::Plain(credentials)),
            Step::OtherMechanism(mechanism) => {
                let mut all = bytes::BytesMut::from(acceptor.into_consumed().as_slice());
                all.extend_from_slice(&client.pending);
                client.pending = all;
                return Ok(Opened::Other(mechanism));
            }
            Step::Refuse(error) => return Err(error.into()),
        }
        if !client.more().await? {
            return Err(End::ClientBroke { inside: "handshake" });
        }
    }
}

/// A handshake that is answered with a refusal.
struct Refused {
    status: Status,
    text: Vec<u8>,
    end: End,
}

/// Has the credentials judged by the best coordinator. Until they are sent, the next one may be tried; after that never: a
/// handful of wrong binds locks an account.
async fn first_link(
    links: &mut Links,
    service: Service,
    shared: &Shared,
    entrance: &Entrance,
) -> Result<(Link, Opening), Refused> {
    let mut tried = Vec::new();
    let mut cause = "all coordinators are draining".to_owned();
    while let Some(opening) = entrance.fleet.pick(service, &tried) {
        let coordinator = Arc::clone(opening.coordinator());
        tried.push(coordinator.id);
        match links.dial(&coordinator, service, shared).await {
            Ok(link) => return Ok((link, opening)),
            Err(NoLink::CredentialsRefused { status, text }) => {
                return Err(Refused { status, text, end: End::CredentialsRefused });
            }
            Err(no_link) => cause = format!("coordinator {} cannot be reached: {no_link}", coordinator.name),
        }
    }
    Err(Refused { status: Status::Error, text: cause.into_bytes(), end: End::NoCoordinator })
}

async fn tell<S: Stream>(
    client: &mut Client<S>,
    status: Status,
    text: &[u8],
    stall: Duration,
) -> Result<(), End> {
    client.send(&encode(status, text), stall).await
}
