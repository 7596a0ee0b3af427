//! How sessions and operations end.

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Its client closed it.
    Closed,
    /// An operator had it closed.
    ClosedByOperator,
    /// It was idle for longer than it may be, and was closed.
    Expired,
    /// Its client was gone for good, and the router closed it.
    Abandoned,
    /// No connection used it for so long that its coordinator has closed it.
    Forgotten,
    /// It ended with the connection that had opened it.
    Disconnected,
    /// Its coordinator had it no more.
    Gone,
    /// Its connection was only read along, and what was said there could not be followed any more.
    NotFollowed,
    /// It was open when the router ended.
    LeftOpen,
}

impl SessionEnd {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ClosedByOperator => "closed_by_operator",
            Self::Expired => "expired",
            Self::Abandoned => "abandoned",
            Self::Forgotten => "forgotten",
            Self::Disconnected => "disconnected",
            Self::Gone => "gone",
            Self::NotFollowed => "not_followed",
            Self::LeftOpen => "left_open",
        }
    }
}

/// How an operation ended. What was seen of the operation itself comes before what ended it after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationEnd {
    /// It came to its end, or all of its rows were fetched.
    Finished,
    /// Its coordinator said that it failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// Its coordinator said that it took too long.
    TimedOut,
    /// It was closed before its end was seen.
    Closed,
    /// Its session ended.
    SessionEnded,
    /// Its session moved.
    SessionMoved,
    /// Its coordinator's process seems to have ended.
    Lost,
    /// Its coordinator had it no more.
    Gone,
    /// It was located, and nobody has used it for long.
    Forgotten,
    /// It was open when the router ended.
    LeftOpen,
}

impl OperationEnd {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::SessionEnded => "session_ended",
            Self::SessionMoved => "session_moved",
            Self::Lost => "lost",
            Self::Gone => "gone",
            Self::Forgotten => "forgotten",
            Self::LeftOpen => "left_open",
        }
    }
}
