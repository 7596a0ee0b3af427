//! How a link was lost during a call.

use std::io;
use std::time::Duration;

use crate::net::flow::WriteError;
use crate::serve::link::router_login::NotLoggedIn;
use crate::serve::link::watch::Silent;
use crate::serve::message::http::answer::Refusal;
use crate::serve::message::reply::BadReply;
use crate::serve::settings::{HELD_REPLY_LIMIT, UNSURE_FOR};
use crate::session::retry::Phase;

/// A link that was lost during a call.
#[derive(Debug)]
pub(crate) struct Lost {
    /// How far the call had come.
    pub phase: Phase,
    /// Whether part of the reply has been sent to the client, so that no other answer can follow.
    pub client_has_some: bool,
    /// The cause, as seen by the router.
    pub cause: LostCause,
}

/// Why the router considers a link lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LostCause {
    /// The coordinator closed the connection in the middle of a call.
    #[error("it closed the connection")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Failed(#[from] io::Error),
    /// The coordinator stopped reading the request.
    #[error("it stopped reading the request: {0}")]
    Stalled(WriteError),
    /// The coordinator's answer is not a reply to the request.
    #[error(transparent)]
    BadReply(#[from] BadReply),
    /// The coordinator answered over HTTP that there will be no reply.
    #[error("it answered {0}")]
    Refused(Box<Refusal>),
    /// The coordinator answered over HTTP that it does not accept the router's own ticket. It has not looked at
    /// the call then.
    #[error(transparent)]
    NotLoggedIn(#[from] NotLoggedIn),
    /// The reply is larger than a reply may be that is held until it is complete.
    #[error("its reply to an open has more than {HELD_REPLY_LIMIT} bytes")]
    TooLarge,
    /// `replay_memory` has no room for a reply that is held until it is complete. This is not the
    /// coordinator's fault.
    #[error("its reply to an open does not fit into replay_memory")]
    NoRoom,
    /// The call's session was reopened on another coordinator, where the call has had no effect on it.
    #[error("its session was opened again elsewhere in the meantime, perhaps without what the call does")]
    SessionMoved,
    /// The router does not know where the request ends, so the coordinator may still be waiting for the rest
    /// of it.
    #[error(
        "no answer came within {UNSURE_FOR:?}, and the router cannot tell whether the coordinator regards the request as \
         complete"
    )]
    Unanswered,
    /// An `OpenSession` took longer than `open_timeout`, over all coordinators that were tried.
    #[error("no answer within {0:?} (open_timeout)")]
    OpenTimedOut(Duration),
    /// The coordinator's port no longer answers probes.
    #[error(transparent)]
    Silent(#[from] Silent),
}

impl LostCause {
    /// The kind by which log lines about it are limited.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
            Self::Stalled(_) => "stalled",
            Self::BadReply(BadReply::Foreign(speech)) => speech.as_str(),
            Self::BadReply(_) => "bad reply",
            Self::Refused(_) => "refused over HTTP",
            Self::NotLoggedIn(_) => "not logged in",
            Self::TooLarge => "too large",
            Self::NoRoom => "no room",
            Self::SessionMoved => "session moved",
            Self::Unanswered => "unanswered",
            Self::OpenTimedOut(_) => "open timed out",
            Self::Silent(_) => "silent",
        }
    }

    /// Whether the coordinator closed the connection or turned out not to be a coordinator.
    pub(crate) fn is_hang_up(&self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Failed(_) | Self::BadReply(_) | Self::Refused(_) | Self::NotLoggedIn(_)
        )
    }

    /// Whether it is a coordinator's verdict on what the client has shown it over HTTP. No other one may then
    /// be shown the same, and nor may this one again.
    pub(crate) fn is_verdict(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_verdict())
    }

    /// Whether the cause may lie with the coordinator. The size of a reply may be the client's doing: the
    /// reply to an open repeats the client's options.
    pub(crate) fn speaks_against_coordinator(&self) -> bool {
        !matches!(
            self,
            Self::TooLarge | Self::NoRoom | Self::SessionMoved | Self::Unanswered | Self::Refused(_)
        )
    }
}
