//! Checks whether a coordinator's port works, with as few words as possible, so that the coordinator's log is
//! not full of the router.
//!
//! | what is known of the port | what a probe does |
//! | --- | --- |
//! | nothing, or that it wants a login | connects and closes |
//! | sessions are opened there without a login | opens one session once, keeps it, calls `GetInfo` on it each time |
//! | somebody has waited for an answer there for long | asks what every server answers at once, on a connection of its own |
//!
//! A probe that cannot *open* its session passes as long as the port can be connected to: it only shows that
//! the probe is not served, and a full coordinator serves nobody new. If a session that is *kept* gets no
//! answer, the probe fails, and so does every later one until a session can be opened again: a frozen process
//! can still be connected to.
//!
//! A connection only shows that the kernel works; an answer shows that the process runs. The question is
//! harmless, but a server may log it, so it is asked only when there is a reason, and then until it was
//! answered.

mod kept;

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use rustls::{CommonState, ProtocolVersion};
use tokio::io::AsyncWrite as _;
use tokio::time::timeout;

pub use self::kept::SessionError;
use self::kept::{Answer, Kept, send};
use super::dial::{Destination, DialError, DialFailure, dial};
use super::flow;
use super::stream::{Network, Stream};
use super::tls::client::TlsFailure;
use super::tls::handshake::secure;
use super::tls::io::{Failure, Io};
use crate::wire::sasl::{Status, encode};
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

/// A method that no server has. Every server answers it at once, with a `TApplicationException` (Thrift: the
/// processor that its compiler writes).
const NO_METHOD: &[u8] = b"hs2router_probe";

/// A SASL mechanism that no server has. A START with it is answered with BAD, before any credentials are
/// needed (Thrift: `TSaslServerTransport` `handleSaslStartMessage`, in C++ as in Java).
const NO_MECHANISM: &[u8] = b"HS2ROUTER-PROBE";

/// What to do where a client port has no TLS.
pub(crate) const NO_TLS: &str =
    "; if the port has no TLS, set tls = false for this coordinator, or correct the port";

/// How long a server is given to refuse the router's certificate: it does so without being asked.
const WELCOME_WITHIN: Duration = Duration::from_secs(1);

/// How to probe.
#[derive(Clone, Debug)]
pub struct ProbeSettings<N> {
    /// What dials.
    pub network: N,
    /// The time for name resolution and dial together, and then for each answer.
    pub allowed: Duration,
}

/// Why a port does not work.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It can be connected to, but not with TLS.
    #[error("{}{}", .0, .0.if_no_tls(NO_TLS))]
    Tls(#[from] TlsFailure),
    /// The kept session got no answer, or none could be opened since then.
    #[error("the router's probe session got no answer: {0}")]
    Unanswered(SessionError),
    /// The question that every server answers at once got no answer.
    #[error("it accepts connections but did not answer within {allowed:?}{}", tls_hint(*.is_encrypted))]
    Silent {
        /// What the port speaks.
        speaks: Speaks,
        /// How long the answer was waited for.
        allowed: Duration,
        /// Whether it was asked with TLS.
        is_encrypted: bool,
    },
}

/// What may be wrong with a port that does not answer: one without TLS may wait for more of a handshake.
fn tls_hint(is_encrypted: bool) -> &'static str {
    if is_encrypted {
        " with TLS; if it does not speak TLS, set tls = false for this coordinator"
    } else {
        ""
    }
}

impl ProbeError {
    /// Whether the failure is about the coordinator (or the way to it) and not about this process.
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Dial(error) => error.failure.is_remote(),
            Self::Tls(failure) => failure.is_remote(),
            Self::Unanswered(_) | Self::Silent { .. } => true,
        }
    }

    /// Whether nothing came at all. Then it is also in vain to wait for anything else there.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Unanswered(SessionError::TimedOut(_)) => true,
            Self::Dial(error) => matches!(error.failure, DialFailure::TimedOut { .. }),
            Self::Unanswered(_) | Self::Tls(_) => false,
        }
    }
}

/// What a successful probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The port can be connected to.
    Connected,
    /// A session was opened, and is kept.
    Opened,
    /// The kept session got an answer, or the question that every server answers did.
    Answered,
    /// The answer in the kept session says that the coordinator is shutting down (Impala:
    /// `CheckNotShuttingDown`).
    ShuttingDown,
}

/// Whether a port is known to open sessions for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// It is not known to, so nothing may be sent.
    Unknown,
    /// It does: a session was opened with unframed Thrift without SASL.
    None,
}

/// What a port understands. A question for one kind does not do for another: Thrift takes the beginning of
/// a handshake for the length of a name that follows, and some SASL servers read as many bytes as the head of
/// a message seems to announce before they look at it (Thrift: older versions of Java's `TSaslTransport`,
/// `receiveSaslMessage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Thrift, framed or not: a port that expects frames takes a bare message for a bad frame, and closes.
    Thrift,
    /// SASL.
    Sasl,
    /// HTTP.
    Http,
}

impl Speaks {
    /// What a port may understand instead that does not answer the question for this. A port for HTTP is
    /// nothing else: it has a number of its own.
    fn other(self) -> Option<Self> {
        match self {
            Self::Thrift => Some(Self::Sasl),
            Self::Sasl => Some(Self::Thrift),
            Self::Http => None,
        }
    }

    fn question(self, destination: &Destination) -> BytesMut {
        match self {
            Self::Thrift => Writer::message(MessageType::Call, NO_METHOD, 0, |_| {}),
            Self::Sasl => BytesMut::from(encode(Status::Start, NO_MECHANISM).as_slice()),
            // Answered before a message is read: with 200 or 401 (Impala: `THttpServer::parseStatusLine`,
            // `headersDone`), or with whatever Jetty has for it.
            Self::Http => {
                let question =
                    format!("OPTIONS / HTTP/1.1\r\nHost: {destination}\r\nConnection: close\r\n\r\n");
                BytesMut::from(question.as_str())
            }
        }
    }
}

/// The probe of one port, with the session that it keeps.
#[derive(Debug)]
pub struct Probe<N: Network> {
    destination: Destination,
    settings: ProbeSettings<N>,
    kept: Option<Kept<Io<N::Stream>>>,
    /// Whether a kept session got no answer and none was opened since.
    doubted: bool,
    /// What the port did not answer, until it does.
    silent: Option<Speaks>,
}

impl<N: Network> Probe<N> {
    /// A probe without a session.
    pub fn new(destination: Destination, settings: ProbeSettings<N>) -> Self {
        Self { destination, settings, kept: None, doubted: false, silent: None }
    }

    /// Probes once. Not cancel-safe: a dropped probe loses the session that it kept.
    ///
    /// # Errors
    /// When the port cannot be connected to, or the kept session gets no answer; see
    /// [`ProbeError::is_remote`].
    pub async fn run(&mut self, login: Login) -> Result<Passed, ProbeError> {
        let allowed = self.settings.allowed;
        // A connection that the coordinator closed earlier says nothing about its state now.
        if let Some(mut kept) = self.kept.take().and_then(Kept::if_fit) {
            let answer = timeout(allowed, kept.get_info()).await;
            let answer = answer.unwrap_or(Err(SessionError::TimedOut(allowed)));
            self.doubted = answer.is_err();
            match answer.map_err(ProbeError::Unanswered)? {
                // The session has expired; the next probe opens another one.
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
        let destination = &self.destination;
        let stream = dial(&self.settings.network, destination, allowed).await?;
        // A port without a free thread does not get to the handshake.
        let secured = timeout(allowed, secure(stream, destination.tls.as_deref())).await;
        let stream = match secured {
            Ok(stream) => stream?,
            Err(_elapsed) if self.doubted => {
                return Err(ProbeError::Unanswered(SessionError::TimedOut(allowed)));
            }
            Err(_elapsed) => return Ok(Passed::Connected),
        };
        if login == Login::Unknown {
            return welcome(stream, allowed).await;
        }
        let opened = timeout(allowed, Kept::open(stream)).await;
        let opened = opened.unwrap_or(Err(SessionError::TimedOut(allowed)));
        if let Some(failure) = opened.as_ref().err().and_then(SessionError::unwelcome) {
            return Err(failure.into());
        }
        match opened {
            Ok(kept) => {
                (self.kept, self.doubted) = (Some(kept), false);
                Ok(Passed::Opened)
            }
            // Opening a session may take long, answering may not.
            Err(SessionError::TimedOut(_)) if self.doubted => self.ask(Speaks::Thrift).await,
            Err(error) if self.doubted => Err(ProbeError::Unanswered(error)),
            Err(error) => {
                tracing::debug!(%destination, %error, "no session for probes");
                Ok(Passed::Connected)
            }
        }
    }

    /// Asks the question that every server answers at once, on a connection of its own. Any answer will do,
    /// even a close, because only a running process gives one. `speaks` is what the client that doubts the
    /// port speaks, which may not be what the port expects: a port without login takes the beginning of a
    /// handshake for that of a message and waits, and some ports with a login take a message for a handshake.
    /// So a question without an answer is followed by the other one, if there is one.
    ///
    /// # Errors
    /// When the port cannot be connected to, or answers no question in time.
    pub async fn ask(&mut self, speaks: Speaks) -> Result<Passed, ProbeError> {
        let mut answered = self.answers(speaks).await?;
        if !answered && let Some(other) = speaks.other() {
            answered = self.answers(other).await?;
        }
        self.silent = (!answered).then_some(speaks);
        let allowed = self.settings.allowed;
        let is_encrypted = self.destination.tls.is_some();
        if answered {
            Ok(Passed::Answered)
        } else {
            Err(ProbeError::Silent { speaks, allowed, is_encrypted })
        }
    }

    async fn answers(&self, speaks: Speaks) -> Result<bool, ProbeError> {
        let (destination, allowed) = (&self.destination, self.settings.allowed);
        let stream = dial(&self.settings.network, destination, allowed).await?;
        let question = speaks.question(destination);
        let answer = async {
            let Ok(mut stream) = secure(stream, destination.tls.as_deref()).await else { return };
            let _sent = send(&mut stream, &question).await;
            let _answer = flow::read(&mut stream).await;
        };
        Ok(timeout(allowed, answer).await.is_ok())
    }

    /// What [`Self::ask`] got no answer to the last time.
    pub fn silent(&self) -> Option<Speaks> {
        self.silent
    }

    /// Whether a session, and with it a connection, is kept.
    pub fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// Forgets the kept session, which is not on the process that is probed from now on.
    pub fn forget(&mut self) {
        (self.kept, self.doubted) = (None, false);
    }

    /// Ends the kept session, so that it does not linger on the coordinator.
    pub async fn close(mut self) {
        if let Some(kept) = self.kept.take().and_then(Kept::if_fit) {
            let _ended = timeout(self.settings.allowed, kept.close()).await;
        }
    }
}

/// Closes a connection on which nothing was said, and finds out whether it was welcome: in TLS 1.3 a server
/// refuses a client's certificate only after the handshake, by an alert in place of its first answer. It ends
/// the connection in either case, because this half is closed. One that does not is not waited for for long.
async fn welcome<S: Stream>(mut stream: Io<S>, allowed: Duration) -> Result<Passed, ProbeError> {
    let version = stream.negotiated().and_then(CommonState::protocol_version);
    if version != Some(ProtocolVersion::TLSv1_3) {
        return Ok(Passed::Connected);
    }
    let end = async {
        poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await?;
        while !flow::read(&mut stream).await?.is_empty() {}
        Ok(())
    };
    match timeout(allowed.min(WELCOME_WITHIN), end).await {
        Ok(Err(error)) => Failure::unwelcome(&error).map_or(Ok(Passed::Connected), |why| Err(why.into())),
        Ok(Ok(())) | Err(_) => Ok(Passed::Connected),
    }
}

#[cfg(test)]
mod tests;
