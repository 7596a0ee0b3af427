//! Every table and key of the config, with its type, its default and its meaning.
//! `docs/CONFIG.md` is generated from what stands here.

mod history;
mod kerberos;
mod listener;

use std::net::SocketAddr;
use std::path::PathBuf;

use http::HeaderName;
use toml::Spanned;
use toml::de::DeValue;

pub(super) use self::history::HistoryFile;
pub(super) use self::kerberos::{ClusterKerberosFile, ListenerKerberosFile};
pub(super) use self::listener::{ListenerFile, ListenerTlsFile, PairFile};
use super::host::{Host, Name};
use super::problem::Problems;
use super::section::{Absent, Key, Section, SectionInfo, section};
use super::units::{ByteSize, TimeSpan};
use super::usual;
use super::value::{Entry, Value, wrong_type};
use super::words::{LogFormat, LogLevel, VerifyWord};
use crate::cluster::{AdminState, DrainThen, Flavor, PolicyName, Stick};

/// Every table, in the order of the reference.
pub const SECTIONS: &[SectionInfo] = &[
    RouterFile::INFO,
    LogFile::INFO,
    AdminFile::INFO,
    HistoryFile::INFO,
    ListenerFile::INFO,
    ListenerTlsFile::INFO,
    PairFile::INFO,
    ListenerKerberosFile::INFO,
    ClusterFile::INFO,
    ProbeFile::INFO,
    LoadFile::INFO,
    ClusterTlsFile::INFO,
    ClusterKerberosFile::INFO,
    CoordinatorFile::INFO,
];

/// The header of the first section that has a key of this name.
pub(super) fn section_of(key: &str) -> Option<&'static str> {
    SECTIONS.iter().find(|section| section.knows(key)).map(|section| section.header)
}

section! {
    /// Time-outs and bounds of the whole router. Durations are written `"250ms"`, `"3s"`, `"10m"` or `"1h"`,
    /// sizes `"64KiB"` or `"16MiB"`.
    RouterFile at "router", "[router]" {
        /// A client that has sent no byte for this long is connected to a coordinator, in case it waits for
        /// the server to speak first. First bytes that could still become a known protocol are relayed as
        /// unknown after this time. More than 0.
        detect_timeout: TimeSpan = default("3s"),
        /// How long each step before a client's first call may take: a balancer's PROXY header, TLS, SASL.
        /// Also TLS and SASL with a coordinator, and the wait for its first byte on a connection that is
        /// relayed unread (for HTTP that is `open_timeout`). More than 0.
        handshake_timeout: TimeSpan = default("30s"),
        /// How long one attempt to connect to a coordinator may take, including the resolution of its name
        /// and all addresses that are tried. More than 0.
        connect_timeout: TimeSpan = default("3s"),
        /// How long it may take to open a session, over all coordinators that are asked. More than 0. A slow
        /// coordinator is waited for: the next one is tried only when it refuses, when the connection to it
        /// breaks, or when its port stops answering, which the router checks while the open waits.
        open_timeout: TimeSpan = default("5m"),
        /// After this much silence the kernel asks whether the peer is still there, then every 10 s; this
        /// holds for clients and coordinators. 1s to 9h. Replies have no time-out, because statements run for
        /// hours.
        keepalive: TimeSpan = default("60s"),
        /// A client is closed when, for this long, it stops in the middle of a request, does not take its
        /// reply, or sends less than 4 KiB of a request per second. More than 0.
        stall_timeout: TimeSpan = default("30s"),
        /// A session whose calls share connections (`share_links`) is closed, and its operations are
        /// cancelled, when for this long there has been no client connection that used it.
        client_lost_grace: TimeSpan = default("15m"),
        /// How long calls in flight and open operations may take when the router is told to stop; a second
        /// signal ends the wait.
        drain_timeout: TimeSpan = default("10m"),
        /// Client connections served at once; at this number the router stops accepting. 1 to 1000000. Each
        /// needs two file descriptors or more, and up to 100 KiB of memory while a head of HTTP or a ticket comes in.
        max_connections: u64 = default(20000),
        /// A request up to this size is held until its reply begins, so that it can go to another coordinator
        /// when the first one refuses it; a longer one is passed on as it comes. 4KiB to 16MiB.
        replay_limit: ByteSize = default("256KiB"),
        /// Memory for all requests that are held; when it is used up, requests are passed on as they come. At
        /// least `replay_limit`.
        replay_memory: ByteSize = default("32MiB"),
        /// Sessions known at once; 1 to 100000000. A user, or an address where nobody logs in, may have as
        /// many as there are places left, so half of the table if nobody else uses it.
        session_table_size: u64 = default(1000000),
    }
    later {}
}

section! {
    /// What is logged to standard error.
    LogFile at "log", "[log]" {
        /// The form of a line.
        format: LogFormat = default("text"),
        /// The least severe events that are logged.
        level: LogLevel = default("info"),
    }
    later {}
}

section! {
    /// The operators' port: `/healthz`, `/metrics` and the coordinators (`/api/v1/coordinators`).
    AdminFile at "admin", "[admin]" {
        /// Where the router listens for operators: a loopback address, because there are no users yet. Port 0
        /// takes a free one.
        address: SocketAddr = default("127.0.0.1:25025"),
        /// The file of what has ended and what operators had done.
        history: HistoryFile = derived("none: the last are in memory only"),
    }
    later {
        "users": "names and password hashes, so that the port may listen on other addresses",
        "tls": "a certificate for the port",
    }
}

section! {
    /// A set of coordinators that share the load of sessions; repeat the table for each.
    ClusterFile at "cluster", "[[cluster]]" {
        /// The name in listeners, logs and metrics.
        name: Name = derived("the flavor"),
        /// What the coordinators are: their default ports and what they can do.
        flavor: Flavor = default("impala"),
        /// Whether a session lives on when the connection that opened it closes, so that its handle can be
        /// used on any other connection: `true` for `HiveServer2` with
        /// `hive.server2.close.session.on.disconnect=false` and Kyuubi with
        /// `kyuubi.session.close.on.disconnect=false`. With `false` a session ends with its connection, and
        /// the router closes its own connection to the coordinator at the same time.
        sessions_outlive_connections: bool = derived("impala true, hive and spark false"),
        /// How a coordinator is picked for a new session.
        policy: PolicyName = default("least-loaded"),
        /// What keeps connections together that are passed on to one coordinator (Kerberos without a keytab of
        /// the router, and what is not understood). `"source"`: those of one client address go to the same
        /// coordinator, as long as it has no more than 1.25 times its part of all sessions. Hue needs that with
        /// Kerberos, because it uses a session from several connections.
        stick: Stick = default("none"),
        /// The load of an open session without a running operation, where a running operation counts 1 and an
        /// open in progress 0.25; 0 to 100.
        idle_session_cost: f64 = default(0.1),
        /// How long a coordinator keeps a session to which no connection is attached: Impala's flag
        /// `--disconnected_session_timeout`.
        disconnected_session_timeout: TimeSpan = default("15m"),
        /// Connections that a coordinator serves at once on a port: Impala's flag `--fe_service_threads`. The
        /// router makes no more than that, less `reserve` and less the connections of others. 0 to 1000000; 0
        /// means no limit.
        service_threads: u64 = computed(usual::service_threads),
        /// How many of these connections are kept for calls that cancel or close something, so that calls
        /// that block cannot keep them out. Less than `service_threads`.
        reserve: u64 = default(2),
        /// The share of the free connections that one client address may use while nobody at it has logged
        /// in: its clients need no login, are still logging in, or are relayed unread. 0 to 1; one connection
        /// is always allowed. Set 1 where all clients come from one address, because another balancer or a
        /// NAT is in front and `proxy_protocol_from` does not tell them apart.
        address_share: f64 = default(0.75),
        /// How long a new session may wait for a coordinator with room, and a call for a connection to its
        /// coordinator; after that the client gets an error. Before that, what would begin something in a paused
        /// cluster may wait as long again, or for as long as the pause is to last. More than 0.
        queue_timeout: TimeSpan = default("60s"),
        /// How many new sessions may wait, and how many calls for each coordinator's port; in a paused cluster, how
        /// many of both for each service. 0 to 1000000.
        /// Users take turns; before a login is accepted, addresses do. When the queue is full, a newcomer
        /// displaces the newest entry of the user or address that has the most in it.
        queue_length: u64 = default(10000),
        /// Whether all connections of one user, or all connections that need no login, share the connections
        /// to a coordinator's `HiveServer2` port, each for the length of a call, so that idle clients hold no
        /// service thread. Only for flavor `impala`, and only while sessions outlive connections and
        /// `disconnected_session_timeout` is more than 0.
        share_links: bool = default(true),
        /// How coordinators are probed.
        probe: ProbeFile = derived("its keys' own"),
        /// How the coordinators' own figures are polled.
        load: LoadFile = derived("its keys' own"),
        /// TLS towards the coordinators.
        tls: ClusterTlsFile = derived("none: they are reached in clear"),
        /// Kerberos towards the coordinators.
        kerberos: ClusterKerberosFile = derived("none: clients log in themselves"),
        /// Headers over HTTP by which the coordinators trust whoever sends them: the name in Impala's flag
        /// `--trusted_auth_header`, or in Hive's `hive.server2.proxy.trustheader`. They never pass
        /// from a client. Of other headers only those pass that `docs/HTTP.md` lists, so no name is needed
        /// here that begins with neither `X-Impala-` nor `X-Hive-`; to list it does no harm.
        trusted_auth_headers: Vec<HeaderName> = default([]),
        /// When less than this share of the coordinators in use is healthy, the checks are more likely to be
        /// wrong than so many coordinators, and all are used; 0 to 1, where 0 always trusts the checks.
        panic_threshold: f64 = default(0.5),
        /// How long a coordinator that has returned takes to get its whole share of new sessions, from the
        /// time that its catalog is ready. `"0s"` gives it the whole share at once.
        slow_start: TimeSpan = default("30s"),
        /// Whether idle sessions leave a coordinator that drains, shuts down or is lost, without their
        /// clients noticing; only for flavor `impala` and `HiveServer2`. A session stays while one of its
        /// operations is open, while a call is in flight, and for good after a statement that the router does
        /// not understand. Two things are lost: the profiles of earlier operations once the old coordinator
        /// has ended, and the promise that a session reads its own earlier writes to Kudu.
        move_idle_sessions: bool = default(true),
        /// How long a session stays on the coordinator where it ran DDL or DML, so that it can read what it
        /// wrote. A session of a coordinator that is lost does not wait.
        move_cooldown: TimeSpan = default("10s"),
        /// Whether idle sessions go back to a coordinator that has returned, at most 5 % of all per second,
        /// until the fullest coordinator has no more than 1.1 times the mean. Has no effect without
        /// `move_idle_sessions`.
        rebalance: bool = default(true),
        /// How long operations may go on when their coordinator is drained. A drain that is begun over the
        /// admin port may have another deadline. With `"0s"` no operation is waited for.
        drain_deadline: TimeSpan = default("1h"),
        /// What happens to the operations that are open at the deadline: `"leave"` lets them go on;
        /// `"cancel"` cancels them with the client's own login, after which their sessions can leave, and
        /// closes connections that are passed on (Kerberos, and what is not understood). The coordinator tells
        /// the client of a query that it was cancelled.
        drain_then: DrainThen = default("leave"),
        /// The coordinators, 1 to 1000: each a host (`"impala-1"`), a host with the port of its `HiveServer2`
        /// service, which is then its only one (`"impala-1:21051"`), or a table.
        coordinators: Vec<CoordinatorFile> = required("coordinators = [\"impala-1.example.com\"]"),
    }
    later {}
}

section! {
    /// Health checks, in a `[[cluster]]`. The router connects to each port that is in use, and asks for
    /// `/healthz` on the web port. Where sessions are opened without a login, it keeps one session and calls
    /// `GetInfo` in it.
    ProbeFile at "cluster.probe", "probe = { … }" {
        /// The time from one probe of a port to the next; 100ms to 1h. It is also the first pause after an
        /// ejection; each ejection that follows soon doubles the pause, up to 1 min.
        interval: TimeSpan = default("2s"),
        /// How long one probe may take; at most `interval`.
        timeout: TimeSpan = default("1s"),
        /// After this many failures in a row a coordinator's port gets no new session; 1 to 100.
        fall: u64 = default(2),
        /// After this many passes in a row it gets new sessions again; 1 to 100.
        rise: u64 = default(2),
    }
    later {}
}

section! {
    /// Polls of the coordinators' web ports, in a `[[cluster]]` of flavor `impala`. They show the load from
    /// direct clients and other routers, whether a coordinator is shutting down, and whether its catalog is
    /// ready. Without them the router knows only the load that it caused itself.
    LoadFile at "cluster.load", "load = { … }" {
        /// The time from one poll to the next; 100ms to 1h.
        interval: TimeSpan = default("1s"),
    }
    later {}
}

section! {
    /// TLS towards the coordinators, in a `[[cluster]]`, below its other keys. With this table, even an empty
    /// one, the ports of clients are reached with TLS 1.2 or 1.3. Files are PEM; paths are relative to the
    /// folder of the config file. Files whose content changes take effect for new connections; if they cannot
    /// be used, the last good ones stay.
    ClusterTlsFile at "cluster.tls", "[cluster.tls]" {
        /// The certificates that are trusted: of single coordinators, each for itself alone, or of
        /// authorities, with all that these have issued. One with `CA:TRUE` is an authority's, also one that
        /// `openssl req -x509` has made for a single coordinator.
        ca: PathBuf = derived("the system's: `SSL_CERT_FILE`, else where Debian, RHEL, SUSE or Alpine keep them"),
        /// What is demanded of a coordinator's certificate. `"full"`: that a trusted authority has issued it,
        /// and that it is for the coordinator's `server_name`. `"name-of-cluster"`: the same, but all
        /// coordinators have certificates for one name, often that of a balancer. `"none"`: nothing. Then
        /// passwords go to whoever answers at a coordinator's address; the router warns of it.
        verify: VerifyWord = default("full"),
        /// The name that the certificates of all coordinators are for; only with
        /// `verify = "name-of-cluster"`.
        server_name: Host = derived("none"),
        /// The certificate that the router shows to coordinators that ask for one, with those between it and
        /// an authority behind it. Needs `key`.
        certificate: PathBuf = derived("none"),
        /// The private key of `certificate`, not encrypted: PKCS#8, PKCS#1 or SEC1.
        key: PathBuf = derived("none"),
        /// Whether the web port is reached with TLS, too (Impala's flag `--webserver_certificate_file`).
        web: bool = default(false),
    }
    later {}
}

section! {
    /// A coordinator for which more than a host is given, in the list `coordinators` of a `[[cluster]]`. Port
    /// 0 means that the coordinator does not have that service; it must have at least one of `hs2`, `beeswax`
    /// and `hs2_http`.
    CoordinatorFile at "cluster.coordinators", "coordinators = [{ … }]" {
        /// The name in logs, metrics and commands; unique in its cluster.
        name: Name = derived("the host, with its port if another has the same host and no name"),
        /// Host name or IP address. If a name stands for several hosts, the router uses the first that it
        /// reaches, for all ports, until it can no longer connect to any of them there. Then it resolves the
        /// name again, and another address counts as another process, as after a restart. To use all of the
        /// hosts, list each by its own name or address. One IPv4 and one IPv6 address count as one host.
        host: Host = required("host = \"impala-1.example.com\""),
        /// The coordinator's share of the load relative to the others; 1 to 1000.
        weight: u64 = default(1),
        /// `drain` keeps new sessions away from the coordinator, and `drain_deadline` counts from then. The
        /// key is read again at SIGHUP and takes effect if it has changed since the file was last read;
        /// otherwise a state set over the admin port holds.
        state: AdminState = default("active"),
        /// The port of `HiveServer2` Thrift.
        hs2: u16 = computed(usual::hs2),
        /// The port of Beeswax Thrift.
        beeswax: u16 = computed(usual::beeswax),
        /// The port of `HiveServer2` Thrift over HTTP.
        hs2_http: u16 = computed(usual::hs2_http),
        /// The port of its web pages. Only Impala's web pages are read.
        web: u16 = computed(usual::web),
        /// Whether it is reached with TLS. `false` while a cluster is migrated and this coordinator is not
        /// yet.
        tls: bool = derived("whether the cluster has `[cluster.tls]`"),
        /// The name that its certificate is for: a host name or an IP address.
        server_name: Host = derived("`host`"),
    }
    later {
        "metrics": "a port with metrics that needs no login",
    }
}

/// A table in a table, written `key = { … }` or with a header of its own.
macro_rules! table_value {
    ($($name:ident),+) => {$(
        impl Value for $name {
            fn kind() -> String {
                "table".to_owned()
            }

            fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
                let Some(table) = value.get_ref().as_table() else {
                    problems.add(&value.span(), key, wrong_type(value.get_ref(), Self::INFO.header));
                    return None;
                };
                Some(<Self as Section>::read(table, &value.span(), problems))
            }
        }
    )+};
}

table_value!(
    HistoryFile,
    ListenerTlsFile,
    ListenerKerberosFile,
    ProbeFile,
    LoadFile,
    ClusterTlsFile,
    ClusterKerberosFile
);
