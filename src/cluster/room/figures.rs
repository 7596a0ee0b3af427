//! A port's links and threads in numbers: as polls tell them, as they are ours, as people see them.

/// What a poll says of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortFigures {
    /// Connections that own a service thread.
    pub in_use: u32,
    /// Connections that wait for one.
    pub queued: u32,
}

/// What of [`PortFigures`] is ours at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLinks {
    /// Links that there are, those that are being dialed among them.
    pub held: u32,
    /// Those of them that nothing was answered on yet: they may be in the queue.
    pub unanswered: u32,
}

impl OwnLinks {
    /// What was there at either of two moments.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self { held: self.held.max(other.held), unanswered: self.unanswered.max(other.unanswered) }
    }
}

/// What a port's room looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomView {
    /// Links that there are.
    pub links: u32,
    /// Those of them that no call uses.
    pub idle: u32,
    /// Connections of others, as of the last poll.
    pub others: u32,
    /// How many links there may be; `None`: no limit.
    pub limit: Option<u32>,
    /// Whether others wait in its accept queue.
    pub crowded: bool,
}
