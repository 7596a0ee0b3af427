//! The labels whose values are a closed set: one word each, so that no value from the wire can grow the exposition.

use std::marker::PhantomData;

use prometheus_client::metrics::counter::Counter;

use crate::ids::Depth;

/// A label with a closed set of values.
pub trait Label: Copy + 'static {
    /// Every value, each at the place that [`Label::index`] gives it, with what it means, a line each.
    const ALL: &'static [(Self, &'static [&'static str])];

    /// The value as it is exposed.
    fn word(self) -> &'static str;

    /// Its place in [`Label::ALL`].
    fn index(self) -> usize;
}

/// One counter for each value of a label, found by an index instead of a lookup: to count is one atomic addition.
#[derive(Clone, Debug)]
pub struct Per<L> {
    counters: Box<[Counter]>,
    label: PhantomData<L>,
}

impl<L: Label> Per<L> {
    /// Takes the counter of each value from `counter`.
    pub(super) fn new(counter: impl Fn(&'static str) -> Counter) -> Self {
        let counters = L::ALL.iter().map(|(label, _)| counter(label.word())).collect();
        Self { counters, label: PhantomData }
    }

    /// Counts one more.
    pub fn count(&self, label: L) {
        self.add(label, 1);
    }

    /// Counts `n` more.
    pub fn add(&self, label: L, n: u64) {
        if let Some(counter) = self.counters.get(label.index()) {
            counter.inc_by(n);
        }
    }

    /// What was counted so far.
    pub fn counted(&self, label: L) -> u64 {
        self.counters.get(label.index()).map_or(0, Counter::get)
    }
}

macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[doc = $doc:expr])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[doc = $doc])* $value,)+ }

        impl Label for $name {
            const ALL: &'static [(Self, &'static [&'static str])] = &[$((Self::$value, &[$($doc),*])),+];

            fn word(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// Why a client connection was turned away before it was of any use.
    RefusalCause {
        /// No coordinator may take a session: all are draining.
        NoCoordinator = "no_coordinator",
        /// None of the coordinators that may take it could be reached.
        Unreachable = "unreachable",
        /// All service threads of the coordinators are in use, and none became free within `queue_timeout`, or too many
        /// wait already.
        NoRoom = "no_room",
        /// The session table is full.
        SessionTableFull = "session_table_full",
        /// The user has as many sessions as the session table has places left; where nobody logs in, the address has.
        TooManySessions = "too_many_sessions",
        /// The router is about to stop.
        Draining = "draining",
    }
}

labels! {
    /// How bad an error of the accept loop is.
    AcceptError {
        /// It concerns that one connection; the loop goes on.
        Connection = "connection",
        /// The process or the system is out of file descriptors or memory; the loop waits before it goes on.
        Exhausted = "exhausted",
    }
}

labels! {
    /// Why a client connection ended. Exactly one is counted for each.
    CloseCause {
        /// The client closed it between two calls.
        ClientClosed = "client_closed",
        /// The client reset it, or closed it in the middle of a message.
        ClientReset = "client_reset",
        /// The client stopped in the middle of a request, sent it too slowly, or took no byte of its reply, for `stall_timeout`.
        ClientStalled = "client_stalled",
        /// The client did not finish its authentication within `handshake_timeout`, or the coordinator said nothing to one
        /// that is relayed unread.
        HandshakeTimedOut = "handshake_timed_out",
        /// The coordinator, or the router on its behalf, refused the client's credentials, or gave no verdict on them.
        CredentialsRefused = "credentials_refused",
        /// The client sent bytes that are no Thrift message, or one past the limits.
        BadThrift = "bad_thrift",
        /// The client sent a frame of an impossible length.
        BadFrame = "bad_frame",
        /// The client broke the rules of the SASL negotiation.
        BadSasl = "bad_sasl",
        /// There was no coordinator for a client that cannot be told so.
        NoCoordinator = "no_coordinator",
        /// The coordinator closed an opaque connection.
        CoordinatorClosed = "coordinator_closed",
        /// The coordinator went away in the middle of a reply or of an opaque connection.
        CoordinatorLost = "coordinator_lost",
        /// The coordinator sent what is no reply.
        BadReply = "bad_reply",
        /// It was opaque, its coordinator had said nothing on it, and somebody waited for the place that it had.
        GaveWay = "gave_way",
        /// It was opaque, and the deadline of its coordinator's drain came, with `drain_then = "cancel"`.
        Drained = "drained",
        /// The router stopped.
        RouterShutdown = "router_shutdown",
    }
}

labels! {
    /// How an attempt to open a session on one coordinator ended.
    SessionOutcome {
        /// The session is open.
        Opened = "opened",
        /// The coordinator answered with an error, which the client got.
        Error = "error",
        /// The coordinator is shutting down; the next one was tried.
        ShuttingDown = "shutting_down",
        /// The coordinator has as many sessions of this user, or from this address, as it may; the next one was tried.
        Full = "full",
        /// The coordinator went away, answered nothing any more, or took longer than `open_timeout`.
        Lost = "lost",
        /// The session came after its open was given up, and was closed. The open counts as lost too, unless the client gave it up.
        Late = "late",
    }
}

labels! {
    /// How an attempt to move a session ended.
    MoveOutcome {
        /// Its calls go to another coordinator.
        Moved = "moved",
        /// It stays where it was: no other coordinator opened it in time.
        Failed = "failed",
    }
}

labels! {
    /// What became of an operation that was open at the deadline of a drain.
    DrainedOutcome {
        /// It was cancelled, or had ended already.
        Cancelled = "cancelled",
        /// It was not: there was no room for a link, no login for it, or its coordinator did not do it.
        Failed = "failed",
    }
}

labels! {
    /// How a call ended.
    CallOutcome {
        /// The coordinator replied.
        Reply = "reply",
        /// The coordinator replied with an error status or a declared exception.
        ErrorStatus = "error_status",
        /// The coordinator replied with a `TApplicationException`.
        Exception = "exception",
        /// The router answered, because no coordinator could take the call.
        Refused = "refused",
        /// The coordinator went away during the call, and the router answered.
        Lost = "lost",
        /// The client's connection ended before it had the whole reply, whoever's doing that was.
        Unanswered = "unanswered",
    }
}

labels! {
    /// How a wait for room on a coordinator ended.
    WaitOutcome {
        /// There was room.
        Served = "served",
        /// There was none within `queue_timeout`.
        TimedOut = "timed_out",
        /// The client left.
        ClientGone = "client_gone",
        /// As many as `queue_length` wait, and none of them is a client who gives way to this one, or this one gave way.
        QueueFull = "queue_full",
    }
}

labels! {
    /// What keeps a coordinator from being empty that is drained.
    DrainWait {
        /// Sessions, those on opaque connections not among them: nobody can see those.
        Sessions = "sessions",
        /// Operations that are not closed.
        Operations = "operations",
        /// Opaque connections.
        Opaque = "opaque_connections",
    }
}

labels! {
    /// What became of asking all coordinators for a handle that the session table lacks.
    AskingOutcome {
        /// A coordinator has it.
        Found = "found",
        /// A coordinator knows it and refuses it, because it expired, is another user's or has another secret.
        Refused = "refused",
        /// All coordinators answered that they have it not.
        Nowhere = "nowhere",
        /// Those who answered have it not, and some did not answer in time.
        Unanswered = "unanswered",
        /// Nobody was asked: all have said a moment ago that they have it not.
        Remembered = "remembered",
        /// Nobody was asked: another call was asking for the same handle, and its answer was used.
        Joined = "joined",
        /// Nobody was asked: the client's address asks too much, or there was no turn in time.
        Limited = "limited",
    }
}

labels! {
    /// How an attempt to connect to a coordinator ended.
    DialOutcome {
        /// Connected, and authenticated where that was asked for.
        Connected = "connected",
        /// The name has no address.
        Unresolved = "unresolved",
        /// Nothing listens there.
        Refused = "refused",
        /// No answer within `connect_timeout`.
        TimedOut = "timed_out",
        /// No way there, or another error of the network.
        Unreachable = "unreachable",
        /// Connected, but the credentials were refused.
        CredentialsRefused = "credentials_refused",
    }
}

labels! {
    /// What a probe of a coordinator's port found.
    ProbeOutcome {
        /// The port works.
        Passed = "passed",
        /// It does not.
        Failed = "failed",
        /// The router itself could not probe, or there was no room for that; says nothing of the coordinator.
        NotTried = "not_tried",
    }
}

labels! {
    /// What a poll of a coordinator's web port brought.
    PollOutcome {
        /// Its figures.
        Read = "read",
        /// An answer without figures, for example because the web port wants a login.
        Unusable = "unusable",
        /// No answer.
        Unanswered = "unanswered",
    }
}

labels! {
    /// What is thought of a coordinator's port.
    PortState {
        /// It gets new sessions, unless it is drained, which is no matter of health and stands in `/api/v1/coordinators`.
        Healthy = "healthy",
        /// The last probe failed; it is used as before.
        Suspect = "suspect",
        /// Probes failed, and it gets no new session.
        Ejected = "ejected",
        /// Probes pass again, but not often enough yet.
        Probation = "probation",
        /// The coordinator's catalog is not ready, and it gets no new session.
        Starting = "starting",
        /// The coordinator says that it is shutting down, and it gets no new session.
        Quiescing = "quiescing",
    }
}

labels! {
    /// Which way bytes went.
    Direction {
        /// From clients.
        ToCoordinator = "to_coordinator",
        /// From coordinators.
        ToClient = "to_client",
    }
}

impl Label for Depth {
    const ALL: &'static [(Self, &'static [&'static str])] = &[
        (Self::Route, &["Every call is read and sent to the owner of its handle."]),
        (Self::Opaque, &["Bytes are passed on untouched."]),
    ];

    fn word(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        match self {
            Self::Route => 0,
            Self::Opaque => 1,
        }
    }
}
