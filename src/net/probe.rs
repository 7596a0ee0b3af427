//! Asking a coordinator's port whether it works, in as few words as will do: a coordinator's log should not
//! be full of us.
//!
//! | what is known of the port | what a probe does |
//! | --- | --- |
//! | nothing, or that it wants a login | connects and closes |
//! | sessions are opened there without a login | opens one session once, keeps it, calls `GetInfo` on it each time |
//! | somebody has waited for an answer there for long | asks what every server answers at once, on a connection of its own |
//!
//! A probe that cannot *open* its session has shown only that it is not served, which a full coordinator does
//! not do for anybody new; that the port was connected to counts. A kept session that is not answered any
//! more is another matter, and from then on so is every session that cannot be opened, until one can: a
//! process that is frozen is still connected to.
//!
//! A connection says that there is a kernel; only an answer says that the process runs. What is asked for one
//! is harmless, but a server may log it, so it is asked only when there is a reason, and then until it was
//! answered.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use super::dial::{DialError, DialFailure, Place, dial};
use super::flow::{self, WriteError};
use super::stream::{Network, Seen, Stream};
use crate::ids::Family;
use crate::wire::facts::{Facts, Handle};
use crate::wire::hs2;
use crate::wire::method::Method;
use crate::wire::sasl::{Status, encode};
use crate::wire::scan::{ScanError, Scanner};
use crate::wire::thrift::MessageType;
use crate::wire::verdict::{Verdict, succeeded, verdict};
use crate::wire::write::Writer;

/// The method that no server has. Each answers it at once, with a `TApplicationException` (Thrift: the
/// processor that its compiler writes).
const NO_METHOD: &[u8] = b"hs2router_probe";

/// The SASL mechanism that no server has: a START that names it is answered BAD, before anybody is asked for
/// credentials (Thrift: `TSaslServerTransport` `handleSaslStartMessage`, in C++ as in Java).
const NO_MECHANISM: &[u8] = b"HS2ROUTER-PROBE";

/// The largest reply that is taken, in bytes; Impala's to `OpenSession` has some 10 KiB.
const LARGEST_REPLY: u64 = 1 << 20;

/// `HIVE_CLI_SERVICE_PROTOCOL_V6`, the one that Impala speaks.
const PROTOCOL_VERSION: i32 = 5;

/// `CLI_SERVER_NAME`: answered from memory by every server.
const SERVER_NAME: i32 = 13;

/// How a probe goes about it.
#[derive(Clone, Debug)]
pub struct ProbeSettings<N> {
    /// What dials.
    pub network: N,
    /// Name resolution and dial, and then each answer.
    pub allowed: Duration,
}

/// Why a port does not work.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The kept session was not answered, or since then none could be opened.
    #[error("the router's probe session got no answer: {0}")]
    Unanswered(SessionError),
    /// What every server answers at once was not answered.
    #[error("it accepts connections but did not answer within {allowed:?}")]
    Silent {
        /// What it would have answered.
        speaks: Speaks,
        /// How long it was waited for.
        allowed: Duration,
    },
}

impl ProbeError {
    /// Whether it is a fact about the coordinator (or the way to it) rather than about this process.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Self::Dial(error) if !error.failure.is_remote())
    }

    /// Whether nothing came at all: then whoever waits for something else there waits in vain, too.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Unanswered(SessionError::TimedOut(_)) => true,
            Self::Dial(error) => matches!(error.failure, DialFailure::TimedOut { .. }),
            Self::Unanswered(_) => false,
        }
    }
}

/// Why a session that is kept for probes brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It stopped reading.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What came is no reply, or one that is too large for what was asked.
    #[error("the answer is not a reply: {0}")]
    NoReply(#[from] ScanError),
    /// What came answers another call.
    #[error("it answered another call")]
    OtherCall,
    /// It answered and did not open a session.
    #[error("the session was refused")]
    Refused,
}

/// What a probe that passed found besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The port can be connected to.
    Connected,
    /// A session was opened, and is kept.
    Opened,
    /// The kept session was answered, or what every server answers.
    Answered,
    /// The kept session was told that the coordinator shuts down (Impala: `CheckNotShuttingDown`).
    ShuttingDown,
}

/// Whether a port is known to open sessions for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// It is not: nothing may be sent.
    Unknown,
    /// It is: unframed Thrift without SASL opened a session.
    None,
}

/// What a port understands. Neither's question would do for the other: Thrift takes the beginning of a
/// handshake for the length of a name that is to come, and some SASL servers read as many bytes as a
/// message's head seems to say before they look at it (Thrift: older versions of Java's `TSaslTransport`,
/// `receiveSaslMessage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Thrift, in whatever frames: what expects frames takes a bare message for a bad one, and closes.
    Thrift,
    /// SASL, before anything else.
    Sasl,
}

impl Speaks {
    fn other(self) -> Self {
        match self {
            Self::Thrift => Self::Sasl,
            Self::Sasl => Self::Thrift,
        }
    }

    fn question(self) -> BytesMut {
        match self {
            Self::Thrift => Writer::message(MessageType::Call, NO_METHOD, 0, |_| {}),
            Self::Sasl => BytesMut::from(encode(Status::Start, NO_MECHANISM).as_slice()),
        }
    }
}

/// The probe of one port, with the session that it keeps.
#[derive(Debug)]
pub struct Probe<N: Network> {
    place: Place,
    settings: ProbeSettings<N>,
    kept: Option<Kept<N::Stream>>,
    /// Whether a kept session was not answered, and none was opened since.
    doubted: bool,
    /// What it did not answer, until it does.
    silent: Option<Speaks>,
}

#[derive(Debug)]
struct Kept<S> {
    stream: S,
    session: Handle,
    seqid: i32,
    /// Whether nothing came behind an answer, which would be taken for the next.
    clean: bool,
}

impl<N: Network> Probe<N> {
    /// A probe that keeps nothing yet.
    pub fn new(place: Place, settings: ProbeSettings<N>) -> Self {
        Self { place, settings, kept: None, doubted: false, silent: None }
    }

    /// Probes once. Not cancel-safe: a dropped probe loses the session that it kept.
    ///
    /// # Errors
    /// [`ProbeError`]; see [`ProbeError::is_remote`].
    pub async fn run(&mut self, login: Login) -> Result<Passed, ProbeError> {
        let allowed = self.settings.allowed;
        // A connection that the coordinator closed says nothing of how it is now.
        if let Some(mut kept) = self.kept.take().filter(Kept::is_fit) {
            let answer = timeout(allowed, kept.get_info()).await;
            let answer = answer.unwrap_or(Err(SessionError::TimedOut(allowed)));
            self.doubted = answer.is_err();
            match answer.map_err(ProbeError::Unanswered)? {
                // The session has expired: the next probe opens another.
                Answer::NoSession => return Ok(Passed::Answered),
                Answer::Works => {
                    self.kept = Some(kept);
                    return Ok(Passed::Answered);
                }
                Answer::ShuttingDown => {
                    self.kept = Some(kept);
                    return Ok(Passed::ShuttingDown);
                }
            }
        }
        let place = &self.place;
        let stream = dial(&self.settings.network, place, allowed).await?;
        if login == Login::Unknown {
            return Ok(Passed::Connected);
        }
        let opened = timeout(allowed, Kept::open(stream)).await;
        match opened.unwrap_or(Err(SessionError::TimedOut(allowed))) {
            Ok(kept) => {
                (self.kept, self.doubted) = (Some(kept), false);
                Ok(Passed::Opened)
            }
            // To open one may take long, to answer does not.
            Err(SessionError::TimedOut(_)) if self.doubted => self.ask(Speaks::Thrift).await,
            Err(error) if self.doubted => Err(ProbeError::Unanswered(error)),
            Err(error) => {
                tracing::debug!(%place, %error, "no session for probes");
                Ok(Passed::Connected)
            }
        }
    }

    /// Asks what every server answers at once, on a connection of its own. Any answer will do, be it a close:
    /// only a process that runs gives one. `speaks` is what the client speaks that doubts it, which need not
    /// be what the port expects: a port without login takes the beginning of a handshake for that of a
    /// message, and waits, and some with one take a message for that of a handshake. So what is not answered
    /// is asked in the other way, too.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn ask(&mut self, speaks: Speaks) -> Result<Passed, ProbeError> {
        let mut answered = self.answers(speaks).await?;
        if !answered {
            answered = self.answers(speaks.other()).await?;
        }
        self.silent = (!answered).then_some(speaks);
        let allowed = self.settings.allowed;
        if answered { Ok(Passed::Answered) } else { Err(ProbeError::Silent { speaks, allowed }) }
    }

    async fn answers(&self, speaks: Speaks) -> Result<bool, ProbeError> {
        let (place, allowed) = (&self.place, self.settings.allowed);
        let mut stream = dial(&self.settings.network, place, allowed).await?;
        let question = speaks.question();
        let answer = async {
            let _sent = send(&mut stream, &question).await;
            let _answer = flow::read(&mut stream).await;
        };
        Ok(timeout(allowed, answer).await.is_ok())
    }

    /// What [`Self::ask`] was not answered the last time.
    pub fn silent(&self) -> Option<Speaks> {
        self.silent
    }

    /// Whether it keeps a session, and a connection with it.
    pub fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// Forgets the session that it keeps, which is none of what is probed from now on.
    pub fn forget(&mut self) {
        (self.kept, self.doubted) = (None, false);
    }

    /// Ends the kept session, so that it does not linger on the coordinator.
    pub async fn close(mut self) {
        if let Some(kept) = self.kept.take().filter(Kept::is_fit) {
            let _ended = timeout(self.settings.allowed, kept.close()).await;
        }
    }
}

/// What the kept session was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Works,
    ShuttingDown,
    NoSession,
}

impl<S: Stream> Kept<S> {
    async fn open(mut stream: S) -> Result<Self, SessionError> {
        let method = hs2::OPEN_SESSION;
        let (reply, clean) = call(&mut stream, method, 0, |request| {
            request.i32(1, PROTOCOL_VERSION);
            request.string(2, b"hs2router");
        })
        .await?;
        let session = reply.handle().filter(|_| succeeded(method, &reply));
        let session = session.ok_or(SessionError::Refused)?;
        Ok(Self { stream, session, seqid: 0, clean })
    }

    /// Whether another call may be made on its connection.
    fn is_fit(&self) -> bool {
        self.clean && self.stream.look() == Seen::Nothing
    }

    async fn get_info(&mut self) -> Result<Answer, SessionError> {
        let method = hs2::GET_INFO;
        self.seqid = self.seqid.wrapping_add(1);
        let session = self.session;
        let (reply, clean) = call(&mut self.stream, method, self.seqid, |request| {
            write_session(request, session);
            request.i32(2, SERVER_NAME);
        })
        .await?;
        self.clean = clean;
        // Only Impala says that it shuts down, and nobody else in its words.
        Ok(match verdict(method, &reply, Family::Impala) {
            Verdict::Success => Answer::Works,
            Verdict::ShuttingDown => Answer::ShuttingDown,
            _ => Answer::NoSession,
        })
    }

    async fn close(mut self) -> Result<(), SessionError> {
        let (session, seqid) = (self.session, self.seqid.wrapping_add(1));
        let method = hs2::CLOSE_SESSION;
        call(&mut self.stream, method, seqid, |request| write_session(request, session)).await.map(drop)
    }
}

fn write_session(request: &mut Writer, session: Handle) {
    request.structure(1, |handle| {
        handle.structure(1, |identifier| {
            identifier.string(1, &session.guid);
            identifier.string(2, &session.secret);
        });
    });
}

/// One call, unframed, whose only argument is a struct that `fields` writes; its reply, and whether nothing
/// came behind it.
async fn call<S: Stream>(
    stream: &mut S,
    method: &'static Method,
    seqid: i32,
    fields: impl FnOnce(&mut Writer),
) -> Result<(Facts, bool), SessionError> {
    let request = Writer::message(MessageType::Call, method.name.as_bytes(), seqid, |arguments| {
        arguments.structure(1, fields);
    });
    send(stream, &request).await?;
    let mut scanner = Box::new(Scanner::reply(method, LARGEST_REPLY));
    loop {
        let chunk = flow::read(stream).await?;
        if chunk.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let step = scanner.push(&chunk)?;
        if step.done {
            let facts = scanner.facts();
            if facts.name.as_bytes() != method.name.as_bytes() || facts.seqid != seqid {
                return Err(SessionError::OtherCall);
            }
            return Ok((facts.clone(), step.used == chunk.len()));
        }
    }
}

/// The caller's deadline bounds the whole exchange.
async fn send<S: Stream>(stream: &mut S, request: &BytesMut) -> Result<(), SessionError> {
    let whole = flow::write_all(stream, request, Duration::from_mins(1)).await;
    whole.map_err(|(error, _)| error.into())
}
