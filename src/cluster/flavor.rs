//! What kind of server a cluster's coordinators are, and what follows from it for routing.

use std::fmt;
use std::str::FromStr;

use super::Ports;

/// The kind of server; every difference in behaviour is asked of it by name, never compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// Apache Impala.
    Impala,
    /// `HiveServer2`, and servers that behave like it.
    Hive,
    /// Spark Thrift Server.
    Spark,
}

impl Flavor {
    /// The word used in config, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Impala => "impala",
            Self::Hive => "hive",
            Self::Spark => "spark",
        }
    }

    /// Whether an HS2 session lives on when the connection that opened it closes.
    ///
    /// Impala keeps it for `disconnected_session_timeout` (impala-server.cc). Hive and Spark close it
    /// (`hive.server2.close.session.on.disconnect`, true by default), so the link that opened it must be kept.
    pub fn sessions_outlive_connections(self) -> bool {
        matches!(self, Self::Impala)
    }

    /// The ports of an installation that nobody changed.
    pub fn default_ports(self) -> Ports {
        match self {
            // Beeswax is off by default since IMPALA-14990, but where it is on it is here.
            Self::Impala => {
                Ports { hs2: 21050, beeswax: Some(21000), hs2_http: Some(28000), web: Some(25000) }
            }
            Self::Hive => Ports { hs2: 10000, beeswax: None, hs2_http: Some(10001), web: Some(10002) },
            // Spark listens for one transport at a time; its web port is the application's own, which varies.
            Self::Spark => Ports { hs2: 10000, beeswax: None, hs2_http: Some(10001), web: None },
        }
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is no flavor's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of impala, hive, spark")]
pub struct UnknownFlavor {
    /// What was written.
    pub word: String,
}

impl FromStr for Flavor {
    type Err = UnknownFlavor;

    fn from_str(word: &str) -> Result<Self, UnknownFlavor> {
        [Self::Impala, Self::Hive, Self::Spark]
            .into_iter()
            .find(|flavor| flavor.as_str() == word)
            .ok_or_else(|| UnknownFlavor { word: word.to_owned() })
    }
}
