//! What operators can have a router do: the one list from which the API, the commands and the page have their
//! words.

/// Something that operators can have a router do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To the router itself.
    Router(OfRouter),
    /// To one of its coordinators.
    Coordinator(OfCoordinator),
}

/// What can be done to the router itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfRouter {
    /// New clients are wanted again.
    RotationIn,
    /// No new clients are wanted: load balancers are told so.
    RotationOut,
}

/// What can be done to a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfCoordinator {
    /// It gets no new session, and what it has may end in its own time.
    Drain,
    /// It is drained no more.
    Resume,
}

/// A parameter of a verb: its name in a query, and how its value is written.
pub type Parameter = (&'static str, &'static str);

impl Verb {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Router(OfRouter::RotationIn),
        Self::Router(OfRouter::RotationOut),
        Self::Coordinator(OfCoordinator::Drain),
        Self::Coordinator(OfCoordinator::Resume),
    ];

    /// What it is called in commands, on the page and in the log.
    pub fn words(self) -> &'static str {
        match self {
            Self::Router(OfRouter::RotationIn) => "rotation in",
            Self::Router(OfRouter::RotationOut) => "rotation out",
            Self::Coordinator(OfCoordinator::Drain) => "drain",
            Self::Coordinator(OfCoordinator::Resume) => "resume",
        }
    }

    /// The method and the path that ask for it. Where a `{cluster}` is followed by another name, it may be
    /// left out.
    pub fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Router(OfRouter::RotationIn) => ("PUT", "/api/v1/rotation"),
            Self::Router(OfRouter::RotationOut) => ("DELETE", "/api/v1/rotation"),
            Self::Coordinator(OfCoordinator::Drain) => {
                ("POST", "/api/v1/coordinators/{cluster}/{name}/drain")
            }
            Self::Coordinator(OfCoordinator::Resume) => {
                ("POST", "/api/v1/coordinators/{cluster}/{name}/resume")
            }
        }
    }

    /// What may be asked for with it.
    pub fn parameters(self) -> &'static [Parameter] {
        match self {
            Self::Coordinator(OfCoordinator::Drain) => &[("deadline", "a duration such as 30s, 10m or 1h")],
            Self::Router(_) | Self::Coordinator(OfCoordinator::Resume) => &[],
        }
    }
}
