//! The labels whose values are a closed set: one word each, so that no value from the wire can grow the
//! exposition.

use std::marker::PhantomData;

use prometheus_client::metrics::counter::Counter;

use crate::ids::Depth;

/// A label with a closed set of values.
pub trait Label: Copy + 'static {
    /// Every value, each at the place that [`Label::index`] gives it, with its meaning, one string per line.
    const ALL: &'static [(Self, &'static [&'static str])];

    /// The value as it is exposed.
    fn word(self) -> &'static str;

    /// Its place in [`Label::ALL`].
    fn index(self) -> usize;
}

/// One counter for each value of a label, found by an index instead of a lookup: to count is one atomic
/// addition.
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

mod tls;

pub use self::tls::{Encryption, HandshakeOutcome};

labels! {
    /// Why a client connection or a new session was refused.
    RefusalCause {
        /// No coordinator may take a session, because all are draining.
        NoCoordinator = "no_coordinator",
        /// None of the coordinators that may take the session could be reached.
        Unreachable = "unreachable",
        /// All service threads of the coordinators were in use, and none became free within `queue_timeout`;
        /// or too many were waiting already.
        NoRoom = "no_room",
        /// An operator had paused the cluster, and did not resume it within `queue_timeout`; or too many were
        /// waiting already.
        Paused = "paused",
        /// The session table is full.
        SessionTableFull = "session_table_full",
        /// The user (or, where nobody logs in, the client's address) has as many sessions as the session
        /// table has places left.
        TooManySessions = "too_many_sessions",
        /// The client's address has as many connections as `maximum_connections_per_address` allows.
        TooManyConnections = "too_many_connections",
        /// The client's address opens connections faster than `new_connections_per_second` allows.
        TooManyNewConnections = "too_many_new_connections",
        /// The router is stopping.
        Draining = "draining",
    }
}

labels! {
    /// What came of changed files of certificates and keys.
    ReloadOutcome {
        /// New connections use what is in them.
        Changed = "changed",
        /// They cannot be used together, and the last good ones are used on.
        Failed = "failed",
    }
}

labels! {
    /// What an error of an accept loop affects.
    AcceptError {
        /// It affects one connection only; the loop goes on.
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
        /// For `stall_timeout` the client stopped in the middle of a request, sent it too slowly, or took no
        /// byte of its reply.
        ClientStalled = "client_stalled",
        /// The client did not finish its authentication within `handshake_timeout`, or the coordinator sent
        /// nothing within that time on a connection that was passed on.
        HandshakeTimedOut = "handshake_timed_out",
        /// The coordinator, or the router on its behalf, refused the client's credentials, or gave no verdict
        /// on them; or the client had none to show.
        CredentialsRefused = "credentials_refused",
        /// It came from a network in `proxy_protocol_from`, but did not begin with a PROXY header within
        /// `handshake_timeout`.
        BadProxyHeader = "bad_proxy_header",
        /// It began with a PROXY header, but did not come from a network in `proxy_protocol_from`.
        UnexpectedProxyHeader = "unexpected_proxy_header",
        /// The client's address had too many connections, or opened them too fast.
        AddressLimit = "address_limit",
        /// The client sent bytes that are not a Thrift message, or a message that exceeds the limits.
        BadThrift = "bad_thrift",
        /// The client sent a frame of an impossible length.
        BadFrame = "bad_frame",
        /// The client sent what is no request over HTTP, or one that can be read in several ways.
        BadHttp = "bad_http",
        /// The client broke the rules of the SASL negotiation.
        BadSasl = "bad_sasl",
        /// The TLS handshake failed, or the client came in the clear where the listener requires TLS.
        BadTls = "bad_tls",
        /// The keys of its TLS 1.2 had encrypted as many records as they may, some 16 million. TLS 1.3 renews
        /// them.
        KeysUsedUp = "keys_used_up",
        /// There was no coordinator for a client whose protocol has no way to say so.
        NoCoordinator = "no_coordinator",
        /// The coordinator closed a connection that was passed on.
        CoordinatorClosed = "coordinator_closed",
        /// The connection to the coordinator broke in the middle of a reply, or of a connection that was
        /// passed on.
        CoordinatorLost = "coordinator_lost",
        /// The coordinator sent something that is not a reply.
        BadReply = "bad_reply",
        /// The connection was passed on, its coordinator had sent nothing on it, and another client was
        /// waiting for its service thread.
        GaveWay = "gave_way",
        /// The connection was passed on, and its coordinator's drain reached its deadline with `drain_then =
        /// "cancel"`.
        Drained = "drained",
        /// An operator had the router cut it.
        Cut = "cut",
        /// The router stopped.
        RouterShutdown = "router_shutdown",
    }
}

labels! {
    /// How an attempt to open a session on one coordinator ended.
    SessionOutcome {
        /// The session is open.
        Opened = "opened",
        /// The coordinator answered with an error, which was passed on to the client.
        Error = "error",
        /// The coordinator is shutting down; the next one was tried.
        ShuttingDown = "shutting_down",
        /// The coordinator allows no more sessions for this user or address; the next one was tried.
        Full = "full",
        /// The connection broke, the coordinator stopped answering, or it took longer than `open_timeout`.
        Lost = "lost",
        /// The session was opened after the router had given up waiting, and was closed again. The open
        /// counts as `lost` as well, unless the client gave it up.
        Late = "late",
    }
}

labels! {
    /// How an attempt to move a session ended.
    MoveOutcome {
        /// The session's calls go to another coordinator now.
        Moved = "moved",
        /// The session stays where it was, because no other coordinator opened it in time.
        Failed = "failed",
    }
}

labels! {
    /// What became of an operation that was open at the deadline of a drain.
    DrainedOutcome {
        /// The operation was cancelled, or had already ended.
        Cancelled = "cancelled",
        /// The operation was not cancelled: there was no room for a connection, no login for it, or the
        /// coordinator did not do it.
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
        /// The connection to the coordinator broke during the call, and the router answered.
        Lost = "lost",
        /// The client's connection ended, for whatever reason, before the client had the whole reply.
        Unanswered = "unanswered",
    }
}

labels! {
    /// How a wait for room on a coordinator, or for the end of a pause, ended.
    WaitOutcome {
        /// There was room, or the pause ended.
        Served = "served",
        /// There was no room, or the pause did not end, within `queue_timeout`.
        TimedOut = "timed_out",
        /// The client left.
        ClientGone = "client_gone",
        /// `queue_length` was reached: either nobody in the queue had to give way to this client, or this
        /// client had to give way to another.
        QueueFull = "queue_full",
    }
}

labels! {
    /// What a drain still waits for.
    DrainWait {
        /// Sessions, except those on opaque connections, which the router cannot see.
        Sessions = "sessions",
        /// Operations that are not closed.
        Operations = "operations",
        /// Opaque connections.
        Opaque = "opaque_connections",
    }
}

labels! {
    /// How a lookup, among all coordinators, of a handle that the session table lacks ended.
    LocateOutcome {
        /// A coordinator has the handle.
        Found = "found",
        /// A coordinator knows the handle but refused it: it has expired, belongs to another user or has
        /// another secret.
        Refused = "refused",
        /// All coordinators answered that they do not have it.
        Nowhere = "nowhere",
        /// The coordinators that answered do not have it, and some did not answer in time.
        Unanswered = "unanswered",
        /// No coordinator was asked, because all had just answered that they do not have it.
        Remembered = "remembered",
        /// No coordinator was asked, because another call was looking for the same handle and its answer was
        /// used.
        Joined = "joined",
        /// No coordinator was asked, because the client's address asks too much or did not get its turn in
        /// time.
        Limited = "limited",
    }
}

labels! {
    /// Why a record of the history was lost.
    HistoryLoss {
        /// More ended at once than could be kept, or the disk was too slow. It is not in memory either.
        TooMany = "too_many",
        /// The file could not be written: the disk is full, for example. It is in memory all the same.
        NotWritten = "not_written",
    }
}

labels! {
    /// How an attempt to connect to a coordinator ended.
    DialOutcome {
        /// Connected, and authenticated if authentication was needed.
        Connected = "connected",
        /// The name has no address.
        Unresolved = "unresolved",
        /// Nothing listens there.
        Refused = "refused",
        /// No answer within `connect_timeout`.
        TimedOut = "timed_out",
        /// There is no route, or the network failed in another way.
        Unreachable = "unreachable",
        /// Connected, but the TLS handshake failed.
        TlsFailed = "tls_failed",
        /// Connected, but the credentials were refused.
        CredentialsRefused = "credentials_refused",
    }
}

labels! {
    /// What a probe of a coordinator's port found.
    ProbeOutcome {
        /// The port works.
        Passed = "passed",
        /// The port does not work.
        Failed = "failed",
        /// The router itself could not probe, or there was no room for the probe; this says nothing about the
        /// coordinator.
        NotTried = "not_tried",
    }
}

labels! {
    /// How a poll of a coordinator's web port ended.
    PollOutcome {
        /// The coordinator's figures were read.
        Read = "read",
        /// The answer had no figures, for example because the web port requires a login.
        Unusable = "unusable",
        /// There was no answer.
        Unanswered = "unanswered",
    }
}

labels! {
    /// The state of a coordinator's port.
    PortState {
        /// It gets new sessions, unless it is drained. Draining is not part of health; `/api/v1/coordinators`
        /// shows it.
        Healthy = "healthy",
        /// The last probe failed; the port is used as before.
        Suspect = "suspect",
        /// Probes failed, and the port gets no new session.
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
    /// The direction in which bytes were relayed.
    Direction {
        /// From clients to coordinators.
        ToCoordinator = "to_coordinator",
        /// From coordinators to clients.
        ToClient = "to_client",
    }
}

impl Label for Depth {
    const ALL: &'static [(Self, &'static [&'static str])] = &[
        (Self::Route, &["Every call is read and sent to the owner of its handle."]),
        (Self::Observe, &["Bytes are passed on untouched, and read on their way."]),
        (Self::Opaque, &["Bytes are passed on untouched and unread."]),
    ];

    fn word(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        match self {
            Self::Route => 0,
            Self::Observe => 1,
            Self::Opaque => 2,
        }
    }
}
