//! How a client connection ends, and whose doing it was.

use std::io;
use std::time::Duration;

use crate::metrics::{CloseCause, Label as _};
use crate::serve::message::pace::SLOWEST;
use crate::serve::message::reply::BadReply;
use crate::wire::detect::Speech;
use crate::wire::frame::FrameError;
use crate::wire::sasl::SaslError;
use crate::wire::scan::ScanError;

/// Why a client connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The client said goodbye between two calls.
    #[error("the client closed it")]
    ClientClosed,
    /// The client closed it in the middle of something.
    #[error("the client closed it in the middle of a {inside}")]
    ClientBroke {
        /// What was cut off: request, handshake.
        inside: &'static str,
    },
    /// The client reset it, or the network gave it up.
    #[error("the client is gone: {0}")]
    ClientGone(io::Error),
    /// The client stopped sending inside a request, or stopped taking its reply.
    #[error("the client stalled: no byte {doing} within stall_timeout")]
    ClientStalled {
        /// What it should have done: sent, taken.
        doing: &'static str,
    },
    /// The client sent a request by a few bytes now and then.
    #[error("the client was too slow: less than {SLOWEST} bytes of a request a second, for stall_timeout")]
    ClientSlow,
    /// The client did not finish its handshake.
    #[error("the client did not finish its handshake within handshake_timeout")]
    HandshakeTimedOut,
    /// What the client sent cannot be followed.
    #[error("bad input: {0}")]
    BadInput(#[from] BadInput),
    /// The SASL handshake was refused by the router; the client was told.
    #[error("the SASL handshake was refused: {0}")]
    BadHandshake(#[from] SaslError),
    /// A coordinator refused the credentials; the client was told.
    #[error("the coordinator refused the credentials")]
    CredentialsRefused,
    /// A coordinator gave no verdict on the credentials; the client was told.
    #[error("the coordinator gave no verdict on the credentials")]
    NoVerdict,
    /// No coordinator could take a client whose protocol has no words for that, or has said them.
    #[error("no coordinator could take it")]
    NoCoordinator,
    /// The coordinator finished what was relayed unread.
    #[error("the coordinator closed it")]
    CoordinatorClosed,
    /// The coordinator was lost in the middle of a reply, or of what is relayed unread.
    #[error("the coordinator was lost: {cause}")]
    CoordinatorLost {
        /// What was seen of it.
        cause: String,
    },
    /// The coordinator sent what is no reply, in the middle of one.
    #[error("the coordinator broke off its reply: {0}")]
    BadReply(#[from] BadReply),
    /// It was relayed unread, and the coordinator said nothing at first.
    #[error("the coordinator said nothing within {within:?} to what began with {}: {}", began(*.first), likely(*.first))]
    CoordinatorSilent {
        /// `handshake_timeout`, or `open_timeout` where a request was relayed.
        within: Duration,
        /// What its client began with, as far as that is known.
        first: Option<Speech>,
    },
    /// It was relayed unread, the coordinator had said nothing on it yet, and somebody waited for its place.
    #[error("the coordinator had said nothing on it, and others waited for the service thread that it held")]
    GaveWay,
    /// The deadline of its coordinator's drain came, and what is open then is to be cancelled.
    #[error("its coordinator was drained, and the deadline of that has come")]
    Drained,
    /// The router is ending and nothing was under way, or `drain_timeout` was over.
    #[error("the router is ending")]
    RouterShutdown,
}

/// What a client sent that cannot be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadInput {
    /// Not a message that can be followed.
    #[error(transparent)]
    Message(#[from] ScanError),
    /// Not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame that goes on after its message.
    #[error("bytes after the message inside a frame")]
    AfterMessage,
    /// A large request of a `TFramedTransport` client that spans frames: its coordinator wants one.
    #[error("a message of more than replay_limit bytes over several frames")]
    MessageSplit,
    /// A container of a known method that says that it holds something other than strings. Its coordinator would read strings
    /// all the same, and see the request end elsewhere.
    #[error("{method}: {field} holds strings, but this one says that it holds something else")]
    Mistyped {
        /// The method's name.
        method: &'static str,
        /// The field's name in its IDL.
        field: &'static str,
    },
    /// A request so large that it cannot be held until its handle comes.
    #[error("no handle within the first {held} bytes of the request")]
    HandleTooLate {
        /// Bytes that were held.
        held: usize,
    },
}

impl End {
    /// The client was seen to be gone.
    pub(crate) fn client_gone() -> Self {
        Self::ClientGone(io::ErrorKind::ConnectionReset.into())
    }

    /// What it counts as.
    pub(crate) fn cause(&self) -> CloseCause {
        match self {
            Self::ClientClosed => CloseCause::ClientClosed,
            Self::ClientBroke { .. } | Self::ClientGone(_) => CloseCause::ClientReset,
            Self::ClientStalled { .. } | Self::ClientSlow => CloseCause::ClientStalled,
            Self::HandshakeTimedOut | Self::CoordinatorSilent { .. } => CloseCause::HandshakeTimedOut,
            Self::GaveWay => CloseCause::GaveWay,
            Self::BadInput(BadInput::Frame(_) | BadInput::AfterMessage | BadInput::MessageSplit) => {
                CloseCause::BadFrame
            }
            Self::BadInput(
                BadInput::Message(_) | BadInput::Mistyped { .. } | BadInput::HandleTooLate { .. },
            ) => CloseCause::BadThrift,
            Self::BadHandshake(_) => CloseCause::BadSasl,
            Self::CredentialsRefused | Self::NoVerdict => CloseCause::CredentialsRefused,
            Self::NoCoordinator => CloseCause::NoCoordinator,
            Self::CoordinatorClosed => CloseCause::CoordinatorClosed,
            Self::CoordinatorLost { .. } => CloseCause::CoordinatorLost,
            Self::BadReply(_) => CloseCause::BadReply,
            Self::Drained => CloseCause::Drained,
            Self::RouterShutdown => CloseCause::RouterShutdown,
        }
    }

    /// What it counts as where lines in the log are bounded: what came, if it looks like something known.
    pub(crate) fn kind(&self) -> &'static str {
        let speech = match self {
            Self::BadInput(BadInput::Message(ScanError::NotStrict { word })) => {
                Speech::guess(&word.to_be_bytes())
            }
            Self::BadInput(BadInput::Frame(FrameError::Negative { len })) => {
                Speech::guess(&len.to_be_bytes())
            }
            Self::BadInput(BadInput::Frame(FrameError::TooLong { len, .. })) => {
                u32::try_from(*len).ok().and_then(|len| Speech::guess(&len.to_be_bytes()))
            }
            Self::BadHandshake(SaslError::UnknownStatus { byte }) => Speech::guess(&[*byte]),
            Self::CoordinatorSilent { first, .. } => *first,
            _ => None,
        };
        speech.map_or_else(|| self.cause().word(), Speech::as_str)
    }

    /// Whether an operator should hear of it: the client did what no sound client does, or came to the wrong port.
    pub(crate) fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Self::BadInput(_)
                | Self::BadHandshake(_)
                | Self::ClientStalled { .. }
                | Self::ClientSlow
                | Self::ClientBroke { .. }
                | Self::HandshakeTimedOut
                | Self::CoordinatorSilent { .. }
        )
    }
}

fn began(first: Option<Speech>) -> &'static str {
    first.map_or("something unknown", Speech::as_str)
}

/// Why a coordinator says nothing to a client that began so.
fn likely(first: Option<Speech>) -> &'static str {
    match first {
        Some(Speech::Tls) => "perhaps its port has no TLS",
        Some(Speech::Sasl) => "perhaps its port expects no login",
        Some(_) | None => "perhaps it waits for more, or does not understand that",
    }
}
