//! Why a client connection ended, and who caused it.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::metrics::{CloseCause, Label as _};
use crate::net::flow::WriteError;
use crate::net::per_address::OverLimit;
use crate::net::tls::handshake::HandshakeError;
use crate::net::tls::io::Failure;
use crate::serve::message::pace::SLOWEST;
use crate::serve::message::reply::BadReply;
use crate::wire::detect::Speech;
use crate::wire::frame::FrameError;
use crate::wire::http::head::BadHead;
use crate::wire::http::request::BadRequest;
use crate::wire::proxy::ProxyError;
use crate::wire::sasl::SaslError;
use crate::wire::scan::ScanError;

/// Why a client connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The client closed the connection between two calls.
    #[error("the client closed it")]
    ClientClosed,
    /// The client closed the connection in the middle of a request or a handshake.
    #[error("the client closed it in the middle of a {inside}")]
    ClientBroke {
        /// What was cut off: "request" or "handshake".
        inside: &'static str,
    },
    /// The client reset the connection, or the network gave up on it.
    #[error("the client is gone: {0}")]
    ClientGone(io::Error),
    /// The keys of the client's TLS 1.2 connection have encrypted as many records as they may.
    #[error("{0}")]
    KeysUsedUp(io::Error),
    /// The client sent nothing inside a request, or took nothing of a reply, for `stall_timeout`.
    #[error("the client stalled: no byte {doing} within stall_timeout")]
    ClientStalled {
        /// What the client should have done with a byte: "sent" or "taken".
        doing: &'static str,
    },
    /// The head of a request over HTTP had not ended after `stall_timeout`.
    #[error("the client stalled: the head of its request did not end within {0:?} (stall_timeout)")]
    HeadTimedOut(Duration),
    /// The client sent a request more slowly than [`SLOWEST`] allows.
    #[error("the client was too slow: less than {SLOWEST} bytes of a request a second, for stall_timeout")]
    ClientSlow,
    /// The client did not finish its handshake within `handshake_timeout`.
    #[error("the client did not finish its handshake within handshake_timeout")]
    HandshakeTimedOut,
    /// The client sent nothing within `handshake_timeout` where it has to begin with TLS. One in the clear
    /// may be silent until its first call.
    #[error(
        "the client sent nothing within handshake_timeout to a listener that requires TLS; if it comes in the \
         clear, turn on TLS in the client, or set required = false in [listener.tls]"
    )]
    SaidNothing,
    /// A connection from a balancer does not say whose it is.
    #[error("it came from a network in proxy_protocol_from, but {0}")]
    NoProxyHeader(#[from] NoHeader),
    /// A connection that is not from a balancer says that it is somebody else's.
    #[error(
        "it began with a PROXY header, which is believed only from networks in proxy_protocol_from of \
         the listener: add {from} there if it is a balancer of yours"
    )]
    UnexpectedProxyHeader {
        /// The address that the connection came from.
        from: IpAddr,
    },
    /// The client's address has, or opens, more connections than the listener allows. The client was told so,
    /// if that was possible.
    #[error("refused: {0}")]
    OverLimit(#[from] OverLimit),
    /// The client sent something that the router cannot follow.
    #[error("bad input: {0}")]
    BadInput(#[from] BadInput),
    /// The router refused the SASL handshake and told the client so.
    #[error("the SASL handshake was refused: {0}")]
    BadHandshake(#[from] SaslError),
    /// The router did not accept the client's ticket, or its part of the handshake, and told it so.
    #[error("the ticket was refused: {0}")]
    TicketRefused(Box<str>),
    /// The TLS handshake failed, and the client was told so as far as TLS can.
    #[error(transparent)]
    TlsRefused(Box<TlsRefused>),
    /// The client came in the clear to a listener that requires TLS.
    #[error(
        "the listener requires TLS, but this began with {}; turn on TLS in the client, or set required = false \
         in [listener.tls]",
        began(*.first)
    )]
    NotEncrypted {
        /// The protocol that the client's first bytes look like, if known.
        first: Option<Speech>,
    },
    /// The client closed the connection between its START and its first token of Kerberos.
    #[error(
        "the client closed it before its first token: perhaps it gets no ticket for the name of the service that it asks for"
    )]
    NoToken,
    /// A coordinator refused the credentials, and the client was told so.
    #[error("the coordinator refused the credentials")]
    CredentialsRefused,
    /// No coordinator gave a verdict on the credentials, and the client was told so.
    #[error("the coordinator gave no verdict on the credentials")]
    NoVerdict,
    /// No coordinator could take the client. Either its protocol has no words for that, or it was told so.
    #[error("no coordinator could take it")]
    NoCoordinator,
    /// The coordinator closed a connection that was passed on.
    #[error("the coordinator closed it")]
    CoordinatorClosed,
    /// The coordinator was lost in the middle of a reply, or while a connection was passed on.
    #[error("the coordinator was lost: {cause}")]
    CoordinatorLost {
        /// How the loss was seen.
        cause: String,
    },
    /// The coordinator sent something that is not a reply after the client had a part of the reply.
    #[error("the coordinator broke off its reply: {0}")]
    BadReply(#[from] BadReply),
    /// The coordinator never said anything on a connection that was passed on.
    #[error("the coordinator said nothing within {within:?} to what began with {}: {}", began(*.first), likely(*.first))]
    CoordinatorSilent {
        /// The time that it had: `handshake_timeout`, or `open_timeout` if a request was relayed.
        within: Duration,
        /// The protocol that the client's first bytes look like, if known.
        first: Option<Speech>,
    },
    /// Others waited for the slot of a connection that was passed on and on which the coordinator had said
    /// nothing yet.
    #[error("the coordinator had said nothing on it, and others waited for the service thread that it held")]
    GaveWay,
    /// The deadline of the coordinator's drain passed; whatever is open then is cancelled.
    #[error("its coordinator was drained, and the deadline of that has come")]
    Drained,
    /// An operator has cut the connection.
    #[error("an operator has cut it")]
    Cut,
    /// The router is ending, and either nothing was under way or `drain_timeout` was over.
    #[error("the router is ending")]
    RouterShutdown,
}

/// Why there is no TLS with a client.
#[derive(Debug, thiserror::Error)]
#[error("no TLS with a client that asked for {}: {error}", server_name.as_deref().unwrap_or("no name"))]
pub(crate) struct TlsRefused {
    /// The server name in the client's hello (SNI).
    pub server_name: Option<Box<str>>,
    /// What happened, and what to do.
    pub error: HandshakeError,
}

/// Why a connection from a balancer has no PROXY header.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoHeader {
    /// It begins with something else.
    #[error("it began with {} and not with a PROXY header", began(*.first))]
    Other {
        /// What the first bytes look like, if known.
        first: Option<Speech>,
    },
    /// It begins with what is nearly one.
    #[error("it began with {0}")]
    Malformed(ProxyError),
    /// It was closed before the header's end.
    #[error("it was closed in the middle of its PROXY header")]
    Broke,
    /// The header did not come in time.
    #[error("its PROXY header was not there within handshake_timeout")]
    TimedOut,
    /// It has one more than it may have.
    #[error("a second PROXY header followed the first")]
    Second,
}

/// Why the router cannot follow what a client sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadInput {
    /// The bytes are not a Thrift message that can be followed.
    #[error(transparent)]
    Message(#[from] ScanError),
    /// The bytes are not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame goes on after its message.
    #[error("bytes after the message inside a frame")]
    AfterMessage,
    /// The head of a request over HTTP is malformed, or can be read in several ways.
    #[error(transparent)]
    Head(#[from] BadHead),
    /// The head of a request over HTTP asks for something that no coordinator could be sure of.
    #[error(transparent)]
    Asked(#[from] BadRequest),
    /// hyper could not read a request.
    #[error("the request is no HTTP: {0}")]
    Http(String),
    /// A request over HTTP has nothing in its body.
    #[error("the request has no body, in which a call would be")]
    NoBody,
    /// The body of a request over HTTP ended before its message did.
    #[error("the body of the request ended inside the message")]
    ShortBody,
    /// The body of a request over HTTP goes on after its message.
    #[error("bytes after the message inside the body of the request")]
    LongBody,
    /// A `TFramedTransport` client sent a large request in several frames, but its coordinator needs it in
    /// one.
    #[error("a message of more than replay_limit bytes over several frames")]
    MessageSplit,
    /// A container of a known method claims to hold something other than strings. The coordinator would read
    /// strings anyway, and so would see the request end in another place.
    #[error("{method}: {field} holds strings, but this one says that it holds something else")]
    Mistyped {
        /// The method's name.
        method: &'static str,
        /// The field's name in its IDL.
        field: &'static str,
    },
    /// The request is so large that it cannot be held until its handle comes.
    #[error("no handle within the first {held} bytes of the request")]
    HandleTooLate {
        /// The number of bytes that were held.
        held: usize,
    },
}

impl End {
    /// Returns the end of a connection whose client was seen to be gone.
    pub(crate) fn client_gone() -> Self {
        Self::ClientGone(io::ErrorKind::ConnectionReset.into())
    }

    /// Returns the end of a connection on which a read or a write failed.
    pub(crate) fn broken(error: io::Error) -> Self {
        if Failure::is_keys_used_up(&error) { Self::KeysUsedUp(error) } else { Self::ClientGone(error) }
    }

    /// Returns the end of a connection whose client did not take what was sent.
    pub(in crate::serve::message) fn untaken(error: WriteError) -> Self {
        match error {
            WriteError::Stalled { .. } => Self::ClientStalled { doing: "taken" },
            WriteError::Failed(error) => Self::broken(error),
        }
    }

    /// Returns the cause that this counts as in the metrics.
    pub(crate) fn cause(&self) -> CloseCause {
        match self {
            Self::ClientClosed => CloseCause::ClientClosed,
            Self::ClientBroke { .. } | Self::ClientGone(_) => CloseCause::ClientReset,
            Self::KeysUsedUp(_) => CloseCause::KeysUsedUp,
            Self::ClientStalled { .. } | Self::HeadTimedOut(_) | Self::ClientSlow => {
                CloseCause::ClientStalled
            }
            Self::HandshakeTimedOut | Self::SaidNothing | Self::CoordinatorSilent { .. } => {
                CloseCause::HandshakeTimedOut
            }
            Self::GaveWay => CloseCause::GaveWay,
            Self::NoProxyHeader(_) => CloseCause::BadProxyHeader,
            Self::UnexpectedProxyHeader { .. } => CloseCause::UnexpectedProxyHeader,
            Self::OverLimit(_) => CloseCause::AddressLimit,
            Self::BadInput(
                BadInput::Head(_)
                | BadInput::Asked(_)
                | BadInput::Http(_)
                | BadInput::NoBody
                | BadInput::ShortBody
                | BadInput::LongBody,
            ) => CloseCause::BadHttp,
            Self::BadInput(BadInput::Frame(_) | BadInput::AfterMessage | BadInput::MessageSplit) => {
                CloseCause::BadFrame
            }
            Self::BadInput(
                BadInput::Message(_) | BadInput::Mistyped { .. } | BadInput::HandleTooLate { .. },
            ) => CloseCause::BadThrift,
            Self::BadHandshake(_) | Self::TicketRefused(_) => CloseCause::BadSasl,
            Self::TlsRefused(_) | Self::NotEncrypted { .. } => CloseCause::BadTls,
            Self::CredentialsRefused | Self::NoVerdict | Self::NoToken => CloseCause::CredentialsRefused,
            Self::NoCoordinator => CloseCause::NoCoordinator,
            Self::CoordinatorClosed => CloseCause::CoordinatorClosed,
            Self::CoordinatorLost { .. } => CloseCause::CoordinatorLost,
            Self::BadReply(_) => CloseCause::BadReply,
            Self::Drained => CloseCause::Drained,
            Self::Cut => CloseCause::Cut,
            Self::RouterShutdown => CloseCause::RouterShutdown,
        }
    }

    /// Returns the kind that bounds the log lines about this: what the client's bytes look like, if that is
    /// known, or else the cause.
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
            Self::CoordinatorSilent { first, .. } | Self::NotEncrypted { first } => *first,
            _ => None,
        };
        match self {
            Self::TlsRefused(refused) => refused.error.cause(),
            Self::BadInput(BadInput::Head(bad)) => bad.kind(),
            Self::BadInput(BadInput::Asked(bad)) => bad.kind(),
            _ => speech.map_or_else(|| self.cause().word(), Speech::as_str),
        }
    }

    /// Returns whether an operator should hear of it: the client misbehaved, or it came to the wrong port.
    pub(crate) fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Self::BadInput(_)
                | Self::BadHandshake(_)
                | Self::TicketRefused(_)
                | Self::TlsRefused(_)
                | Self::NotEncrypted { .. }
                | Self::ClientStalled { .. }
                | Self::HeadTimedOut(_)
                | Self::ClientSlow
                | Self::ClientBroke { .. }
                | Self::NoToken
                | Self::HandshakeTimedOut
                | Self::SaidNothing
                | Self::NoProxyHeader(_)
                | Self::UnexpectedProxyHeader { .. }
                | Self::OverLimit(_)
                | Self::CoordinatorSilent { .. }
        )
    }
}

fn began(first: Option<Speech>) -> &'static str {
    first.map_or("something unknown", Speech::as_str)
}

/// Guesses why a coordinator says nothing to a client whose first bytes look like `first`.
fn likely(first: Option<Speech>) -> &'static str {
    match first {
        Some(Speech::Tls) => "perhaps its port has no TLS",
        Some(Speech::Sasl) => "perhaps its port expects no login",
        Some(_) | None => "perhaps it waits for more, or does not understand that",
    }
}
