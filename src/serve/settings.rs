//! Settings of the data path that come from the configuration, and fixed times and sizes.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::pki_types::ServerName;

use crate::cluster::room::Limits;
use crate::cluster::{DrainSettings, Stick};
use crate::net::kerberos::Kerberos;
use crate::net::tls::client::{ClusterTls, CoordinatorTls};

/// The longest that moving a session may take, and that calls on the session wait for the move.
pub(crate) const MOVE_TIME: Duration = Duration::from_secs(5);
/// While the router drains, each connection checks this often whether it can end.
pub(crate) const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The most bytes of a reply that is held until it is complete. Impala's reply to `OpenSession` has about 10
/// KiB.
pub(crate) const HELD_REPLY_LIMIT: usize = 1 << 20;
/// The first bytes of a held reply, which are not counted in `replay_memory`. Without them, an open on a
/// healthy coordinator could fail because other requests hold much memory, and so could a reply that can be
/// delivered as it arrives.
pub(crate) const FREE_REPLY_BYTES: usize = 16 << 10;

/// The longest wait for an answer when the router cannot tell whether the coordinator has seen the end of the
/// request. This happens only with methods that the router does not know.
pub(crate) const UNSURE_FOR: Duration = Duration::from_mins(5);

/// Times and sizes of the data path; `docs/CONFIG.md` explains each setting under `[router]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a new client may be silent before a coordinator is dialed, in case the coordinator speaks
    /// first.
    pub detect_timeout: Duration,
    /// The longest that a SASL handshake may take, with the client and with the coordinator separately.
    pub handshake_timeout: Duration,
    /// The longest that one dial may take.
    pub connect_timeout: Duration,
    /// The longest that one `OpenSession` may take, from the moment the first coordinator is asked, over all
    /// coordinators that are tried.
    pub open_timeout: Duration,
    /// How long a client may send no byte in the middle of a request, or accept none of its reply, before it
    /// is disconnected.
    pub stall_timeout: Duration,
    /// Requests up to this many bytes are held whole before a link is taken; larger ones are passed on in
    /// pieces.
    pub replay_limit: usize,
    /// The most bytes that the held requests of all connections may use together.
    pub replay_memory: usize,
}

/// How many links a cluster's coordinators serve, and who waits when all are in use; `docs/CONFIG.md`
/// explains each setting under `[[cluster]]`.
#[derive(Clone, Copy, Debug)]
pub struct RoomSettings {
    /// Limits on the connections of each port.
    pub limits: Limits,
    /// How long a new session or a call may wait for a free link.
    pub queue_timeout: Duration,
    /// How many new sessions of a service may wait, and how many calls for one port.
    pub queue_length: usize,
    /// Set if the connections of an identity share their HS2 links. The router then keeps their sessions
    /// alive, and closes them, itself.
    pub upkeep: Option<SessionUpkeep>,
}

/// How the router keeps alive and closes sessions whose links are shared: their coordinator cannot tell from
/// a shared link whether the client is still there.
#[derive(Clone, Copy, Debug)]
pub struct SessionUpkeep {
    /// How long a session without client connections stays open.
    pub client_lost_grace: Duration,
    /// How long a coordinator keeps a session that has no link, before it closes the session.
    pub disconnected_session_timeout: Duration,
}

impl SessionUpkeep {
    /// The interval at which an idle client's sessions are touched: a third of the timeout, so that a failed
    /// touch can be repeated in time.
    pub(crate) fn touch_after(&self) -> Duration {
        self.disconnected_session_timeout / 3
    }
}

/// How a fleet's coordinators are watched; `docs/CONFIG.md` explains each setting under `[[cluster]]`.
#[derive(Clone, Copy, Debug)]
pub struct WatchSettings {
    /// The time from one probe of a port to the next.
    pub probe_interval: Duration,
    /// The longest that one probe, or reading one page of the web port, may take.
    pub probe_timeout: Duration,
    /// The time from one poll of the web port to the next.
    pub load_interval: Duration,
}

/// How a fleet's coordinators are reached with TLS. Those of its coordinators are that have a
/// [name](crate::cluster::Coordinator::tls) for it.
#[derive(Clone, Debug)]
pub struct TlsPlan {
    /// What is trusted, and what the router shows of itself.
    pub cluster: Arc<ClusterTls>,
    /// Whether the web port speaks TLS too.
    pub web: bool,
}

impl TlsPlan {
    /// TLS to one port of a coordinator, whose certificate is for this name. Sessions are resumed at this
    /// port only.
    pub(crate) fn towards(&self, name: &ServerName<'static>) -> Arc<CoordinatorTls> {
        Arc::new(self.cluster.towards(name.clone()))
    }
}

/// The settings of a fleet, except for its list of coordinators.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// How the coordinators are watched.
    pub watching: WatchSettings,
    /// How many links the coordinators serve.
    pub room: RoomSettings,
    /// How sessions move between the coordinators.
    pub moving: MoveSettings,
    /// How the coordinators are drained.
    pub draining: DrainSettings,
    /// What keeps connections together that are passed on.
    pub stick: Stick,
    /// How the coordinators are reached with TLS; `None` if none of them is.
    pub tls: Option<TlsPlan>,
    /// Headers over HTTP by which the coordinators trust whoever sends them.
    pub trusted_headers: Arc<[HeaderName]>,
    /// How the router logs in as itself, to speak for users that it has authenticated; `None` if it does not.
    pub kerberos: Option<KerberosPlan>,
}

/// Who the router is to the coordinators of a fleet, and who they are.
#[derive(Clone, Debug)]
pub struct KerberosPlan {
    /// Where tickets come from.
    pub kerberos: Arc<Kerberos>,
    /// The router's own principal.
    pub principal: Arc<str>,
    /// The principal of a coordinator, in which `_HOST` stands for its host.
    pub coordinator: Arc<str>,
}

/// How sessions move between coordinators; `docs/CONFIG.md` explains each setting under `[[cluster]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveSettings {
    /// Whether idle sessions leave a coordinator that drains or is quiescing. Has an effect only on flavor
    /// impala.
    pub idle_sessions: bool,
    /// How long a session stays on its coordinator after it has changed data there.
    pub cooldown: Duration,
    /// Whether sessions move back to a coordinator that has returned.
    pub rebalance: bool,
}
