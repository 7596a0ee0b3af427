//! How a link was lost.

use std::io;
use std::time::Duration;

use crate::net::flow::WriteError;
use crate::serve::link::watch::Silent;
use crate::serve::message::reply::BadReply;
use crate::serve::settings::{HELD_REPLY_LIMIT, UNSURE_FOR};
use crate::session::retry::Phase;

/// How a link was lost.
#[derive(Debug)]
pub(crate) struct Lost {
    /// How far the call had come.
    pub phase: Phase,
    /// Whether the client has some of the reply: then nothing else can be said to it.
    pub client_has_some: bool,
    /// What was seen.
    pub cause: LostCause,
}

/// What was seen of a link that was lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LostCause {
    /// An orderly end at the wrong moment.
    #[error("it closed the connection")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Failed(#[from] io::Error),
    /// It stopped reading the request.
    #[error("it stopped reading the request: {0}")]
    Stalled(WriteError),
    /// It answered nonsense.
    #[error(transparent)]
    BadReply(#[from] BadReply),
    /// A reply that must be held is too large for that.
    #[error("its reply to an open has more than {HELD_REPLY_LIMIT} bytes")]
    TooLarge,
    /// A reply that must be held finds no room. Not the coordinator's fault.
    #[error("its reply to an open finds no room in replay_memory")]
    NoRoom,
    /// The session of the call was opened again elsewhere, without what the call has done to it.
    #[error("its session was opened again elsewhere in the meantime, perhaps without what the call does")]
    SessionMoved,
    /// It may still be waiting for the rest of the request.
    #[error(
        "nothing came within {UNSURE_FOR:?} in answer to a request of which the router cannot tell whether the coordinator takes it for \
         a whole one"
    )]
    Unanswered,
    /// An open took too long in all.
    #[error("no answer within {0:?} (open_timeout)")]
    OpenTimedOut(Duration),
    /// Nothing on its port is answered any more.
    #[error(transparent)]
    Silent(#[from] Silent),
}

impl LostCause {
    /// What it counts as where lines in the log are bounded.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
            Self::Stalled(_) => "stalled",
            Self::BadReply(BadReply::Foreign(speech)) => speech.as_str(),
            Self::BadReply(_) => "bad reply",
            Self::TooLarge => "too large",
            Self::NoRoom => "no room",
            Self::SessionMoved => "session moved",
            Self::Unanswered => "unanswered",
            Self::OpenTimedOut(_) => "open timed out",
            Self::Silent(_) => "silent",
        }
    }

    /// Whether the coordinator hung up, or is none at all.
    pub(crate) fn is_hang_up(&self) -> bool {
        matches!(self, Self::Closed | Self::Failed(_) | Self::BadReply(_))
    }

    /// Whether it may be the coordinator's doing. How long a reply is may be the client's: an open's options come back in it.
    pub(crate) fn speaks_against_coordinator(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::NoRoom | Self::SessionMoved | Self::Unanswered)
    }
}
