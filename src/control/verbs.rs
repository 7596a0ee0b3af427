//! What operators can have a router do: the one list from which the API, the commands and the page have their
//! words.

/// Something that operators can have a router do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To the router itself.
    Router(OfRouter),
    /// To one of its clusters.
    Cluster(OfCluster),
    /// To one of its coordinators.
    Coordinator(OfCoordinator),
    /// To a session.
    Session(OfSession),
    /// To a client's connection.
    Connection(OfConnection),
    /// To an operation.
    Operation(OfOperation),
}

/// What can be done to the router itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfRouter {
    /// New clients are wanted again.
    RotationIn,
    /// No new clients are wanted: load balancers are told so.
    RotationOut,
    /// Its log has events from another level on.
    LogLevel,
}

/// What can be done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfCluster {
    /// Whatever would begin something waits; what is open goes on.
    Pause,
    /// It waits no longer.
    Resume,
}

/// What can be done to a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfCoordinator {
    /// It gets no new session, and what it has may end in its own time.
    Drain,
    /// It is drained no more.
    Resume,
    /// It gets no new session at once, whatever probes find.
    Eject,
    /// It is kept out no more.
    Restore,
    /// It gets more or fewer sessions, relative to the others.
    Weight,
    /// Its sessions go elsewhere, as far as they can.
    MoveAll,
}

/// What can be done to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfSession {
    /// It goes to another coordinator.
    Move,
    /// It ends.
    Close,
}

/// What can be done to a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfConnection {
    /// It ends at once.
    Cut,
}

/// What can be done to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfOperation {
    /// It runs no longer.
    Cancel,
}

/// A parameter of a verb: its name in a query, and how its value is written.
pub type Parameter = (&'static str, &'static str);

const DEADLINE: Parameter = ("deadline", "a duration such as 30s, 10m or 1h");
const FOR: Parameter = ("for", "a duration such as 30s, 10m or 1h");
const WEIGHT: Parameter = ("weight", "a number from 1 to 1000");
const LEVEL: Parameter = ("level", "error, warn, info, debug or trace");
const TO: Parameter = ("to", "the name of a coordinator of the cluster");

/// What a verb is called and how it is asked for.
struct Entry {
    words: &'static str,
    method: &'static str,
    path: &'static str,
    parameters: &'static [Parameter],
}

/// A verb that is asked for by a POST.
const fn post(words: &'static str, path: &'static str, parameters: &'static [Parameter]) -> Entry {
    Entry { words, method: "POST", path, parameters }
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Router(OfRouter::RotationIn),
        Self::Router(OfRouter::RotationOut),
        Self::Router(OfRouter::LogLevel),
        Self::Cluster(OfCluster::Pause),
        Self::Cluster(OfCluster::Resume),
        Self::Coordinator(OfCoordinator::Drain),
        Self::Coordinator(OfCoordinator::Resume),
        Self::Coordinator(OfCoordinator::Eject),
        Self::Coordinator(OfCoordinator::Restore),
        Self::Coordinator(OfCoordinator::Weight),
        Self::Coordinator(OfCoordinator::MoveAll),
        Self::Session(OfSession::Move),
        Self::Session(OfSession::Close),
        Self::Connection(OfConnection::Cut),
        Self::Operation(OfOperation::Cancel),
    ];

    const fn entry(self) -> Entry {
        const ROTATION: &str = "/api/v1/rotation";
        match self {
            Self::Router(OfRouter::RotationIn) => {
                Entry { words: "rotation in", method: "PUT", path: ROTATION, parameters: &[] }
            }
            Self::Router(OfRouter::RotationOut) => {
                Entry { words: "rotation out", method: "DELETE", path: ROTATION, parameters: &[] }
            }
            Self::Router(OfRouter::LogLevel) => {
                Entry { words: "log-level", method: "PUT", path: "/api/v1/log-level", parameters: &[LEVEL] }
            }
            Self::Cluster(OfCluster::Pause) => {
                post("pause-cluster", "/api/v1/clusters/{cluster}/pause", &[FOR])
            }
            Self::Cluster(OfCluster::Resume) => {
                post("resume-cluster", "/api/v1/clusters/{cluster}/resume", &[])
            }
            Self::Coordinator(verb) => match verb {
                OfCoordinator::Drain => {
                    post("drain", "/api/v1/coordinators/{cluster}/{name}/drain", &[DEADLINE])
                }
                OfCoordinator::Resume => post("resume", "/api/v1/coordinators/{cluster}/{name}/resume", &[]),
                OfCoordinator::Eject => post("eject", "/api/v1/coordinators/{cluster}/{name}/eject", &[]),
                OfCoordinator::Restore => {
                    post("restore", "/api/v1/coordinators/{cluster}/{name}/restore", &[])
                }
                OfCoordinator::Weight => {
                    post("weight", "/api/v1/coordinators/{cluster}/{name}/weight", &[WEIGHT])
                }
                OfCoordinator::MoveAll => {
                    post("move-all", "/api/v1/coordinators/{cluster}/{name}/move-all", &[TO])
                }
            },
            Self::Session(OfSession::Move) => post("move", "/api/v1/sessions/{session}/move", &[TO]),
            Self::Session(OfSession::Close) => post("close", "/api/v1/sessions/{session}/close", &[]),
            Self::Connection(OfConnection::Cut) => post("cut", "/api/v1/connections/{connection}/cut", &[]),
            Self::Operation(OfOperation::Cancel) => {
                post("cancel", "/api/v1/operations/{operation}/cancel", &[])
            }
        }
    }

    /// What it is called in commands, on the page and in the log.
    pub const fn words(self) -> &'static str {
        self.entry().words
    }

    /// The method and the path that ask for it. Where a `{cluster}` is followed by another name, it may be
    /// left out.
    pub const fn path(self) -> (&'static str, &'static str) {
        let Entry { method, path, .. } = self.entry();
        (method, path)
    }

    /// What may be asked for with it.
    pub const fn parameters(self) -> &'static [Parameter] {
        self.entry().parameters
    }
}
