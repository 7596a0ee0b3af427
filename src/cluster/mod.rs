//! What the router knows of a fleet: its coordinators, how loaded each is, and which one a new session should
//! go to.
//!
//! Nothing here performs IO, reads a clock or draws its own random numbers: `serve` reports what happened
//! ([`Coordinator::note_dial_failed`] and its kin, guards such as [`Opening`]) and asks
//! ([`Cluster::pick_and_reserve`]).

pub mod brake;
mod changes;
mod condition;
mod cooling;
pub mod coordinator;
mod counts;
pub mod demands;
mod drain;
mod failures;
pub mod flavor;
mod guards;
pub mod health;
pub mod judged;
pub mod lineage;
pub mod load;
pub mod pick;
mod policy;
pub mod rebalance;
pub mod room;
pub mod roster;
mod stick;
pub mod turns;

#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::RandomState;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::ServerName;

pub use self::condition::{News, Report, Standing};
pub use self::cooling::Cause;
pub use self::coordinator::Coordinator;
pub use self::demands::{Demand, Step};
pub use self::drain::{Drain, DrainSettings, DrainThen};
pub use self::flavor::Flavor;
pub use self::guards::{OpaqueCount, Opening, OperationCount, RunningCount, SessionCount};
pub use self::load::{Figures, Load, Others, Own, Share};
pub use self::pick::{Basis, Candidate, NoPick, PickReason, Reserved, Wanted};
pub use self::policy::PolicyName;
use self::roster::Roster;
pub use self::stick::Stick;
use crate::ids::{CoordinatorId, CoordinatorName, PerService, Service};

/// The weights that people may give a coordinator.
pub const WEIGHTS: RangeInclusive<u32> = 1..=1000;

/// Everything a cluster is built from; plain values, made by whoever read the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's name, unique in the router.
    pub name: Arc<str>,
    /// What kind of server its coordinators are.
    pub flavor: Flavor,
    /// Whether a session lives on when the connection that opened it closes.
    pub sessions_outlive_connections: bool,
    /// How the order of candidates is found.
    pub policy: PolicyName,
    /// What an open session without a running operation adds to a score; 0.0 or more, a running operation
    /// adds 1.0.
    pub idle_session_cost: f64,
    /// How health is judged and what follows from it.
    pub health: HealthSettings,
    /// The coordinators that are there at first; their ids follow this order. May be empty.
    pub coordinators: Vec<CoordinatorSettings>,
}

/// How a cluster judges health.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthSettings {
    /// How probes are judged.
    pub probe: health::Settings,
    /// If fewer than this share of the coordinators that people want used are fit, ejections are not
    /// believed. 0.0 to 1.0; with 0.0 all are believed.
    pub panic_threshold: f64,
    /// How long a returned coordinator takes to get its whole share; zero: at once.
    pub slow_start: Duration,
}

impl Default for HealthSettings {
    /// What holds where nothing is configured.
    fn default() -> Self {
        let probe = health::Settings { interval: Duration::from_secs(2), fall: 2, rise: 2 };
        Self { probe, panic_threshold: 0.5, slow_start: Duration::from_secs(30) }
    }
}

/// One coordinator as its cluster is told of it.
#[derive(Clone, Debug)]
pub struct CoordinatorSettings {
    /// Unique within the cluster.
    pub name: CoordinatorName,
    /// A host name or an address literal (an IPv6 one without brackets).
    pub host: String,
    /// Where it listens.
    pub ports: Ports,
    /// The name that its certificate must be for; `None` if it is reached without TLS.
    pub tls: Option<ServerName<'static>>,
    /// Its share relative to the others, at least 1.
    pub weight: u32,
    /// Whether people want new sessions on it.
    pub state: AdminState,
}

/// Where a coordinator listens; `None` is a service that it does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// `HiveServer2` Thrift, binary.
    pub hs2: Option<u16>,
    /// Beeswax Thrift, binary.
    pub beeswax: Option<u16>,
    /// `HiveServer2` Thrift over HTTP.
    pub hs2_http: Option<u16>,
    /// The debug web server.
    pub web: Option<u16>,
}

impl Ports {
    /// The port of a client service, if the coordinator offers it.
    pub fn of(&self, service: Service) -> Option<u16> {
        match service {
            Service::Hs2 => self.hs2,
            Service::Beeswax => self.beeswax,
            Service::Hs2Http => self.hs2_http,
        }
    }

    /// The port that most clients use for HS2, if the coordinator offers any.
    pub fn hs2_by_use(&self) -> Option<Service> {
        Service::BY_USE.into_iter().find(|one| *one != Service::Beeswax && self.of(*one).is_some())
    }

    /// The service that speaks for the coordinator as long as no client has used another.
    pub fn main(&self) -> Option<Service> {
        Service::BY_USE.into_iter().find(|service| self.of(*service).is_some())
    }
}

/// What people decided about a coordinator; health never changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// Takes new sessions.
    Active,
    /// Takes no new session; the ones it has go on.
    Drain,
}

impl AdminState {
    /// The word used in config, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Drain => "drain",
        }
    }
}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a cluster could not be built from its [`Settings`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Two coordinators share a name, so that neither could be drained or counted by it.
    #[error("two coordinators are named {name}")]
    DuplicateName {
        /// The name in question.
        name: CoordinatorName,
    },
    /// A weight of 0 is not a drain: it would make every score infinite.
    #[error(
        "coordinator {name} has weight 0: the least is 1; use state = \"drain\" to send it no new sessions"
    )]
    ZeroWeight {
        /// The coordinator in question.
        name: CoordinatorName,
    },
    /// The cost is negative, infinite or not a number.
    #[error("idle_session_cost {cost} is not a finite number of 0 or more")]
    IdleSessionCost {
        /// What was given.
        cost: f64,
    },
    /// There were as many coordinators as a [`CoordinatorId`] can tell apart.
    #[error("no more coordinators: there were {} since the router started", CoordinatorId::LAST.0)]
    TooMany,
}

/// A named set of coordinators, shared by every connection that is routed to it.
#[derive(Debug)]
pub struct Cluster {
    /// The cluster's name.
    pub name: Arc<str>,
    /// What kind of server its coordinators are.
    pub flavor: Flavor,
    /// Whether a session lives on when the connection that opened it closes. Where it does not, the link that
    /// opened it is kept for it; where it does, a handle that is not known may be somebody's.
    pub sessions_outlive_connections: bool,
    coordinators: Roster<Coordinator>,
    /// Which services any of them has ever offered.
    offered: PerService<AtomicBool>,
    /// Of the next one. Locked for as long as one is added: no two may have the same name.
    next_id: Mutex<u32>,
    health: HealthSettings,
    /// Locked for the length of one pick, so that concurrent picks see each other's reservations.
    policy: Mutex<policy::Policy>,
    demands: Mutex<demands::Demands>,
    /// Of the hashes that tell demands apart.
    demand_key: RandomState,
    /// Which coordinators the next pick has to look at again.
    changes: Arc<changes::Changes>,
}

impl Cluster {
    /// Builds the cluster, with nothing counted and no coordinator suspected of anything.
    ///
    /// # Errors
    /// The first thing in the settings that no cluster can have.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings { name, flavor, policy, idle_session_cost, health, coordinators, .. } = settings;
        let sessions_outlive_connections = settings.sessions_outlive_connections;
        if !idle_session_cost.is_finite() || idle_session_cost < 0.0 {
            return Err(SettingsError::IdleSessionCost { cost: idle_session_cost });
        }
        let cluster = Self {
            name,
            flavor,
            sessions_outlive_connections,
            coordinators: Roster::default(),
            offered: PerService::default(),
            next_id: Mutex::default(),
            health,
            policy: Mutex::new(policy::Policy::new(policy, idle_session_cost)),
            demands: Mutex::default(),
            demand_key: RandomState::new(),
            changes: Arc::default(),
        };
        for settings in coordinators {
            cluster.add(settings, |_| ())?;
        }
        Ok(cluster)
    }

    /// Adds a coordinator, with nothing counted; its id is the next one. It can be picked once `before` has
    /// seen it.
    ///
    /// # Errors
    /// The name is taken, the weight is 0, or all ids are used up.
    pub fn add<T>(
        &self,
        settings: CoordinatorSettings,
        before: impl FnOnce(&Arc<Coordinator>) -> T,
    ) -> Result<(Arc<Coordinator>, T), SettingsError> {
        let mut next_id = self.next_id.lock();
        if self.named(&settings.name.0).is_some() {
            return Err(SettingsError::DuplicateName { name: settings.name });
        }
        let id = CoordinatorId(*next_id);
        if id > CoordinatorId::LAST {
            return Err(SettingsError::TooMany);
        }
        let mark = changes::Mark::new(id, &self.changes);
        let coordinator = Arc::new(Coordinator::new(id, settings, self.health, mark)?);
        *next_id += 1;
        for (service, offered) in self.offered.iter() {
            offered.fetch_or(coordinator.ports.of(service).is_some(), Ordering::Relaxed);
        }
        let done = before(&coordinator);
        self.coordinators.add(&coordinator);
        Ok((coordinator, done))
    }

    /// Takes a coordinator out of the cluster: it is not picked any more. What is counted for it is counted
    /// to its end.
    pub fn remove(&self, id: CoordinatorId) -> Option<Arc<Coordinator>> {
        self.coordinators.remove(id)
    }

    /// Whether sessions that were opened on this port live on when the connection that opened them closes.
    /// Over HTTP they always do (seen: Spark 3.5; Impala: `ImpalaServer::ConnectionEnd`).
    pub fn outlive_connections(&self, service: Service) -> bool {
        service == Service::Hs2Http || self.sessions_outlive_connections
    }

    /// How many coordinators there are at the moment.
    pub fn size(&self) -> usize {
        self.coordinators.size()
    }

    /// The coordinators that there are at the moment, in the order in which they came.
    pub fn coordinators(&self) -> roster::All<Coordinator> {
        self.coordinators.all()
    }

    /// The coordinator with this id; `None` if it was removed, or the id is one of another cluster.
    pub fn coordinator(&self, id: CoordinatorId) -> Option<Arc<Coordinator>> {
        self.coordinators.get(id)
    }

    /// Whether any of its coordinators offers the service, or one that was removed did: while none is there,
    /// calls are still understood.
    pub fn serves(&self, service: Service) -> bool {
        self.offered.get(service).load(Ordering::Relaxed)
    }

    /// Why no coordinator is left to pick, if each one that offers the service was kept out by people.
    pub fn why_nobody(&self) -> &'static str {
        let is_ejected = |one: &Arc<Coordinator>| one.ejected_since().is_some();
        if self.coordinators().iter().any(is_ejected) {
            "all of them are draining or ejected by an operator"
        } else {
            "all of them are draining"
        }
    }

    /// The coordinator that people call by this name.
    pub fn named(&self, name: &str) -> Option<Arc<Coordinator>> {
        self.coordinators().iter().find(|coordinator| &*coordinator.name.0 == name).cloned()
    }
}
