//! What is compared: each peer's config, command and version. All are given the same coordinators, as many
//! threads as there are cores (which the router has by itself) and the least-connections policy.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::process::{Process, Usage, free_address};
use crate::work::{By, Work};

/// Connections that a proxy is configured for, on each side; the file limit must allow twice as many.
const MAX_CONNECTIONS: usize = 9_900;

/// A peer of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No proxy: what load client and coordinators can do.
    Direct,
    /// A relay that reads nothing.
    Blind,
    /// The same without a runtime: what the kernel costs.
    Bare,
    /// The router, by its program.
    Router(PathBuf),
    Haproxy,
    Nginx,
    /// By its program: it is rarely installed.
    Envoy(PathBuf),
}

/// A peer with the name that it has in tables.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Name of the peer that all others are compared with.
pub(crate) const BASELINE: &str = "haproxy";

/// The router that is built with this program.
const OWN_PROGRAM: &str = env!("CARGO_BIN_EXE_hs2router");

/// A further router of the command line, `NAME=PROGRAM`.
pub(crate) fn named_program(text: &str) -> Result<(String, PathBuf), String> {
    let (name, program) = text.split_once('=').ok_or("write NAME=PROGRAM")?;
    Ok((name.to_owned(), program.into()))
}

/// The peers that are there: `routers` are further router programs, with their names; Envoy is where its
/// program is.
pub(crate) fn installed(routers: &[(String, PathBuf)], envoy: Option<&PathBuf>) -> Vec<Peer> {
    let peer = |name: &str, kind| Peer { name: name.to_owned(), kind };
    let own = PathBuf::from(OWN_PROGRAM);
    let mut peers = vec![
        peer("direct", Kind::Direct),
        peer("blind", Kind::Blind),
        peer("bare", Kind::Bare),
        peer(BASELINE, Kind::Haproxy),
        peer("nginx", Kind::Nginx),
        peer("router", Kind::Router(own)),
    ];
    peers.extend(routers.iter().map(|(name, program)| peer(name, Kind::Router(program.clone()))));
    peers.extend(envoy.map(|program| peer("envoy", Kind::Envoy(program.clone()))));
    peers.retain(|peer| peer.version().is_some());
    peers
}

/// The files of a certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one, as `HAProxy` wants them.
    pub(crate) both: PathBuf,
}

/// What a proxy is started in front of, and how.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) coordinators: &'a [SocketAddr],
    /// Whether clients and coordinators speak HTTP.
    pub(crate) over_http: bool,
    /// What clients are shown, where they come with TLS.
    pub(crate) certificate: Option<&'a Certificate>,
    /// Tables of the router's config, where it judges tickets: of its listener, and of its cluster.
    pub(crate) kerberos: Option<&'a [String; 2]>,
    /// For configs and logs.
    pub(crate) directory: &'a Path,
    /// How many the proxy has. The router is not told: it has as many as there are cores that it may run on.
    pub(crate) threads: usize,
    /// Whether the router asks the coordinators how they are, as it does unless it is told otherwise.
    pub(crate) probed: bool,
    /// What runs the proxy's program, with arguments; empty where nothing does.
    pub(crate) wrapper: &'a [String],
}

/// A proxy that runs, or none for [`Kind::Direct`].
pub(crate) struct Running {
    process: Option<Process>,
    /// Where clients connect, in turn.
    pub(crate) targets: Vec<SocketAddr>,
}

impl Running {
    /// What the proxy has used; nothing if there is none.
    pub(crate) fn usage(&self) -> Usage {
        self.process.as_ref().map(Process::usage).unwrap_or_default()
    }

    /// Asks the proxy to end, and waits until it has.
    pub(crate) fn end(self, most: Duration) -> anyhow::Result<()> {
        let Some(mut process) = self.process else { return Ok(()) };
        process.terminate()?;
        process.await_end(most)
    }

    /// The proxy's process id.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }
}

impl Peer {
    /// Whether it takes part in this piece of work.
    pub(crate) fn does(&self, work: &Work) -> bool {
        match work.by {
            By::Everyone => true,
            By::Routers => matches!(self.kind, Kind::Router(_) | Kind::Haproxy),
            By::Terminators => matches!(self.kind, Kind::Router(_) | Kind::Haproxy | Kind::Nginx),
            By::KeepersOfHttp => !matches!(self.kind, Kind::Nginx | Kind::Envoy(_)),
        }
    }

    /// The first line of what it says of its version; none if it is not installed.
    pub(crate) fn version(&self) -> Option<String> {
        let (program, flag) = match &self.kind {
            Kind::Direct | Kind::Blind | Kind::Bare => return Some(format!("{} (this program)", self.name)),
            Kind::Router(program) | Kind::Envoy(program) => (program.as_path(), "--version"),
            Kind::Haproxy => (Path::new("haproxy"), "-v"),
            Kind::Nginx => (Path::new("nginx"), "-v"),
        };
        let said = said(program, flag)?;
        Some(said.lines().find(|line| !line.trim().is_empty())?.trim().to_owned())
    }

    /// What it says of its TLS library; of the router, what it is built with, which nothing tells of another
    /// build.
    pub(crate) fn tls_library(&self) -> Option<String> {
        let said = match &self.kind {
            Kind::Haproxy => said(Path::new("haproxy"), "-vv")?,
            Kind::Nginx => said(Path::new("nginx"), "-V")?,
            Kind::Router(program) if program == Path::new(OWN_PROGRAM) => {
                let packages = include_str!("../../Cargo.lock");
                let version = |name: &str| {
                    let after = packages.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
                    Some(format!("{name} {}", after.split('"').next()?))
                };
                return Some(format!("{} with {}", version("rustls")?, version("aws-lc-rs")?));
            }
            Kind::Direct | Kind::Blind | Kind::Bare | Kind::Router(_) | Kind::Envoy(_) => return None,
        };
        let lines: Vec<_> = said.lines().map(str::trim).filter(|line| names_library(line)).collect();
        Some(lines.join("; "))
    }

    /// Starts it.
    pub(crate) fn start(&self, setup: &Setup<'_>) -> anyhow::Result<Running> {
        let Setup { coordinators, directory, threads, .. } = *setup;
        let listen = free_address()?;
        let file = directory.join(format!("{}.conf", self.name));
        let log = directory.join(format!("{}.log", self.name));
        let path = file.display().to_string();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (config, command) = match &self.kind {
            Kind::Direct => return Ok(Running { process: None, targets: coordinators.to_vec() }),
            Kind::Blind | Kind::Bare => return self.start_child(setup),
            Kind::Router(program) => (
                router_config(listen, setup),
                words(&[&program.display().to_string(), "run", "--config", &path]),
            ),
            Kind::Haproxy => (haproxy_config(listen, setup), words(&["haproxy", "-db", "-q", "-f", &path])),
            Kind::Nginx => (nginx_config(listen, setup), words(&["nginx", "-c", &path])),
            Kind::Envoy(program) => {
                let threads = threads.to_string();
                let program = program.display().to_string();
                let command =
                    words(&[&program, "-c", &path, "--concurrency", &threads, "--log-level", "error"]);
                (envoy_config(listen, coordinators), command)
            }
        };
        std::fs::write(&file, config)?;
        let mut process = Process::start(&[setup.wrapper, &command].concat(), &log)?;
        process.await_listening(listen).with_context(|| {
            format!("{}: {}", self.name, std::fs::read_to_string(&log).unwrap_or_default())
        })?;
        Ok(Running { process: Some(process), targets: vec![listen] })
    }

    /// One that is a part of this program.
    fn start_child(&self, setup: &Setup<'_>) -> anyhow::Result<Running> {
        let mut args =
            ["--child", &self.name, "--threads", &setup.threads.to_string()].map(str::to_owned).to_vec();
        args.extend(setup.coordinators.iter().flat_map(|target| ["--target".to_owned(), target.to_string()]));
        let (process, line) = Process::start_self_under(setup.wrapper, &args)?;
        Ok(Running { process: Some(process), targets: vec![line.parse()?] })
    }
}

/// All that a program says of itself; none if it is not installed.
fn said(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Whether a line of a version's output says which TLS library a program has.
fn names_library(line: &str) -> bool {
    let line = line.to_lowercase();
    ["built with", "running on"].iter().any(|start| line.starts_with(start)) && line.contains("ssl")
}

/// Lines made for each coordinator, with its number from 1.
fn each(coordinators: &[SocketAddr], line: impl Fn(usize, &SocketAddr) -> String) -> String {
    (1..).zip(coordinators).fold(String::new(), |mut text, (number, address)| {
        let _infallible = writeln!(text, "{}", line(number, address));
        text
    })
}

fn router_config(listen: SocketAddr, setup: &Setup<'_>) -> String {
    let coordinators = each(setup.coordinators, |number, address| {
        let (ip, port) = (address.ip(), address.port());
        let (hs2, hs2_http) = if setup.over_http { (0, port) } else { (port, 0) };
        format!(
            "  {{ name = \"c{number}\", host = \"{ip}\", hs2 = {hs2}, beeswax = 0, hs2_http = {hs2_http}, web = 0 }},"
        )
    });
    let tls = setup.certificate.map_or_else(String::new, |Certificate { chain, key, .. }| {
        format!("[listener.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", chain.display(), key.display())
    });
    let [of_listener, of_cluster] = setup.kerberos.cloned().unwrap_or_default();
    let probes = if setup.probed { "" } else { "probe = { interval = \"1h\" }\n" };
    let service = if setup.over_http { "hs2-http" } else { "hs2" };
    // The coordinators have no threads that could run out, and the other peers count none.
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"{listen}\"\nservice = \"{service}\"\n{tls}{of_listener}\
         [[cluster]]\nname = \"bench\"\nservice_threads = 0\n{probes}coordinators = [\n{coordinators}]\n{of_cluster}"
    )
}

/// Over HTTP a cookie keeps a client at the coordinator that has its session: it must send the cookie back with
/// each request, and have one session at a time.
fn haproxy_config(listen: SocketAddr, setup: &Setup<'_>) -> String {
    let (mode, cookie) =
        if setup.over_http { ("http", "  cookie SRV insert indirect nocache\n") } else { ("tcp", "") };
    let servers = each(setup.coordinators, |number, address| {
        let cookie = if setup.over_http { format!(" cookie c{number}") } else { String::new() };
        format!("  server c{number} {address}{cookie}")
    });
    let certificate = setup.certificate.map(|certificate| certificate.both.display());
    let tls = certificate.map_or_else(String::new, |both| format!(" ssl crt {both}"));
    format!(
        "global\n  nbthread {}\n  maxconn {MAX_CONNECTIONS}\ndefaults\n  mode {mode}\n  timeout connect 5s\n  \
         timeout client 1h\n  timeout server 1h\nlisten bench\n  bind {listen}{tls}\n  balance leastconn\n{cookie}{servers}",
        setup.threads
    )
}

fn nginx_config(listen: SocketAddr, setup: &Setup<'_>) -> String {
    let servers = each(setup.coordinators, |_, address| format!("    server {address};"));
    let (directory, files) = (setup.directory.display(), 2 * MAX_CONNECTIONS + 100);
    let (ssl, tls) = match setup.certificate {
        None => ("", String::new()),
        Some(Certificate { chain, key, .. }) => (
            " ssl",
            format!(
                "    ssl_protocols TLSv1.3;\n    ssl_certificate {};\n    ssl_certificate_key {};\n",
                chain.display(),
                key.display()
            ),
        ),
    };
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nworker_processes {};\n\
         worker_rlimit_nofile {files};\npid {directory}/nginx.pid;\nerror_log {directory}/nginx-error.log;\n\
         events {{ worker_connections {files}; }}\nstream {{\n  upstream bench {{\n    zone bench 128k;\n    \
         least_conn;\n{servers}  }}\n  server {{\n    listen {listen}{ssl} backlog=4096;\n{tls}    proxy_pass bench;\n    \
         proxy_timeout 1h;\n  }}\n}}\n",
        setup.threads
    )
}

fn envoy_config(listen: SocketAddr, coordinators: &[SocketAddr]) -> String {
    let address = |address: &SocketAddr| {
        format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", address.ip(), address.port())
    };
    let endpoints =
        each(coordinators, |_, target| format!("          - endpoint: {{ address: {} }}", address(target)));
    let limit = format!("max_connections: {MAX_CONNECTIONS}, max_pending_requests: {MAX_CONNECTIONS}");
    format!(
        "static_resources:\n  listeners:\n  - address: {}\n    filter_chains:\n    - filters:\n      - name: \
         envoy.filters.network.tcp_proxy\n        typed_config:\n          \"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n          stat_prefix: \
         bench\n          cluster: bench\n  clusters:\n  - name: bench\n    type: STATIC\n    lb_policy: \
         LEAST_REQUEST\n    circuit_breakers: {{ thresholds: [{{ {limit} }}] }}\n    load_assignment:\n      \
         cluster_name: bench\n      endpoints:\n      - lb_endpoints:\n{endpoints}",
        address(&listen)
    )
}
