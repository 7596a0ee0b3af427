//! A simulated coordinator: its ports, threads and switches.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use zeroize::Zeroizing;

use super::calls::ReceivedCall;
use super::control::Control;
use super::faults::Faults;
use super::http::HttpCounts;
use super::ids::Id;
use super::manner::Manner;
use super::pool::Pool;
use super::refusal::Words;
use super::state::State;
use super::web;
use crate::chance::Chance;
use crate::ids::Service;

/// Threads that authenticate and then wait for a service thread (Impala:
/// `accepted_cnxn_setup_thread_pool_size`).
const SETUP_THREADS: usize = 2;

/// A password: zeroed when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Keeps a password.
    pub fn new(password: &str) -> Self {
        Self(Zeroizing::new(password.as_bytes().to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn matches(&self, other: &[u8]) -> bool {
        let same = self.0.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0;
        self.0.len() == other.len() && same
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A directory that is asked about each login (Impala: `ldap-simple-bind.cc` `LdapCheckPass`, which binds as the
/// user and remembers nothing).
#[derive(Clone)]
pub struct Directory(Arc<Accepts>);

/// Whether a name's password is right.
type Accepts = dyn Fn(&str, &str) -> bool + Send + Sync;

impl Directory {
    /// One that judges a name and a password by this.
    pub fn new(accepts: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(accepts))
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory(..)")
    }
}

/// What checks names and passwords.
#[derive(Clone, Debug)]
pub(super) enum Checker {
    /// A list.
    Users(BTreeMap<String, Password>),
    /// Whoever keeps one.
    Directory(Directory),
}

impl Checker {
    /// Whether this is the user's password.
    pub(super) fn accepts(&self, user: &str, password: &[u8]) -> bool {
        match self {
            Self::Users(users) => users.get(user).is_some_and(|known| known.matches(password)),
            Self::Directory(Directory(accepts)) => {
                std::str::from_utf8(password).is_ok_and(|password| accepts(user, password))
            }
        }
    }
}

/// How clients log in.
pub(super) struct Logins {
    /// What checks names and passwords, if those are asked for.
    pub(super) passwords: Option<Checker>,
    /// Whether tickets of Kerberos are taken.
    pub(super) tickets: bool,
}

/// The settings of a coordinator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The answer to `select coordinator()`.
    pub name: String,
    /// The address of all ports.
    pub host: IpAddr,
    /// The port of `HiveServer2`; 0 takes any free port, here and below.
    pub hs2_port: u16,
    /// Beeswax.
    pub beeswax_port: u16,
    /// `HiveServer2` over HTTP.
    pub hs2_http_port: u16,
    /// Health and metrics.
    pub web_port: u16,
    /// The server that it behaves like.
    pub manner: Manner,
    /// Who may log in: `Some` means SASL PLAIN on HS2 and Beeswax and Basic over HTTP, `None` means NOSASL
    /// and no authentication.
    pub users: Option<BTreeMap<String, Password>>,
    /// A directory that is asked instead of them, if they may log in at all.
    pub directory: Option<Directory>,
    /// Whether tickets of Kerberos are asked for: over HTTP ([`super::ticket`]), and as SASL GSSAPI on HS2 and
    /// Beeswax, beside passwords if there are users (Impala: `--principal`, `--keytab_file`; Hive:
    /// `hive.server2.authentication=KERBEROS`).
    pub tickets: bool,
    /// How long a cookie over HTTP is good for; zero: none are issued (Impala: `--max_cookie_lifetime_s`).
    pub cookie_lifetime: Duration,
    /// A request over HTTP that has this field needs no password (Impala: `--trusted_auth_header`).
    pub trusted_header: Option<String>,
    /// Connections served at once, for each port (Impala: `--fe_service_threads`).
    pub service_threads: usize,
    /// How long a session lives without a connection (Impala: `--disconnected_session_timeout`).
    pub disconnected_session_timeout: Duration,
    /// How long a fetch waits for rows (Impala: `FETCH_ROWS_TIMEOUT_MS`).
    pub fetch_timeout: Duration,
    /// How long a connection may wait from accept to a service thread (Impala:
    /// `--accepted_client_cnxn_timeout`), and how long a SASL negotiation may take.
    pub setup_timeout: Duration,
    /// A connection whose sessions are all closed ends after this much silence (Impala:
    /// `--idle_client_poll_period_s`).
    pub idle_client_poll: Duration,
    /// The version whose words it uses for an operation that it does not know.
    pub words: Words,
}

impl Default for Settings {
    /// Impala's defaults, on free ports of the loopback address, without authentication.
    fn default() -> Self {
        Self {
            name: "coordinator".to_owned(),
            host: Ipv4Addr::LOCALHOST.into(),
            hs2_port: 0,
            beeswax_port: 0,
            hs2_http_port: 0,
            web_port: 0,
            manner: Manner::default(),
            users: None,
            directory: None,
            tickets: false,
            cookie_lifetime: Duration::from_hours(24),
            trusted_header: None,
            service_threads: 64,
            disconnected_session_timeout: Duration::from_mins(15),
            fetch_timeout: Duration::from_secs(10),
            setup_timeout: Duration::from_mins(5),
            idle_client_poll: Duration::from_secs(30),
            words: Words::default(),
        }
    }
}

impl Settings {
    /// How clients log in over the binary ports; `None` if nobody has to.
    pub(super) fn logins(&self) -> Option<Logins> {
        let logins = Logins { passwords: self.checker(), tickets: self.tickets };
        (logins.tickets || logins.passwords.is_some()).then_some(logins)
    }

    /// What checks who logs in with a password; `None` if nobody has to.
    pub(super) fn checker(&self) -> Option<Checker> {
        let users = self.users.as_ref()?;
        Some(match &self.directory {
            Some(directory) => Checker::Directory(directory.clone()),
            None => Checker::Users(users.clone()),
        })
    }
}

/// A running coordinator. Dropping it stops it as `kill -9` would: its ports close and its connections are
/// cut. Another one started on the same ports does not know its sessions.
#[derive(Debug)]
pub struct Coordinator {
    state: Arc<State>,
    control: Arc<Control>,
    ports: Ports,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    hs2: SocketAddr,
    beeswax: SocketAddr,
    hs2_http: SocketAddr,
    web: SocketAddr,
}

impl Coordinator {
    /// Binds all ports and serves them.
    ///
    /// # Errors
    /// When a port cannot be bound; the error names it.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let bind = |port: u16| {
            let address = SocketAddr::new(settings.host, port);
            let listener = TcpListener::bind(address)
                .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
            let address = listener.local_addr()?;
            Ok::<_, io::Error>((listener, address))
        };
        let (hs2, hs2_at) = bind(settings.hs2_port)?;
        let (beeswax, beeswax_at) = bind(settings.beeswax_port)?;
        let (http, http_at) = bind(settings.hs2_http_port)?;
        let (pages, web_at) = bind(settings.web_port)?;
        let ports = Ports { hs2: hs2_at, beeswax: beeswax_at, hs2_http: http_at, web: web_at };
        let state = Arc::new(State::new(&settings, Chance::from_system()));
        let control = Arc::new(Control::new());
        let mut this = Self { state, control, ports, threads: Vec::new() };
        let settings = Arc::new(settings);
        let hs2_pool = this.open(Service::Hs2, hs2, &settings)?;
        let beeswax_pool = this.open(Service::Beeswax, beeswax, &settings)?;
        let http_pool = this.open(Service::Hs2Http, http, &settings)?;
        let (state, control) = (Arc::clone(&this.state), Arc::clone(&this.control));
        let pages = web::listen("fake-web", pages, Arc::clone(&this.control), move |request| {
            let site = web::Site {
                state: &state,
                start_time: control.start_time(),
                service_threads: settings.service_threads,
                hs2: hs2_pool.counts(),
                beeswax: beeswax_pool.counts(),
                hs2_http: http_pool.counts(),
            };
            site.answer(request)
        })?;
        this.threads.push(pages);
        Ok(this)
    }

    /// The address of the HS2 port.
    pub fn hs2(&self) -> SocketAddr {
        self.ports.hs2
    }

    /// The address of the Beeswax port.
    pub fn beeswax(&self) -> SocketAddr {
        self.ports.beeswax
    }

    /// The address of the HTTP port.
    pub fn hs2_http(&self) -> SocketAddr {
        self.ports.hs2_http
    }

    /// The address of the web port.
    pub fn web(&self) -> SocketAddr {
        self.ports.web
    }

    /// What `select coordinator()` answers.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The switches for its misbehaviour.
    pub fn faults(&self) -> &Faults {
        &self.state.faults
    }

    /// Restarts: cuts connections, forgets sessions and operations, and gets a new process start time. The
    /// ports stay the same.
    pub fn restart(&self) {
        // In this order, so that a waiting call is not answered from forgotten state.
        self.control.sever();
        self.state.forget();
        self.control.cut();
        self.state.forget();
        self.control.renew();
    }

    /// Cuts every connection; HS2 sessions stay.
    pub fn cut_connections(&self) {
        self.control.cut();
    }

    /// Expires every HS2 session, as if `--idle_session_timeout` were over: calls in it are refused until it
    /// is closed.
    pub fn expire_sessions(&self) {
        self.state.expire_sessions();
    }

    /// The calls received so far, oldest first; only the last 100,000.
    pub fn calls(&self) -> Vec<ReceivedCall> {
        self.state.calls()
    }

    /// What came by HTTP so far.
    pub fn http_counts(&self) -> HttpCounts {
        self.state.http.counts()
    }

    /// How often the page of sessions was read so far.
    pub fn session_pages(&self) -> u64 {
        self.state.session_pages.load(Ordering::Relaxed)
    }

    /// The ids of all open sessions, including Beeswax connections.
    pub fn open_sessions(&self) -> Vec<Id> {
        self.state.open_sessions()
    }

    /// How many operations were begun and not closed.
    pub fn open_operations(&self) -> usize {
        self.state.counts().registered
    }

    /// How many client connections are open on all ports but the web's, including waiting ones.
    pub fn connections(&self) -> usize {
        self.control.connections()
    }

    fn open(
        &mut self,
        service: Service,
        listener: TcpListener,
        settings: &Arc<Settings>,
    ) -> io::Result<Arc<Pool>> {
        let pool = Arc::new(Pool {
            service,
            state: Arc::clone(&self.state),
            control: Arc::clone(&self.control),
            settings: Arc::clone(settings),
            web: self.ports.web.to_string(),
            counts: Mutex::default(),
            freed: Condvar::new(),
        });
        let (queue, accepted) = mpsc::channel();
        let accepted = Arc::new(Mutex::new(accepted));
        for _ in 0..SETUP_THREADS {
            let (pool, accepted) = (Arc::clone(&pool), Arc::clone(&accepted));
            self.spawn(&format!("fake-setup-{service}"), move || pool.set_up_all(&accepted))?;
        }
        let accepting = Arc::clone(&pool);
        self.spawn(&format!("fake-accept-{service}"), move || {
            while let Some(accepted) = accepting.accept(&listener) {
                if queue.send(accepted).is_err() {
                    return;
                }
            }
        })?;
        Ok(pool)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.control.stop();
        // Wakes the threads that accept; if a port cannot be reached, no thread accepts there.
        for address in [self.ports.hs2, self.ports.beeswax, self.ports.hs2_http, self.ports.web] {
            drop(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
        }
        self.control.sever();
        self.state.forget();
        self.control.cut();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}
