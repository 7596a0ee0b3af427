//! How much of a message has come.

/// How much of a message has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve::message) enum Arrival {
    /// Nothing, or a part of its payload.
    #[default]
    Partial,
    /// All of its payload, but not its end, which the transport marks behind the payload.
    Payload,
    /// All of it, to its end in its transport.
    Ended,
}

impl Arrival {
    /// Describes a message after some payload of it was scanned; `done` says whether all of it has come.
    pub(in crate::serve::message) fn scanned(done: bool) -> Self {
        if done { Self::Payload } else { Self::Partial }
    }

    /// Ends a message whose payload has come, if its transport lets a message end here.
    pub(in crate::serve::message) fn note_boundary(&mut self, at_boundary: bool) {
        if *self == Self::Payload && at_boundary {
            *self = Self::Ended;
        }
    }

    /// Returns whether all payload has come.
    pub(in crate::serve::message) fn has_payload(self) -> bool {
        self != Self::Partial
    }
}
