//! SASL on the client's side. The router takes the credentials of PLAIN and lets the first coordinator judge
//! them; the client gets that verdict. GSSAPI goes to [`tickets`] where the router has a keytab. All else is
//! between client and coordinator, and passed on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroize as _;

use crate::clock;
use crate::cluster::Opening;
use crate::cluster::brake::Who;
use crate::cluster::room::{Holder, Kind};
use crate::cluster::turns::Turn;
use crate::ids::{Depth, Family, Service, Transport};
use crate::metrics::{Label as _, RefusalCause};
use crate::net::linger::linger;
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::client::passage::{Passage, To};
use crate::serve::client::{Connection, Stage, observe, tickets};
use crate::serve::fleet::candidates::{Candidate, Candidates, ClientGone, Seeker};
use crate::serve::fleet::pause::Newcomer;
use crate::serve::link::Link;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::slot::Grant;
use crate::serve::message::client::Client;
use crate::serve::message::end::End;
use crate::wire::sasl::{Acceptor, Credentials, MechanismName, Status, Step, encode};

/// Returns the service that credentials are checked against, before the first call tells whether it is for
/// HS2 or Beeswax.
fn service_of(listener: Service) -> Service {
    match listener {
        Service::Beeswax => Service::Beeswax,
        Service::Hs2 | Service::Hs2Http => Service::Hs2,
    }
}

/// What the client began its handshake with.
enum Opened {
    Plain(Credentials),
    /// Another mechanism. `pending` then holds everything that came, from the first byte on; of GSSAPI that
    /// includes the first token.
    Other(MechanismName),
}

/// Carries out the handshake of a client that began one.
///
/// # Errors
/// [`End`], when the handshake is refused, which the client is told, or when the connection ends.
pub(super) async fn authenticate<S: Stream>(mut connection: Box<Connection<S>>) -> Result<Stage<S>, End> {
    let settings = connection.shared.settings.clone();
    let (conn, stall) = (connection.conn, settings.stall_timeout);
    let service = service_of(connection.entrance.service);
    let family = connection.entrance.fleet.cluster.flavor.family();
    let opened = timeout(settings.handshake_timeout, accept(&mut connection.client, family)).await;
    let credentials = match opened.unwrap_or(Err(End::HandshakeTimedOut)) {
        Ok(Opened::Plain(credentials)) => credentials,
        Ok(Opened::Other(mechanism)) => {
            let delegation = connection.entrance.delegation();
            if let Some(delegation) = delegation.filter(|_| mechanism == MechanismName::Gssapi) {
                return tickets::authenticate(connection, delegation).await;
            }
            let depth = if mechanism == MechanismName::Gssapi { Depth::Observe } else { Depth::Opaque };
            tracing::debug!(mechanism = mechanism.as_str(), depth = depth.as_str(), "passed on");
            return Passage::of(*connection, To { service, dialed: None, depth }).map(Stage::Passed);
        }
        Err(End::BadHandshake(error)) => {
            let text = format!("hs2router ({conn}): {error}");
            tell(&mut connection.client, error.status(), text.as_bytes(), stall).await?;
            linger(&mut connection.client.stream).await;
            return Err(End::BadHandshake(error));
        }
        Err(end) => return Err(end),
    };
    let fleet = Arc::clone(&connection.entrance.fleet);
    let mut links = Links::of(Arc::clone(&fleet), &connection.listed, credentials);
    let who = Who::of(links.access(), connection.client.address);
    let first = tokio::select! {
        biased;
        first = first_link(&mut links, service, &connection) => first,
        // A login waits for a thread of the coordinator; that is not worth it for a client that has left.
        () = connection.client.stream.closed() => return Err(connection.client.left().await),
    };
    match first {
        Ok((link, opening)) => {
            fleet.brake.lock().note_of_use(who);
            tell(&mut connection.client, Status::Complete, b"", stall).await?;
            links.note_accepted();
            links.put(link);
            Ok(Stage::Calls(Box::new(connection.into_calls(Transport::Sasl, links).reserved(opening))))
        }
        Err(Refused { status, text, end, in_vain }) => {
            // A client whose logins are all in vain waits a little longer each time; nothing of a
            // coordinator's is held meanwhile.
            if in_vain {
                fleet.slow_down(who).await;
            }
            tell(&mut connection.client, status, &text, stall).await?;
            Err(end)
        }
    }
}

/// Carries out the handshake of a client that is refused whatever its credentials are, and tells it why.
///
/// # Errors
/// [`End`], when the connection ends before that.
pub(super) async fn refuse<S: Stream>(
    connection: &mut Connection<S>,
    why: &(dyn fmt::Display + Sync),
) -> Result<(), End> {
    let (family, stall) =
        (connection.entrance.fleet.cluster.flavor.family(), connection.shared.settings.stall_timeout);
    // Unread bytes would make the close a reset, and the answer would be lost.
    let _not_looked_at = accept(&mut connection.client, family).await?;
    let text = format!("hs2router ({}): {why}", connection.conn);
    tell(&mut connection.client, Status::Error, text.as_bytes(), stall).await
}

/// Reads the client's part of the handshake.
async fn accept<S: Stream>(client: &mut Client<S>, family: Family) -> Result<Opened, End> {
    let mut acceptor = Acceptor::new(family);
    loop {
        let taken = acceptor.push(&client.pending);
        // The password is in the acceptor's keeping now.
        let mut used = client.pending.split_to(taken.used);
        used.zeroize();
        match taken.step {
            Step::NeedMore => {}
            Step::Credentials(credentials) => return Ok(Opened::Plain(credentials)),
            Step::OtherMechanism(mechanism) => {
                let mut all = bytes::BytesMut::from(acceptor.into_consumed().as_slice());
                all.extend_from_slice(&client.pending);
                client.pending = all.into();
                if mechanism == MechanismName::Gssapi {
                    observe::first_token(client).await?;
                }
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
    /// Whether a coordinator was dialed for it in vain.
    in_vain: bool,
}

impl Refused {
    /// The client has left, so it gets no answer.
    fn left() -> Self {
        Self { status: Status::Error, text: Vec::new(), end: End::ClientClosed, in_vain: false }
    }
}

/// Has the best coordinator judge the credentials. Until they are sent, the next candidate may be tried;
/// after that never, because a few wrong binds lock an account.
async fn first_link<S: Stream>(
    links: &mut Links<S>,
    service: Service,
    connection: &Connection<S>,
) -> Result<(Box<Link<S>>, Opening), Refused> {
    let (fleet, shared) = (&connection.entrance.fleet, &connection.shared);
    let mut candidates = Candidates::default();
    let access = links.access().clone();
    let client = connection.client.address;
    // The user name is only a claim until a coordinator has accepted it.
    let (holder, turn) = (Holder { access: &access, unproven: Some(client) }, Turn::Address(client));
    let newcomer = Newcomer { service, holder, client, turn: turn.clone() };
    let resumed = candidates.await_resume(fleet, newcomer, connection.client.stream.closed()).await;
    let Some(_under_way) = resumed.map_err(|ClientGone| Refused::left())? else {
        return Err(nobody_took(&candidates, service, connection));
    };
    let seeker = Seeker {
        fleet,
        service,
        holder,
        client,
        turn,
        kind: Kind::New,
        has_own: &|_| false,
        source: None,
        demand: links.login(service),
        deadline: clock::now() + fleet.room.queue_timeout,
    };
    loop {
        let next = candidates.next(&seeker, connection.client.stream.closed()).await;
        let next = next.map_err(|ClientGone| Refused::left())?;
        let Some(Candidate { opening, grant: Some(Grant::Slot(slot)) }) = next else { break };
        let coordinator = Arc::clone(opening.coordinator());
        match links.dial(slot, shared).await {
            Ok(mut link) => {
                link.slot.prove();
                return Ok((link, opening));
            }
            Err(NoLink::CredentialsRefused { status, text }) => {
                return Err(Refused { status, text, end: End::CredentialsRefused, in_vain: false });
            }
            Err(NoLink::NoVerdict(cause)) => {
                let (conn, name) = (connection.conn, &coordinator.name);
                let text = format!("hs2router ({conn}): authentication failed: coordinator {name}: {cause}");
                let (status, text) = (Status::Bad, text.into_bytes());
                return Err(Refused { status, text, end: End::NoVerdict, in_vain: true });
            }
            Err(no_link) => candidates.note_failed(&coordinator, no_link),
        }
    }
    Err(nobody_took(&candidates, service, connection))
}

/// Counts and logs a login that no coordinator was shown.
fn nobody_took<S: Stream>(candidates: &Candidates, service: Service, connection: &Connection<S>) -> Refused {
    let (fleet, shared) = (&connection.entrance.fleet, &connection.shared);
    let refusal = candidates.refusal();
    shared.metrics.connections_refused.count(refusal);
    let text = candidates.tell(&fleet.cluster, service);
    if let Some(left_out) = shared.admit_line("a login was refused", refusal.word()) {
        tracing::warn!(cluster = %fleet.cluster.name, cause = text, left_out, "a login was refused");
    }
    let text = format!("hs2router ({}): {text}", connection.conn).into_bytes();
    let in_vain = refusal == RefusalCause::Unreachable;
    Refused { status: Status::Error, text, end: End::NoCoordinator, in_vain }
}

async fn tell<S: Stream>(
    client: &mut Client<S>,
    status: Status,
    text: &[u8],
    stall: Duration,
) -> Result<(), End> {
    client.send(&encode(status, text), stall).await
}
