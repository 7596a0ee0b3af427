//! Tries the router's own login at a port, and whether it may speak for a user there: for people who look for a
//! fault, on a connection that no client uses.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::ids::Family;
use crate::net::flow;
use crate::net::stream::Stream;
use crate::net::tls::io::Io;
use crate::serve::link::login::authenticate;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::no_verdict::Likely;
use crate::serve::link::router_login::RouterLogin;
use crate::serve::settings::KerberosPlan;
use crate::wire::facts::Facts;
use crate::wire::frame::Deframer;
use crate::wire::hs2;
use crate::wire::hs2::open::{ForUser, Open};
use crate::wire::hs2::request;
use crate::wire::method::Method;
use crate::wire::sasl::kerberos::one_line;
use crate::wire::scan::Scanner;
use crate::wire::verdict::succeeded;

/// The largest reply that is read, in bytes; Impala's to `OpenSession` has about 10 KiB.
const LARGEST_REPLY: u32 = 1 << 20;
/// `HIVE_CLI_SERVICE_PROTOCOL_V6`, the one that Impala speaks.
const PROTOCOL: i32 = 5;

/// What became of a login of the router's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginTried {
    /// The router has no ticket for the coordinator.
    NoTicket(String),
    /// The coordinator did not accept its ticket.
    Refused(String),
    /// It did, and opened a session for the user, which was closed again.
    Delegated {
        /// The user.
        user: String,
    },
    /// It did, but opened no session for the user.
    NotDelegated {
        /// The user.
        user: String,
        /// The beginning of what it said.
        text: String,
    },
    /// It did, and then did not answer.
    Unanswered(String),
}

/// A login that is tried.
#[derive(Debug)]
pub struct OwnLogin<'a> {
    /// Who the router is, and who the coordinator is.
    pub plan: KerberosPlan,
    /// The coordinator's host, as the config has it.
    pub host: &'a str,
    /// What the coordinator is.
    pub family: Family,
    /// A session is opened for this user.
    pub user: &'a str,
    /// The time for the ticket, for the handshake, and for the session.
    pub allowed: Duration,
}

impl OwnLogin<'_> {
    /// Logs in on a connection that was just dialed, opens a session, and closes it.
    pub async fn try_on<S: Stream>(self, mut stream: Io<S>) -> LoginTried {
        let Self { plan, host, family, user, allowed } = self;
        let ticket = match RouterLogin::new(plan).begin(host, allowed).await {
            Ok(ticket) => ticket,
            Err(error) => return LoginTried::NoTicket(error.to_string()),
        };
        let verdict = authenticate(&mut stream, ticket, allowed, Likely::TicketRefused).await;
        if let Err(no_link) = verdict.map_err(NoLink::of_router) {
            return LoginTried::Refused(no_link.to_string());
        }
        let tried = timeout(allowed, open_and_close(&mut stream, family, user)).await;
        tried.unwrap_or_else(|_elapsed| LoginTried::Unanswered(format!("no answer within {allowed:?}")))
    }
}

async fn open_and_close<S: Stream>(stream: &mut Io<S>, family: Family, user: &str) -> LoginTried {
    let open = Open { protocol: Some(PROTOCOL), ..Open::default() }.write();
    let open = match ForUser::read(&open) {
        Ok(open) => open.write(family, user, 1),
        Err(error) => return LoginTried::Unanswered(error.to_string()),
    };
    let reply = match call(stream, &open, hs2::OPEN_SESSION).await {
        Ok(reply) => reply,
        Err(text) => return LoginTried::Unanswered(text),
    };
    let session = reply.handle().filter(|_| succeeded(hs2::OPEN_SESSION, &reply));
    let Some(session) = session else {
        let text = one_line(&String::from_utf8_lossy(reply.message()));
        return LoginTried::NotDelegated { user: user.to_owned(), text };
    };
    // If this fails, the coordinator closes the session with the connection, or soon after.
    let _closed = call(stream, &request::close_session(&session, 2), hs2::CLOSE_SESSION).await;
    LoginTried::Delegated { user: user.to_owned() }
}

/// One call in frames; returns what its reply says.
async fn call<S: Stream>(
    stream: &mut Io<S>,
    message: &BytesMut,
    method: &'static Method,
) -> Result<Facts, String> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let framed = [length.as_slice(), message].concat();
    let sent = flow::write_all(stream, &framed, Duration::from_mins(1)).await;
    sent.map_err(|(error, _)| error.to_string())?;
    let mut deframer = Deframer::new(LARGEST_REPLY as usize);
    let mut scanner = Box::new(Scanner::reply(method, LARGEST_REPLY.into()));
    loop {
        let chunk = flow::read(stream).await.map_err(|error| error.to_string())?;
        if chunk.is_empty() {
            return Err("it closed the connection".to_owned());
        }
        let mut rest: &[u8] = &chunk;
        while !rest.is_empty() {
            let piece = deframer.next(rest).map_err(|error| error.to_string())?;
            let payload = rest.get(piece.payload).unwrap_or_default();
            rest = rest.get(piece.used..).unwrap_or_default();
            if !payload.is_empty() && scanner.push(payload).map_err(|error| error.to_string())?.done {
                return Ok(scanner.facts().clone());
            }
        }
    }
}
