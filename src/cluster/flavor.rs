//! What kind of server a cluster's coordinators are, and what follows from it for routing.

use std::fmt;

use super::Ports;
use crate::ids::Service;

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

    /// The ports of an installation that nobody changed. Impala: impala-server.cc and webserver.cc (flags `hs2_port`,
    /// `beeswax_port`, `hs2_http_port`, `webserver_port`). Hive: HiveConf.java (`hive.server2.thrift.port`, `….http.port`,
    /// `….webui.port`). Spark: the first two as Hive.
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

    /// Connections that a port serves at once in an installation that nobody changed. Impala: impala-server.cc
    /// (`fe_service_threads`). Hive: HiveConf.java (`hive.server2.thrift.max.worker.threads`). Spark: as Hive.
    pub fn default_service_threads(self) -> u32 {
        match self {
            Self::Impala => 64,
            Self::Hive | Self::Spark => 500,
        }
    }

    /// The service that is usual on this port: what a listener there is for, unless it says so itself.
    pub fn usual_service(self, port: u16) -> Service {
        let ports = self.default_ports();
        match Some(port) {
            usual if usual == ports.beeswax => Service::Beeswax,
            usual if usual == ports.hs2_http => Service::Hs2Http,
            _ => Service::Hs2,
        }
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
