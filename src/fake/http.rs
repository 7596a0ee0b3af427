//! `HiveServer2` over HTTP as Impala serves it (Impala: `THttpServer.cpp`, `THttpTransport.cpp`): an HTTP/1.1
//! server that is no more careful than Impala's, because whoever forwards to it has to be.

mod body;
mod cookies;
mod counts;
mod gate;
mod head;
mod reply;
mod seen;
mod tickets;

use std::io::{Cursor, Read as _, Write as _};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;

use thrift::protocol::{TInputProtocol as _, TMessageType, TType};

use self::body::{Body, Progress};
pub(super) use self::counts::Ledger;
pub use self::counts::{HttpCounts, Tally};
use self::gate::{Admission, Gate};
use self::head::{Head, Verb};
pub use self::seen::ReceivedHead;
pub use self::tickets::ticket;
use super::connection::{Connection, Desk, Newcomer, input, is_end, is_timeout, is_too_long};
use super::coordinator::Settings;
use super::faults::Fault;
use super::manner::Manner;
use super::sasl::Incoming;
use super::sending::{GARBAGE, Next, Outlet};
use super::state::State;

/// The longest head that is read, in bytes. Impala has no limit (`THttpTransport.cpp` `refill`).
const HEAD_LIMIT: usize = 1 << 20;
/// The longest body that is read, in bytes; Impala's limit is 2 GiB
/// (`--thrift_external_rpc_max_message_size`).
const BODY_LIMIT: usize = 64 << 20;

/// What came of bytes that a [`Talk`] heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It takes more bytes to make a call.
    NotYet,
    /// This message is to be executed and answered.
    Call(Vec<u8>),
    /// The connection is to be closed.
    Close,
}

/// One connection, without its socket: bytes go in, messages and what is to be said come out.
pub(super) struct Talk {
    manner: Manner,
    state: Arc<State>,
    gate: Gate,
    /// What Hive and Spark say after the body of a request that they do not admit.
    refusal: Option<&'static [u8]>,
    /// What has come and was not looked at.
    wire: Vec<u8>,
    /// The body that is being read; `None` before a head.
    body: Option<Body>,
    /// What bodies brought and no call has used. **Bytes that follow a message in a body become the next
    /// call, without a head and without authentication** (Impala: `THttpTransport.cpp` `read`, `readEnd`).
    payload: Vec<u8>,
}

impl Talk {
    /// A connection begins.
    pub(super) fn new(settings: &Settings, desk: &Desk) -> Self {
        let (manner, state) = (settings.manner, Arc::clone(&desk.state));
        let gate = Gate::new(settings, Arc::clone(&state), Rc::clone(&desk.caller));
        Self { manner, state, gate, refusal: None, wire: Vec::new(), body: None, payload: Vec::new() }
    }

    /// Whether no part of a request has come.
    pub(super) fn is_between(&self) -> bool {
        self.body.is_none() && self.wire.is_empty()
    }

    /// How many bytes have come and belong to no call yet.
    pub(super) fn unheard(&self) -> usize {
        self.wire.len() + self.payload.len()
    }

    /// Hears bytes. What is to be said at once is added to `said`.
    ///
    /// A request that was sent before the last was answered stays unnoticed until more bytes come (Impala:
    /// `TAcceptQueueServer.cpp` `Task::run`, whose `peek` looks at the socket only).
    pub(super) fn hear(&mut self, bytes: &[u8], said: &mut Vec<u8>) -> Step {
        self.wire.extend_from_slice(bytes);
        if self.body.is_none() && !self.payload.is_empty() {
            match self.message() {
                Step::NotYet => {}
                step => return step,
            }
        }
        loop {
            let step = if self.body.is_some() { self.read_body(said) } else { self.read_head(said) };
            if let Some(step) = step {
                if matches!(step, Step::Call(_)) {
                    self.note_excess();
                    if self.is_servlet() {
                        self.payload.clear();
                    }
                }
                return step;
            }
        }
    }

    /// A reply as it goes over the wire.
    pub(super) fn reply(&mut self, payload: &[u8]) -> Vec<u8> {
        reply::ok(self.manner, self.gate.take_fields(), payload)
    }

    /// Counts what has come too early, or never should have.
    fn note_excess(&self) {
        let (leftover, pipelined) = (!self.payload.is_empty(), !self.wire.is_empty());
        self.state.http.count(|counts| {
            counts.leftovers += u64::from(leftover);
            counts.pipelined += u64::from(pipelined);
        });
    }

    /// Whether it is served by Java's servlets, which read one message of each body.
    fn is_servlet(&self) -> bool {
        self.manner != Manner::Impala
    }

    /// Reads a head; `None` if its body is next.
    fn read_head(&mut self, said: &mut Vec<u8>) -> Option<Step> {
        let limit = match self.manner {
            Manner::Impala => HEAD_LIMIT,
            // `hive.server2.thrift.http.request.header.size`.
            Manner::Hive { .. } => 6 << 10,
            // Jetty's default.
            Manner::Spark => 8 << 10,
        };
        let before = self.wire.len();
        let head = Head::take(&mut self.wire);
        if before - self.wire.len() > limit || (head.is_none() && before > limit) {
            said.extend_from_slice(if self.is_servlet() { reply::LONG_HEAD } else { b"" });
            return Some(Step::Close);
        }
        let Some(head) = head else { return Some(Step::NotYet) };
        match head.verb {
            Verb::Post => {}
            _ if self.is_servlet() => {
                said.extend_from_slice(reply::NO_METHOD);
                return Some(Step::Close);
            }
            // Without a word (Impala: `THttpServer.cpp` `parseStatusLine`).
            Verb::Unsupported => return Some(Step::Close),
            // It has no length and is judged like a call after that.
            Verb::Options => said.extend_from_slice(reply::OPTIONS),
        }
        match self.gate.judge(&head) {
            Admission::Admitted => {}
            // The body is read first (Hive: `ThriftHttpServlet` `doPost`).
            Admission::Refused if self.is_servlet() => {
                let asks_for_tickets = self.gate.takes_tickets();
                self.refusal = Some(if asks_for_tickets { reply::NO_TICKET } else { reply::UNKNOWN_CLIENT });
            }
            Admission::Suspect => self.refusal = Some(reply::INVALID_SIGN),
            Admission::Refused => {
                said.extend(reply::unauthorized(self.gate.take_fields()));
                return Some(Step::Close);
            }
        }
        if head.verb == Verb::Options {
            return Some(Step::Close);
        }
        // Not before the client is known (Impala: `THttpTransport.cpp` `readHeaders`).
        if head.expects_continue() {
            said.extend_from_slice(reply::CONTINUE);
        }
        self.body = Some(Body::new(head.extent()));
        None
    }

    /// Reads a body; `None` if another head is next.
    fn read_body(&mut self, said: &mut Vec<u8>) -> Option<Step> {
        let body = self.body.as_mut()?;
        let is_chunked = !matches!(body, Body::Content(_));
        match body.read(&mut self.wire, &mut self.payload) {
            Progress::Broken => return Some(Step::Close),
            Progress::More if self.payload.len() > BODY_LIMIT => return Some(Step::Close),
            Progress::More => return Some(Step::NotYet),
            Progress::Done => self.body = None,
        }
        if self.is_servlet() {
            return self.servlet_call(said);
        }
        match self.message() {
            // The last chunk reads as the end of the stream, and so does a body of no bytes (Impala:
            // `THttpTransport.cpp` `read`). What else is missing may come with the next request.
            Step::NotYet if is_chunked || self.payload.is_empty() => Some(Step::Close),
            Step::NotYet => None,
            step => Some(step),
        }
    }

    /// What becomes of a body in Hive and Spark; what follows a message in it is forgotten.
    fn servlet_call(&mut self, said: &mut Vec<u8>) -> Option<Step> {
        let answer = match self.refusal.take() {
            Some(refusal) => refusal,
            None => match self.message() {
                Step::Call(message) => return Some(Step::Call(message)),
                Step::NotYet | Step::Close => reply::NO_MESSAGE,
            },
        };
        said.extend_from_slice(answer);
        drop(self.gate.take_fields());
        self.payload.clear();
        None
    }

    /// Takes the first message of what bodies brought.
    fn message(&mut self) -> Step {
        match message_length(&self.payload) {
            Ok(length) => Step::Call(self.payload.drain(..length.min(self.payload.len())).collect()),
            Err(error) if is_end(&error) || is_too_long(&error) => Step::NotYet,
            Err(_) => Step::Close,
        }
    }
}

/// How long the message is that these bytes begin with.
fn message_length(bytes: &[u8]) -> thrift::Result<usize> {
    let mut input = input(Incoming::new(Cursor::new(bytes)));
    input.read_message_begin()?;
    input.skip(TType::Struct)?;
    let buffered = input.transport.buffered();
    let asked = usize::try_from(input.transport.stream_mut().position()).unwrap_or(usize::MAX);
    Ok(asked.saturating_sub(buffered))
}

/// Serves the calls of a connection until either side ends.
pub(super) fn serve(connection: Connection) {
    let Connection { state, control, service, number, user, stream, mut incoming, settings, web, .. } =
        connection;
    let desk = Desk::open(state, Newcomer { service, number, user }, web);
    let talk = Talk::new(&settings, &desk);
    let mut server = Server { outlet: Outlet { control, stream }, desk, talk };
    let mut chunk = [0; 8 << 10];
    loop {
        let read = match incoming.read(&mut chunk) {
            Ok(read) if read > 0 => read,
            Err(error) if is_timeout(&error) && !server.is_idle() => continue,
            _ => return,
        };
        match server.hear(chunk.get(..read).unwrap_or_default()) {
            Ok(Next::Call) => {}
            Ok(Next::Linger) => return incoming.discard(),
            Ok(Next::Close) | Err(_) => return,
        }
    }
}

/// A connection with its socket.
struct Server {
    outlet: Outlet,
    desk: Desk,
    talk: Talk,
}

impl Server {
    /// Whether it may be closed now that nothing has come for long (Impala:
    /// `--idle_client_poll_period_s`).
    fn is_idle(&self) -> bool {
        self.talk.is_between() && self.desk.state.is_idle(&self.desk.caller)
    }

    fn hear(&mut self, bytes: &[u8]) -> thrift::Result<Next> {
        let mut said = Vec::new();
        let step = self.talk.hear(bytes, &mut said);
        self.outlet.stream.write_all(&said)?;
        match step {
            Step::NotYet => Ok(Next::Call),
            Step::Call(message) => self.call(&message),
            Step::Close if said.is_empty() => Ok(Next::Close),
            Step::Close => {
                // Impala closes at once. Here nobody's luck decides whether the unread body turns that into
                // a reset, which would discard what was said.
                self.outlet.stream.shutdown(Shutdown::Write)?;
                Ok(Next::Linger)
            }
        }
    }

    /// Executes and answers one call. On an error the connection is closed without a reply, as impalad does.
    fn call(&mut self, bytes: &[u8]) -> thrift::Result<Next> {
        let mut arguments = input(Incoming::new(Cursor::new(bytes)));
        let message = arguments.read_message_begin()?;
        if !matches!(message.message_type, TMessageType::Call | TMessageType::OneWay) {
            return Ok(Next::Close);
        }
        self.desk.receive(&message);
        let fault = self.desk.state.faults.take(&message.name);
        if !self.outlet.lets_in(fault) {
            return Ok(Next::Close);
        }
        let Some(reply) = self.desk.execute(message, &mut arguments)? else { return Ok(Next::Close) };
        let reply = if fault == Some(Fault::Garbage) { GARBAGE.to_vec() } else { reply };
        Ok(self.outlet.send(&self.talk.reply(&reply), fault)?)
    }
}
