//! What the peers are given to do.

use crate::coordinator::COORDINATORS;
use crate::wire::{Auth, Rows};

/// One piece of work. Its clients each wait for a reply before they send the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// As `--only` finds it.
    pub(crate) name: &'static str,
    pub(crate) auth: Auth,
    pub(crate) transport: Transport,
    pub(crate) task: Task,
    /// Clients that are busy at once.
    pub(crate) clients: usize,
    /// Further sessions that were opened and say nothing.
    pub(crate) idle: usize,
    /// Coordinators that the proxies are told of.
    pub(crate) coordinators: usize,
    /// Which peers do it.
    pub(crate) by: By,
}

/// Who does a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Everyone,
    /// Routers and the peer that they are compared with: what only continues a curve.
    Routers,
    /// Proxies that end TLS.
    Terminators,
    /// Those that keep a client of HTTP at one coordinator, and relays that read nothing.
    KeepersOfHttp,
}

/// Tables that are made together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Clear,
    Tls,
    Http,
}

impl Suite {
    /// The section of a document that they stand in.
    pub(crate) fn section(self) -> &'static str {
        match self {
            Self::Clear => "compare",
            Self::Tls => "compare-tls",
            Self::Http => "compare-http",
        }
    }
}

/// What the clients' connections run over. The coordinators' are always in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Clear,
    /// TLS, each connection with a full handshake.
    Full,
    /// TLS, each connection of a client but its first with a ticket of the one before.
    Resumed,
}

/// What a busy client does over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Asks for an operation's status.
    Poll,
    /// The same, each time over a new connection.
    PollAnew,
    /// Fetches rows of an operation.
    Fetch(Rows),
    /// Connects, opens a session, executes, fetches a few rows, closes operation, session and connection.
    Session,
}

/// What a peer's CPU time is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Call,
    Gigabyte,
    Session,
}

impl Work {
    /// The tables that it is in.
    pub(crate) fn suite(&self) -> Suite {
        match (self.auth, self.transport) {
            (Auth::HttpBasic, _) => Suite::Http,
            (_, Transport::Clear) => Suite::Clear,
            (_, Transport::Full | Transport::Resumed) => Suite::Tls,
        }
    }

    /// Whether system calls are counted: more of the same needs the same.
    pub(crate) fn is_traced(&self) -> bool {
        self.idle == 0 && self.by != By::Routers
    }

    /// What its CPU time is divided by.
    pub(crate) fn unit(&self) -> Unit {
        match self.task {
            Task::Poll | Task::PollAnew => Unit::Call,
            Task::Fetch(_) => Unit::Gigabyte,
            Task::Session => Unit::Session,
        }
    }
}

impl Transport {
    /// What tables say besides; nothing of the clear.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Clear => "",
            Self::Full => ", TLS with full handshakes",
            Self::Resumed => ", TLS with resumed handshakes",
        }
    }
}

impl Unit {
    /// What stands in the table's head.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Call => "µs CPU/call",
            Self::Gigabyte => "s CPU/GB",
            Self::Session => "µs CPU/session",
        }
    }
}

const fn work(name: &'static str, auth: Auth, task: Task, clients: usize, idle: usize) -> Work {
    let (transport, coordinators, by) = (Transport::Clear, COORDINATORS, By::Everyone);
    Work { name, auth, transport, task, clients, idle, coordinators, by }
}

/// Work through TLS, without SASL.
const fn tls(name: &'static str, transport: Transport, task: Task, clients: usize, idle: usize) -> Work {
    Work { transport, by: By::Terminators, ..work(name, Auth::Nosasl, task, clients, idle) }
}

/// Work over HTTP, in the clear.
const fn http(name: &'static str, task: Task, clients: usize) -> Work {
    Work { by: By::KeepersOfHttp, ..work(name, Auth::HttpBasic, task, clients, 0) }
}

/// Small calls of more clients.
const fn more_clients(name: &'static str, clients: usize) -> Work {
    Work { by: By::Routers, ..work(name, Auth::Nosasl, Task::Poll, clients, 0) }
}

/// Whole sessions over more coordinators.
const fn more_coordinators(name: &'static str, coordinators: usize) -> Work {
    let work = work(name, Auth::Nosasl, Task::Session, 16, 0);
    Work { by: By::Routers, coordinators, ..work }
}

/// What grows, and the work that shows it, least first.
pub(crate) const CURVES: &[(&str, &[&str])] = &[
    ("connections", &["poll-16", "poll-256", "poll-1000", "poll-9000"]),
    ("coordinators", &["session-of-10", "session-of-100", "session-of-1000"]),
];

/// Everything, in the order of the tables.
pub(crate) const ALL: &[Work] = &[
    work("poll-16", Auth::Nosasl, Task::Poll, 16, 0),
    work("poll-256", Auth::Nosasl, Task::Poll, 256, 0),
    work("poll-16-plain", Auth::Plain, Task::Poll, 16, 0),
    work("poll-256-plain", Auth::Plain, Task::Poll, 256, 0),
    work("fetch-64k-numbers", Auth::Nosasl, Task::Fetch(Rows::Numbers64K), 16, 0),
    work("fetch-64k-strings", Auth::Nosasl, Task::Fetch(Rows::Strings64K), 16, 0),
    work("fetch-64k-strings-plain", Auth::Plain, Task::Fetch(Rows::Strings64K), 16, 0),
    work("fetch-16m-numbers", Auth::Nosasl, Task::Fetch(Rows::Numbers16M), 4, 0),
    work("fetch-16m-strings", Auth::Nosasl, Task::Fetch(Rows::Strings16M), 4, 0),
    work("fetch-16m-strings-plain", Auth::Plain, Task::Fetch(Rows::Strings16M), 4, 0),
    work("session", Auth::Nosasl, Task::Session, 16, 0),
    work("session-plain", Auth::Plain, Task::Session, 16, 0),
    work("idle-9000", Auth::Nosasl, Task::Poll, 100, 9_000),
    work("idle-9000-plain", Auth::Plain, Task::Poll, 100, 9_000),
    more_clients("poll-1000", 1_000),
    more_clients("poll-9000", 9_000),
    more_coordinators("session-of-10", 10),
    more_coordinators("session-of-100", 100),
    more_coordinators("session-of-1000", 1_000),
    tls("tls-poll-16", Transport::Full, Task::Poll, 16, 0),
    tls("tls-fetch-64k-numbers", Transport::Full, Task::Fetch(Rows::Numbers64K), 16, 0),
    tls("tls-fetch-64k-strings", Transport::Full, Task::Fetch(Rows::Strings64K), 16, 0),
    tls("tls-fetch-16m-numbers", Transport::Full, Task::Fetch(Rows::Numbers16M), 4, 0),
    tls("tls-fetch-16m-strings", Transport::Full, Task::Fetch(Rows::Strings16M), 4, 0),
    tls("tls-session", Transport::Full, Task::Session, 16, 0),
    tls("tls-session-resumed", Transport::Resumed, Task::Session, 16, 0),
    tls("tls-idle-1000", Transport::Full, Task::Poll, 16, 1_000),
    http("http-poll-16", Task::Poll, 16),
    http("http-poll-256", Task::Poll, 256),
    http("http-poll-anew-16", Task::PollAnew, 16),
    http("http-fetch-64k-numbers", Task::Fetch(Rows::Numbers64K), 16),
    http("http-fetch-64k-strings", Task::Fetch(Rows::Strings64K), 16),
    http("http-fetch-16m-numbers", Task::Fetch(Rows::Numbers16M), 4),
    http("http-fetch-16m-strings", Task::Fetch(Rows::Strings16M), 4),
];
