//! Names for things: newtypes with a short, stable printed form that logs, metrics and messages share.

use std::fmt;
use std::sync::Arc;

/// One client connection since the router started; printed as `c1a4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:x}", self.0)
    }
}

/// The name of a coordinator, unique within its cluster: what people drain, and the `coordinator` label of metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoordinatorName(pub Arc<str>);

impl fmt::Display for CoordinatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A coordinator's place in its cluster's list: small, copyable, valid for that cluster only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoordinatorId(pub u16);

/// Which of a coordinator's client ports: the Thrift service (or its HTTP form) that listens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// `HiveServer2` Thrift, binary (Impala: 21050).
    Hs2,
    /// Beeswax Thrift, binary (Impala: 21000, off by default since IMPALA-14990).
    Beeswax,
    /// `HiveServer2` Thrift over HTTP (Impala: 28000).
    Hs2Http,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 3] = [Self::Hs2, Self::Beeswax, Self::Hs2Http];

    /// The word used in config, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs2 => "hs2",
            Self::Beeswax => "beeswax",
            Self::Hs2Http => "hs2-http",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a link speaks for, as its coordinator knows it: what links of one identity carry is the same to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody in particular: a port without login. The framing of a link never changes.
    Anonymous {
        /// `TFramedTransport`.
        framed: bool,
    },
    /// A name that SASL PLAIN has proven.
    Plain(Arc<str>),
    /// Somebody whose bytes are passed on unread.
    Unread,
}

/// How deep a connection is understood (`docs/ARCHITECTURE.md`, "Depths").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Every call is read and sent to the owner of its handle.
    Route,
    /// Bytes are passed on untouched, to one coordinator for the life of the connection.
    Opaque,
}

impl Depth {
    /// The word used in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Opaque => "opaque",
        }
    }
}
