//! The closed sets of words that a config may use: each word is written once, for reading, printing and the reference.

use crate::ids::Service;

/// A type whose values are written as one of a few words.
pub trait Words: Copy + 'static {
    /// Every value, in the order in which the reference lists them.
    const ALL: &'static [Self];

    /// The word for this value.
    fn word(self) -> &'static str;

    /// The value that this word stands for.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.word() == word)
    }

    /// All words, as a sentence lists them: `"a", "b"`.
    fn listed() -> String {
        let quoted: Vec<String> = Self::ALL.iter().map(|value| format!("{:?}", value.word())).collect();
        quoted.join(", ")
    }
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $value,)+ }

        impl Words for $name {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn word(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }
        }
    };
}

words! {
    /// What the coordinators of a cluster are.
    Flavor {
        /// Apache Impala.
        Impala = "impala",
        /// Apache Hive's `HiveServer2`, and what copies it.
        Hive = "hive",
        /// Spark Thrift Server.
        Spark = "spark",
    }
}

words! {
    /// How a coordinator is picked for a new session.
    Policy {
        /// The lowest score of running operations and sessions by weight.
        LeastLoaded = "least-loaded",
        /// Each in turn, by weight.
        RoundRobin = "round-robin",
    }
}

words! {
    /// What people want of a coordinator.
    AdminState {
        /// It gets new sessions.
        Active = "active",
        /// It keeps its sessions and gets no new ones.
        Drain = "drain",
    }
}

words! {
    /// The form of a log line.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// The least severe events that are logged.
    LogLevel {
        /// Failures of the router itself.
        Error = "error",
        /// What an operator should look at.
        Warn = "warn",
        /// The life of the process and of coordinators.
        Info = "info",
        /// The life of every session.
        Debug = "debug",
        /// Every call.
        Trace = "trace",
    }
}

impl Words for Service {
    const ALL: &'static [Self] = &[Self::Hs2, Self::Beeswax, Self::Hs2Http];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// The ports that a coordinator listens on unless it is told otherwise; `None` where there is no such service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultPorts {
    /// `HiveServer2` Thrift, binary.
    pub hs2: u16,
    /// Beeswax Thrift.
    pub beeswax: Option<u16>,
    /// `HiveServer2` Thrift over HTTP.
    pub hs2_http: Option<u16>,
    /// The page and JSON for people and probes.
    pub web: Option<u16>,
}

impl Flavor {
    /// The default ports. Impala: impala-server.cc and webserver.cc (flags `hs2_port`, `beeswax_port`, `hs2_http_port`,
    /// `webserver_port`; Beeswax is off by default since IMPALA-14990, 21000 wherever it is on). Hive: HiveConf.java
    /// (`hive.server2.thrift.port`, `….http.port`, `….webui.port`). Spark: the same, and `spark.ui.port`.
    pub fn default_ports(self) -> DefaultPorts {
        match self {
            Self::Impala => {
                DefaultPorts { hs2: 21050, beeswax: Some(21000), hs2_http: Some(28000), web: Some(25000) }
            }
            Self::Hive => DefaultPorts { hs2: 10000, beeswax: None, hs2_http: Some(10001), web: Some(10002) },
            Self::Spark => DefaultPorts { hs2: 10000, beeswax: None, hs2_http: Some(10001), web: Some(4040) },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_its_value() {
        fn check<W: Words + PartialEq + std::fmt::Debug>() {
            assert!(!W::ALL.is_empty());
            for value in W::ALL {
                assert_eq!(W::from_word(value.word()), Some(*value));
            }
            assert_eq!(W::from_word("else"), None);
        }
        check::<Flavor>();
        check::<Policy>();
        check::<AdminState>();
        check::<LogFormat>();
        check::<LogLevel>();
        check::<Service>();
    }
}
