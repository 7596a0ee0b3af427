//! Every table and key of the config, with its type, its default and its meaning.
//! `docs/CONFIG.md` is generated from what stands here.

use std::net::SocketAddr;

use toml::Spanned;
use toml::de::DeValue;

use super::host::{Host, Name};
use super::problem::Problems;
use super::section::{Absent, Key, Section, SectionInfo, section};
use super::units::{ByteSize, TimeSpan};
use super::usual;
use super::value::{Entry, Value, wrong_type};
use super::words::{LogFormat, LogLevel};
use crate::cluster::{AdminState, DrainThen, Flavor, PolicyName};
use crate::ids::Service;
use crate::net::listen::ListenAddress;

/// Every table, in the order of the reference.
pub const SECTIONS: &[SectionInfo] = &[
    RouterFile::INFO,
    LogFile::INFO,
    AdminFile::INFO,
    ListenerFile::INFO,
    ClusterFile::INFO,
    ProbeFile::INFO,
    LoadFile::INFO,
    CoordinatorFile::INFO,
];

section! {
    /// Time-outs and bounds of the whole router. Durations are written `"250ms"`, `"3s"`, `"10m"` or `"1h"`, sizes
    /// `"64KiB"` or `"16MiB"`.
    RouterFile at "router", "[router]" {
        /// A client that has not sent a byte for this long is connected to a coordinator, in case it waits for the
        /// server to speak first. First bytes that could still become a known protocol are relayed as unknown after this
        /// time. More than 0.
        detect_timeout: TimeSpan = default("3s"),
        /// How long a client may take from its first byte to the end of its authentication, and a coordinator to its first
        /// byte on a connection that is relayed unread (`open_timeout` if that is HTTP); more than 0.
        handshake_timeout: TimeSpan = default("30s"),
        /// How long one attempt to connect to a coordinator may take, its name's resolution and all addresses that are tried
        /// included; more than 0.
        connect_timeout: TimeSpan = default("3s"),
        /// How long it may take to open a session, from the first coordinator that is asked on, over all that are; more
        /// than 0. One that is slow is waited for: the next one is tried only when this one refuses, is lost, or when
        /// nothing on its port is answered any more, which is found out while an open waits.
        open_timeout: TimeSpan = default("5m"),
        /// After this much silence the kernel asks whether the other side is still there, then every 10 s, on both
        /// sides; 1s to 9h. Replies have no time-out, because statements run for hours.
        keepalive: TimeSpan = default("60s"),
        /// A client that stops in the middle of a request, or does not take its reply, is closed after this, and so is one
        /// that sends less than 4 KiB of a request a second for so long; more than 0.
        stall_timeout: TimeSpan = default("30s"),
        /// A session whose calls share connections (`share_links`) is closed, and its operations are cancelled, when no
        /// client connection that used it has been there for this long.
        client_lost_grace: TimeSpan = default("15m"),
        /// How long calls in flight and open operations may take when the router is told to stop; a second signal
        /// ends it at once.
        drain_timeout: TimeSpan = default("10m"),
        /// Client connections served at once; at this many the router stops accepting. 1 to 1000000. Each needs two
        /// file descriptors or more.
        max_connections: u64 = default(20000),
        /// A request up to this size is held until its reply begins, so that it can go to another coordinator when
        /// the first one refuses it; a longer one is passed on as it comes. 4KiB to 16MiB.
        replay_limit: ByteSize = default("256KiB"),
        /// All requests held together; past it they are passed on as they come. At least `replay_limit`.
        replay_memory: ByteSize = default("32MiB"),
        /// Sessions known at once; 1 to 100000000. One user, or one address where nobody logs in, may have as many as there
        /// are places left: half of them if it is alone.
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
    /// The operators' own port: `/healthz`, `/metrics` and the coordinators (`/api/v1/coordinators`).
    AdminFile at "admin", "[admin]" {
        /// Where it listens: a loopback address, because there are no users yet. Port 0 takes a free one.
        address: SocketAddr = default("127.0.0.1:25025"),
    }
    later {
        "users": "names and password hashes, so that it may listen on other addresses",
        "tls": "a certificate for it",
    }
}

section! {
    /// An address that clients connect to; repeat the table for each. Every protocol is told apart by its bytes on
    /// every listener. Without any, the router listens on all IPv4 addresses at the usual ports of its one cluster.
    ListenerFile at "listener", "[[listener]]" {
        /// IP address and port; port 0 takes a free one. `0.0.0.0` stands for all IPv4 addresses, `[::]` for all IPv6 addresses
        /// and no others, whatever the system's default (`net.ipv6.bindv6only`) is, and `*`, as in `"*:21050"`, for all of both.
        address: ListenAddress = required("address = \"0.0.0.0:21050\""),
        /// The name of the cluster that is served here.
        cluster: Name = derived("the only cluster"),
        /// The coordinators' port for what cannot be told apart (or not yet).
        service: Service = computed(usual::service),
    }
    later {
        "proxy_protocol_from": "accept the PROXY protocol from these networks",
        "tls": "accept TLS with a certificate of the router",
        "kerberos": "accept Kerberos with a keytab of the router",
    }
}

section! {
    /// A set of coordinators that share their sessions' load; repeat the table for each.
    ClusterFile at "cluster", "[[cluster]]" {
        /// The name in listeners, logs and metrics.
        name: Name = derived("the flavor"),
        /// What the coordinators are: their default ports and what they can do.
        flavor: Flavor = default("impala"),
        /// Whether a session lives on when the connection that opened it closes, so that its handle is good on any other:
        /// `true` for `HiveServer2` with `hive.server2.close.session.on.disconnect=false` and Kyuubi with
        /// `kyuubi.session.close.on.disconnect=false`. With `false` it ends with that connection, and so does the router's
        /// to its coordinator.
        sessions_outlive_connections: bool = derived("impala true, hive and spark false"),
        /// How a coordinator is picked for a new session.
        policy: PolicyName = default("least-loaded"),
        /// What an open session without a running operation counts, where a running operation counts 1 and an open in
        /// progress 0.25; 0 to 100.
        idle_session_cost: f64 = default(0.1),
        /// How long a coordinator keeps a session that no connection is attached to: Impala's flag
        /// `--disconnected_session_timeout`.
        disconnected_session_timeout: TimeSpan = default("15m"),
        /// Connections that a coordinator serves at once on a port: Impala's flag `--fe_service_threads`. The router
        /// makes no more than that, less `reserve` and less what others have there. 0 to 1000000; 0: no limit.
        service_threads: u64 = computed(usual::service_threads),
        /// How many of them are kept for calls that cancel or close something, so that what blocks the others cannot
        /// block those. Less than `service_threads`.
        reserve: u64 = default(2),
        /// How much an address may use of the connections that others leave, as long as nobody there has logged in: its
        /// clients come without a login, are still logging in, or are relayed unread. 0 to 1; whatever it is, one connection
        /// is allowed. 1 where all clients come from one address, because another balancer or a NAT is in front.
        address_share: f64 = default(0.75),
        /// How long a new session may wait for a coordinator with room, and a call for a connection to its own; then
        /// the client gets an error. More than 0.
        queue_timeout: TimeSpan = default("60s"),
        /// How many new sessions may wait, and for each coordinator's port how many calls; 0 to 1000000. Users take turns, and
        /// before a login is accepted addresses do. When the queue is full, who comes displaces the newest of those who have
        /// most in it.
        queue_length: u64 = default(10000),
        /// Whether all connections of the same user, or all that need no login, share the connections to a coordinator's
        /// `HiveServer2` port, each for the length of a call: then idle clients hold no service thread. For flavor
        /// `impala`, and only while sessions outlive connections and `disconnected_session_timeout` is more than 0.
        share_links: bool = default(true),
        /// How coordinators are probed.
        probe: ProbeFile = derived("its keys' own"),
        /// How the coordinators' own figures are polled.
        load: LoadFile = derived("its keys' own"),
        /// When fewer coordinators look well than this share of those in use, what is wrong is more likely the check, and
        /// all are used; 0 to 1, 0 to believe it always.
        panic_threshold: f64 = default(0.5),
        /// How long a coordinator that has returned takes to get its whole share of new sessions; it begins when its
        /// catalog is ready. `"0s"` gives it all at once.
        slow_start: TimeSpan = default("30s"),
        /// Whether idle sessions leave a coordinator that drains, shuts down or is lost, without their clients noticing;
        /// flavor `impala` and `HiveServer2` only. A session stays while an operation of it is open, while a call is in
        /// flight, and for good after a statement that the router does not understand. What cannot go along: profiles of
        /// earlier operations once the old coordinator has ended, and the promise that a session reads its own earlier
        /// writes to Kudu.
        move_idle_sessions: bool = default(true),
        /// How long a session stays where it ran DDL or DML, so that it can read what it wrote; not if the coordinator is
        /// lost.
        move_cooldown: TimeSpan = default("10s"),
        /// Whether idle sessions go back to a coordinator that has returned, at most 5 % of all in a second, until the
        /// fullest coordinator has no more than 1.1 times the mean. Nothing without `move_idle_sessions`.
        rebalance: bool = default(true),
        /// How long the operations of a coordinator may go on when it is drained. A drain that is begun over the admin port
        /// may have another deadline. `"0s"` waits for none.
        drain_deadline: TimeSpan = default("1h"),
        /// What becomes of those that are open then: `"leave"` lets them go on; `"cancel"` cancels them, with the client's
        /// own login, after which their sessions can leave, and closes opaque connections. The client of a query is told by
        /// the coordinator that it was cancelled.
        drain_then: DrainThen = default("leave"),
        /// The coordinators, 1 to 1000: each a host (`"impala-1"`), a host with the port of its `HiveServer2` service
        /// and no other (`"impala-1:21051"`), or a table.
        coordinators: Vec<CoordinatorFile> = required("coordinators = [\"impala-1.example.com\"]"),
    }
    later {
        "stick": "send opaque connections of one client address to one coordinator",
        "tls": "TLS towards the coordinators",
        "kerberos": "Kerberos towards the coordinators",
    }
}

section! {
    /// Health checks, in a `[[cluster]]`. Each port that is in use is connected to, and `/healthz` of the web port is
    /// asked; where sessions are opened without a login, one session is kept and used to call `GetInfo`.
    ProbeFile at "cluster.probe", "probe = { … }" {
        /// From one probe of a port to the next; 100ms to 1h. Also the first pause after an ejection; each that follows
        /// soon is twice as long, up to 1 min.
        interval: TimeSpan = default("2s"),
        /// How long one probe may take; at most `interval`.
        timeout: TimeSpan = default("1s"),
        /// So many failures in a row and a coordinator's port gets no new session; 1 to 100.
        fall: u64 = default(2),
        /// So many passes in a row and it does again; 1 to 100.
        rise: u64 = default(2),
    }
    later {}
}

section! {
    /// Polls of the coordinators' web ports, in a `[[cluster]]` of flavor `impala`: what they have to do for direct clients
    /// and other routers, whether they shut down, and whether they know the tables yet. Without them a coordinator's load
    /// is what this router gave it.
    LoadFile at "cluster.load", "load = { … }" {
        /// From one poll to the next; 100ms to 1h.
        interval: TimeSpan = default("1s"),
    }
    later {}
}

section! {
    /// A coordinator with more than a host, in the list `coordinators` of a `[[cluster]]`. A port of 0 says that the
    /// coordinator does not have that service; it must have one of `hs2`, `beeswax` and `hs2_http`.
    CoordinatorFile at "cluster.coordinators", "coordinators = [{ … }]" {
        /// The name in logs, metrics and commands; unique in its cluster.
        name: Name = derived("the host, with its port if another has the same host and no name"),
        /// Host name or IP address. A name that stands for several hosts is one of them: the first that is reached, for all
        /// ports, until none of them can be connected to there any more; then it is resolved anew, and another address is
        /// another process, as after a restart. To use all of the hosts, list each by a name or an address of its own. One IPv4
        /// and one IPv6 address are one host.
        host: Host = required("host = \"impala-1.example.com\""),
        /// Its share of the load relative to others; 1 to 1000.
        weight: u64 = default(1),
        /// `drain` keeps new sessions away from it; `drain_deadline` counts from then. Read again at SIGHUP, and set if it is
        /// another than when the file was read last: until then what was said over the admin port holds.
        state: AdminState = default("active"),
        /// The port of `HiveServer2` Thrift.
        hs2: u16 = computed(usual::hs2),
        /// The port of Beeswax Thrift.
        beeswax: u16 = computed(usual::beeswax),
        /// The port of `HiveServer2` Thrift over HTTP.
        hs2_http: u16 = computed(usual::hs2_http),
        /// The port of its web pages. Only those of Impala are read.
        web: u16 = computed(usual::web),
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

table_value!(ProbeFile, LoadFile);
