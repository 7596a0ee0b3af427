//! SASL GSSAPI where the router has a keytab: it judges the client's ticket itself, and speaks for the client to
//! coordinators under its own name.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use tokio::time::timeout;

use crate::cluster::brake::Who;
use crate::ids::Transport;
use crate::net::linger::linger;
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::client::{Connection, Stage};
use crate::serve::fleet::entrance::Delegation;
use crate::serve::fleet::tickets::{Refused, Taken, Tickets};
use crate::serve::message::client::Client;
use crate::serve::message::end::End;
use crate::session::delegation::Caller;
use crate::wire::sasl::gssapi::TOKEN_LIMIT;
use crate::wire::sasl::kerberos::GssapiError;
use crate::wire::sasl::kerberos::acceptor::Reply;
use crate::wire::sasl::{HEADER_LEN, MECHANISM_LIMIT, Status, encode, parse};

/// How a handshake ended that was not carried through.
enum Broken {
    Refused(Refused),
    Connection(End),
}

impl From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Carries out the handshake of a client that began GSSAPI. All that it sent is still pending.
///
/// # Errors
/// [`End`], when the client is refused, which it is told, or when the connection ends.
pub(super) async fn authenticate<S: Stream>(
    mut connection: Box<Connection<S>>,
    delegation: Delegation,
) -> Result<Stage<S>, End> {
    let Delegation { tickets, login } = delegation;
    let (allowed, stall) =
        (connection.shared.settings.handshake_timeout, connection.shared.settings.stall_timeout);
    let (fleet, who) = (Arc::clone(&connection.entrance.fleet), Who::by_ticket(connection.client.address));
    let accepted = timeout(allowed, accept(&mut connection.client, &tickets, stall)).await;
    let caller = match accepted {
        Err(_elapsed) => return Err(End::HandshakeTimedOut),
        Ok(Err(Broken::Connection(end))) => return Err(end),
        Ok(Err(Broken::Refused(why))) => {
            let text = format!("hs2router ({}): {why}", connection.conn);
            if why.is_verdict() {
                fleet.slow_down(who).await;
            }
            connection.client.send(&encode(why.status(), text.as_bytes()), stall).await?;
            linger(&mut connection.client.stream).await;
            return Err(End::TicketRefused(why.to_string().into()));
        }
        Ok(Ok(caller)) => caller,
    };
    fleet.brake.lock().note_of_use(who);
    connection.client.send(&encode(Status::Complete, b""), stall).await?;
    tracing::debug!(user = caller.user(), "ticket accepted");
    let links = Links::speaking_for(fleet, &connection.listed, caller, login);
    Ok(Stage::Calls(Box::new(connection.into_calls(Transport::Sasl, links))))
}

/// Exchanges the messages of the handshake until it is known who the client is.
async fn accept<S: Stream>(
    client: &mut Client<S>,
    tickets: &Tickets,
    stall: Duration,
) -> Result<Caller, Broken> {
    let _start = next_message(client, MECHANISM_LIMIT).await?;
    let mut acceptor = None;
    loop {
        let (status, payload) = next_message(client, TOKEN_LIMIT).await?;
        let Taken { acceptor: begun, reply } = tickets.take(acceptor, status, payload).await?;
        match reply {
            Reply::Challenge(token) => {
                acceptor = Some(begun);
                client.send(&encode(Status::Ok, &token), stall).await.map_err(Broken::Connection)?;
            }
            Reply::Accepted { principal } => return Ok(tickets.caller(&principal)?),
        }
    }
}

/// Reads the client's next message. A length is judged before anything is kept for it.
async fn next_message<S: Stream>(client: &mut Client<S>, limit: usize) -> Result<(Status, Vec<u8>), Broken> {
    loop {
        if let Some(message) =
            parse(&client.pending, limit).map_err(|error| Refused::from(GssapiError::from(error)))?
        {
            let taken = (message.status, message.payload.to_vec());
            client.pending.advance(HEADER_LEN + taken.1.len());
            return Ok(taken);
        }
        if !client.more().await.map_err(Broken::Connection)? {
            return Err(Broken::Connection(End::ClientBroke { inside: "handshake" }));
        }
    }
}
