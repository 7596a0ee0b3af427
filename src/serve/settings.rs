//! What the data path is told by the configuration, and times that nobody has to set.

use std::time::Duration;

use crate::cluster::DrainSettings;
use crate::cluster::room::Limits;

/// How long a session may be on its way, and its calls wait for it.
pub(crate) const MOVE_TIME: Duration = Duration::from_secs(5);
/// How often a connection looks, while the router drains, whether it can end.
pub(crate) const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A reply that is held until it is whole has this many bytes at most; Impala's to `OpenSession` has some 10 KiB.
pub(crate) const HELD_REPLY_LIMIT: usize = 1 << 20;
/// Bytes of it that are not counted as `replay_memory`: no open of a sound coordinator shall fail because others hold much, nor
/// a reply that could be delivered as it comes.
pub(crate) const FREE_REPLY_BYTES: usize = 16 << 10;

/// How long an answer may take if it is not sure that the coordinator has seen the request's end. Nothing that is known takes
/// part in this but methods that the router does not know.
pub(crate) const UNSURE_FOR: Duration = Duration::from_mins(5);

/// Times and sizes of the data path; `docs/CONFIG.md` explains each under `[router]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence of a new client before a coordinator is dialed in case it speaks first.
    pub detect_timeout: Duration,
    /// The SASL handshake, each side by itself.
    pub handshake_timeout: Duration,
    /// One dial.
    pub connect_timeout: Duration,
    /// One `OpenSession`, from the first coordinator that is asked on, over all that are.
    pub open_timeout: Duration,
    /// A client that sends no byte inside a request, or takes none of its reply.
    pub stall_timeout: Duration,
    /// Requests up to this many bytes are held whole before a link is taken.
    pub replay_limit: usize,
    /// Bytes that all held requests may have together.
    pub replay_memory: usize,
}

/// How much room its coordinators have; `docs/CONFIG.md` explains each under `[[cluster]]`.
#[derive(Clone, Copy, Debug)]
pub struct RoomSettings {
    /// Connections of each port.
    pub limits: Limits,
    /// How long a new session or a call may wait for room.
    pub queue_timeout: Duration,
    /// How many may wait.
    pub queue_length: usize,
    /// Whether HS2 links are shared by all connections of an identity: then sessions are looked after here.
    pub upkeep: Option<SessionUpkeep>,
}

/// How sessions are looked after whose links are shared, and do not tell their coordinator whether a client is there.
#[derive(Clone, Copy, Debug)]
pub struct SessionUpkeep {
    /// A session without client connections is closed after this.
    pub client_lost_grace: Duration,
    /// After this a coordinator closes a session without links.
    pub disconnected_session_timeout: Duration,
}

impl SessionUpkeep {
    /// An idle client's sessions are touched this often, which is soon enough if one touch fails.
    pub(crate) fn touch_after(&self) -> Duration {
        self.disconnected_session_timeout / 3
    }
}

/// How a fleet's coordinators are watched; `docs/CONFIG.md` explains each under `[[cluster]]`.
#[derive(Clone, Copy, Debug)]
pub struct WatchSettings {
    /// From one probe of a port to the next.
    pub probe_interval: Duration,
    /// One probe, or one page of the web port.
    pub probe_timeout: Duration,
    /// From one poll of the web port to the next.
    pub load_interval: Duration,
}

/// What a fleet is told beside its coordinators.
#[derive(Clone, Copy, Debug)]
pub struct FleetSettings {
    /// How they are watched.
    pub watching: WatchSettings,
    /// How much room they have.
    pub room: RoomSettings,
    /// How their sessions move.
    pub moving: MoveSettings,
    /// How they are drained.
    pub draining: DrainSettings,
}

/// How sessions move; `docs/CONFIG.md` explains each under `[[cluster]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveSettings {
    /// Whether idle sessions leave a coordinator that goes away. Only on flavor impala.
    pub idle_sessions: bool,
    /// How long a session stays where it changed data.
    pub cooldown: Duration,
    /// Whether sessions go back to a coordinator that has returned.
    pub rebalance: bool,
}
