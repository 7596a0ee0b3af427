//! What kind of server a cluster's coordinators are, and what follows from it for routing.

use std::fmt;

use super::Ports;
use crate::ids::{Family, Service};

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

    /// Whose code its coordinators answer with. Kyuubi has a copy of Hive's, too
    /// (`KyuubiTBinaryFrontendService`, `PlainSASLServer`).
    pub fn family(self) -> Family {
        match self {
            Self::Impala => Family::Impala,
            Self::Hive | Self::Spark => Family::Hive,
        }
    }

    /// Whether an HS2 session lives on when the connection that opened it closes, in an installation that
    /// nobody changed.
    ///
    /// Impala keeps it for `disconnected_session_timeout` (impala-server.cc). Hive and Spark close it
    /// (`hive.server2.close.session.on.disconnect`, true by default), so the link that opened it must be
    /// kept.
    pub fn sessions_outlive_connections(self) -> bool {
        matches!(self, Self::Impala)
    }

    /// Whether connections of one identity may share their links: the router then looks after sessions, by
    /// calls that only Impala has.
    pub fn shares_links(self) -> bool {
        matches!(self, Self::Impala)
    }

    /// Whether a coordinator ends connections to this service because they are idle. Hive and Spark serve HTTP
    /// with Jetty, which does (`hive.server2.thrift.http.max.idle.time`, half an hour). Impala ends only those
    /// whose sessions are all closed (`TAcceptQueueServer.cpp`).
    pub fn ends_idle_links(self, service: Service) -> bool {
        service == Service::Hs2Http && !matches!(self, Self::Impala)
    }

    /// Whether it has a call that does nothing but ask for a session (`PingImpalaHS2Service`).
    pub fn pings_sessions(self) -> bool {
        matches!(self, Self::Impala)
    }

    /// Whether a session can be opened again elsewhere with all that was set in it: only of Impala's
    /// statements it is known what they set.
    pub fn sessions_move(self) -> bool {
        matches!(self, Self::Impala)
    }

    /// Where a service is in an installation that has it and that nobody changed. Impala: impala-server.cc
    /// (flags `hs2_port`, `beeswax_port`, `hs2_http_port`). Hive: HiveConf.java (`hive.server2.thrift.port`,
    /// `….http.port`). Spark: as Hive.
    pub fn usual_port(self, service: Service) -> Option<u16> {
        match (self, service) {
            (Self::Impala, Service::Hs2) => Some(21050),
            (Self::Impala, Service::Beeswax) => Some(21000),
            (Self::Impala, Service::Hs2Http) => Some(28000),
            (Self::Hive | Self::Spark, Service::Hs2) => Some(10000),
            (Self::Hive | Self::Spark, Service::Hs2Http) => Some(10001),
            (Self::Hive | Self::Spark, Service::Beeswax) => None,
        }
    }

    /// The ports of a coordinator of which nothing else is known. Impala has all services; Beeswax is off by
    /// default since IMPALA-14990, but where it is on it is here. Hive and Spark listen for one transport
    /// unless they are told otherwise, and that is the binary one (Hive: HiveConf.java,
    /// `hive.server2.transport.mode`). Web: webserver.cc (`webserver_port`); of Hive's and Spark's web pages
    /// nothing is read.
    pub fn default_ports(self) -> Ports {
        let hs2 = self.usual_port(Service::Hs2);
        match self {
            Self::Impala => {
                let [beeswax, hs2_http] =
                    [Service::Beeswax, Service::Hs2Http].map(|one| self.usual_port(one));
                Ports { hs2, beeswax, hs2_http, web: Some(25000) }
            }
            Self::Hive | Self::Spark => Ports { hs2, beeswax: None, hs2_http: None, web: None },
        }
    }

    /// Connections that a port serves at once in an installation that nobody changed. Impala:
    /// impala-server.cc (`fe_service_threads`). Hive: HiveConf.java
    /// (`hive.server2.thrift.max.worker.threads`). Spark: as Hive.
    pub fn default_service_threads(self) -> u32 {
        match self {
            Self::Impala => 64,
            Self::Hive | Self::Spark => 500,
        }
    }

    /// The service that is usual on this port, if one is.
    pub fn usual_service(self, port: u16) -> Option<Service> {
        Service::ALL.into_iter().find(|service| self.usual_port(*service) == Some(port))
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
