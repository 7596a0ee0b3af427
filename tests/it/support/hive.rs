//! Real `HiveServer2`s, each with a metastore in memory and Hadoop's local job runner; two of each kind for a
//! whole test run.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hs2router::clock;

use super::certificates::{Pair, STORE_PASSWORD};
use super::clients::{Login, Target, Tls, pyhive};
use super::keeper::Keeper;
use super::ports::KeptPort;
use super::slapd;
use super::tools::{self, Tool};

/// How long a server may take until it listens: about 7 s alone, several at once on two busy cores much
/// longer.
const START_DEADLINE: Duration = Duration::from_mins(3);
/// How often it is looked whether a server that starts listens.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Lines of a server's log that are shown when it does not start.
const LAST_LINES: usize = 30;

/// The statement whose answer tells one server from another.
pub(crate) const WHO_ARE_YOU: &str =
    "SELECT reflect('java.lang.System', 'getProperty', 'java.io.tmpdir') AS home";

/// What a client in Python shows of the answer to a server's first statement.
pub(super) const READY: &str = "{\"columns\": [\"_c0\"], \"rows\": [[\"ready\"]]}";

/// The packages of Java's own that Hive 4.0 reaches into, as Hive's start script opens them.
const OPENED: [&str; 9] = [
    "java.lang",
    "java.util",
    "java.net",
    "java.io",
    "java.nio",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.regex",
    "java.time",
];

/// What differs from one server to another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// Where it listens; 0: the system chooses.
    pub(crate) port: u16,
    /// Whether it listens for HTTP, too.
    pub(crate) over_http: bool,
    /// The authority of its certificate, which clients trust.
    pub(crate) ca: Option<PathBuf>,
    /// The config of Kerberos, where users are proven by that.
    pub(crate) krb5: Option<PathBuf>,
    /// Its `core-site.xml`.
    pub(crate) core: &'static [(&'static str, &'static str)],
    /// More lines of its `hive-site.xml`; the last of a name counts.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl Setup {
    /// A server that takes this login.
    pub(crate) fn of(login: Login) -> Self {
        let setup = Self::default().set("hive.server2.authentication", login.authentication());
        match login {
            Login::NoSasl | Login::Plain => setup,
            Login::Ldap { .. } => setup
                .set("hive.server2.authentication.ldap.url", slapd::shared().url())
                .set("hive.server2.authentication.ldap.userDNPattern", slapd::dn("%s")),
        }
    }

    /// The same with a port for HTTP beside the other.
    pub(crate) fn over_http_too(self) -> Self {
        Self { over_http: true, ..self.set("hive.server2.transport.mode", "all") }
    }

    /// The same with TLS: its certificate, and the authority that clients trust.
    pub(crate) fn encrypted(self, certificate: &Pair, ca: PathBuf) -> Self {
        let encrypted = self
            .set("hive.server2.use.SSL", "true")
            .set("hive.server2.keystore.path", certificate.key_store().display().to_string())
            .set("hive.server2.keystore.password", STORE_PASSWORD);
        Self { ca: Some(ca), ..encrypted }
    }

    /// The same with one more setting.
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// The same on a port that is known, as a server has that is started again.
    pub(crate) fn on(mut self, port: u16) -> Self {
        self.port = port;
        self
    }
}

/// A running `HiveServer2`.
pub(crate) struct Hive {
    target: Target,
    /// Its port for HTTP, which it cannot choose itself.
    http: Option<KeptPort>,
    keeper: Keeper,
    log: Log,
}

/// The two servers of a kind that all tests of this run share; started when first asked for. `None`: the
/// tools are missing, the reason was printed, the test is to be skipped.
pub(crate) fn pair(login: Login) -> Option<&'static [Hive; 2]> {
    static NOSASL: OnceLock<[Hive; 2]> = OnceLock::new();
    static PLAIN: OnceLock<[Hive; 2]> = OnceLock::new();
    static LDAP: OnceLock<[Hive; 2]> = OnceLock::new();
    let (pair, directory) = match login {
        Login::NoSasl => (&NOSASL, None),
        Login::Plain => (&PLAIN, None),
        Login::Ldap { .. } => (&LDAP, Some(Tool::Slapd)),
    };
    let mut needed = vec![Tool::Java, Tool::Python, Tool::Hive];
    needed.extend(directory);
    if !tools::present(&needed) {
        return None;
    }
    Some(pair.get_or_init(|| {
        let start = move || {
            // Without a login there is no HTTP (Hive: `AuthenticationProviderFactory`).
            let setup = Setup::of(login);
            let hive = Hive::start(&if login == Login::NoSasl { setup } else { setup.over_http_too() });
            hive.warm_up(login.that_works());
            hive
        };
        let second = thread::spawn(start);
        let first = start();
        [first, second.join().expect("the second server started")]
    }))
}

/// As [`pair`], in the transport mode HTTP, where any name and password will do.
#[allow(dead_code, reason = "the conformance suite uses it")]
pub(crate) fn pair_over_http() -> Option<&'static [Hive; 2]> {
    static PAIR: OnceLock<[Hive; 2]> = OnceLock::new();
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Hive]) {
        return None;
    }
    Some(PAIR.get_or_init(|| {
        let second = thread::spawn(Hive::over_http);
        let first = Hive::over_http();
        [first, second.join().expect("the second server started")]
    }))
}

impl Hive {
    /// Starts a server in the transport mode HTTP, which has run one statement.
    #[allow(dead_code, reason = "the conformance suite uses it")]
    fn over_http() -> Self {
        let setup = Setup::of(Login::Plain).set("hive.server2.transport.mode", "http");
        let mut hive = Self::start(&setup.set("hive.server2.thrift.http.port", "0"));
        hive.target = hive.target.over_http();
        hive.warm_up(Login::Plain);
        hive
    }

    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    ///
    /// When the server does not listen within 180 s.
    pub(crate) fn start(setup: &Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("hs2router-hive-").tempdir().unwrap().keep();
        for part in ["conf", "tmp"] {
            fs::create_dir(folder.join(part)).unwrap();
        }
        let http = setup.over_http.then(|| KeptPort::take(0).unwrap());
        let port = http.as_ref().map(|http| ("hive.server2.thrift.http.port", http.number().to_string()));
        let setup =
            &Setup { settings: setup.settings.iter().cloned().chain(port).collect(), ..setup.clone() };
        fs::write(folder.join("conf/hive-site.xml"), hive_site(&folder, setup)).unwrap();
        fs::write(folder.join("conf/log4j2.properties"), LOG).unwrap();
        fs::write(folder.join("conf/core-site.xml"), site(setup.core.iter().copied())).unwrap();
        let arguments = arguments(&folder, setup.krb5.as_deref());
        let mut keeper = Keeper::start(&folder, Path::new("java"), &arguments, &[]);
        let log = Log::follow(keeper.output());
        let port = wait_for_port(&keeper, &log, http.as_ref().map(KeptPort::number));
        let tls = setup.ca.clone().map_or(Tls::Off, Tls::Verified);
        let target = Target::of(SocketAddr::from(([127, 0, 0, 1], port))).with(tls);
        Self { target, http, keeper, log }
    }

    /// Has it run one statement: the first takes some seconds.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub(crate) fn warm_up(&self, login: Login) {
        let answer = pyhive(&self.target, login, &["SELECT 'ready'"]);
        assert_eq!(answer.rows(), [READY]);
    }

    /// The same under this name, and called like this by those who want a ticket for it.
    #[cfg(feature = "kerberos")]
    pub(super) fn called(self, host: &str, service: &'static str) -> Self {
        let target = Target { host: host.to_owned(), ..self.target.called(service) };
        Self { target, ..self }
    }

    /// Sends it a signal: `TERM` begins a graceful stop, `KILL` is a crash, `STOP` makes it stand still.
    pub(crate) fn signal(&self, signal: &str) {
        self.keeper.signal(signal);
    }

    /// Whether its process has ended, whatever ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.log.has_ended()
    }

    /// Where it listens, for the router.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.target.port))
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Where it listens for HTTP, for the router.
    pub(crate) fn address_over_http(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.target_over_http().port))
    }

    /// Where it listens for HTTP.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub(crate) fn target_over_http(&self) -> Target {
        let port = self.http.as_ref().expect("it listens for HTTP").number();
        Target { port, ..self.target.clone().over_http() }
    }
}

/// The jars of the server.
pub(crate) fn jars() -> PathBuf {
    tools::hive_home().join("jars")
}

/// The command line after `java`. Everything that the server writes goes below its folder.
fn arguments(folder: &Path, krb5: Option<&Path>) -> Vec<String> {
    let place = folder.display();
    let mut arguments = vec!["-Xmx700m".to_owned()];
    arguments.extend(tools::quick_java(&tools::hive_home()));
    for package in OPENED {
        arguments.extend(["--add-opens".to_owned(), format!("java.base/{package}=ALL-UNNAMED")]);
    }
    arguments.extend(krb5.map(|krb5| format!("-Djava.security.krb5.conf={}", krb5.display())));
    arguments.push(format!("-Djava.io.tmpdir={place}/tmp"));
    arguments.push(format!("-Dderby.system.home={place}"));
    arguments.extend(["-cp".to_owned(), format!("{}/*:{place}/conf", jars().display())]);
    arguments.push("org.apache.hive.service.server.HiveServer2".to_owned());
    arguments
}

/// The server's `hive-site.xml`.
fn hive_site(folder: &Path, setup: &Setup) -> String {
    let place = folder.display();
    let mut settings = vec![
        ("javax.jdo.option.ConnectionURL", "jdbc:derby:memory:metastore;create=true".to_owned()),
        ("datanucleus.schema.autoCreateAll", "true".to_owned()),
        ("hive.metastore.schema.verification", "false".to_owned()),
        ("hive.metastore.event.db.notification.api.auth", "false".to_owned()),
        ("hive.notification.event.poll.interval", "0s".to_owned()),
        ("hive.metastore.warehouse.dir", format!("file://{place}/warehouse")),
        ("hive.metastore.warehouse.external.dir", format!("file://{place}/external")),
        ("hive.exec.scratchdir", format!("{place}/scratch")),
        ("hive.exec.local.scratchdir", format!("{place}/local")),
        // One for each session, which removes it when it ends.
        ("hive.downloaded.resources.dir", format!("{place}/${{hive.session.id}}_resources")),
        ("hive.server2.logging.operation.log.location", format!("{place}/operations")),
        ("hive.server2.thrift.port", setup.port.to_string()),
        ("hive.server2.thrift.bind.host", "127.0.0.1".to_owned()),
        // No web page: the port that it listens on is the only one.
        ("hive.server2.webui.port", "0".to_owned()),
        // Sessions run as the server's own user: no file of the test's has another owner.
        ("hive.server2.enable.doAs", "false".to_owned()),
        ("hive.execution.engine", "mr".to_owned()),
        ("hive.server2.materializedviews.registry.impl", "DUMMY".to_owned()),
    ];
    for (name, value) in &setup.settings {
        settings.retain(|(known, _)| known != name);
        settings.push((name, value.clone()));
    }
    site(settings)
}

/// A file of Hadoop's with these settings.
fn site<T: fmt::Display>(settings: impl IntoIterator<Item = (&'static str, T)>) -> String {
    let property = |(name, value)| format!("<property><name>{name}</name><value>{value}</value></property>");
    let properties = settings.into_iter().map(property).collect::<Vec<_>>().join("\n");
    format!("<configuration>\n{properties}\n</configuration>\n")
}

/// The server's log goes to its standard error.
const LOG: &str = "\
name = Tests
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1}: %m%n
rootLogger.level = INFO
rootLogger.appenderRefs = root
rootLogger.appenderRef.root.ref = console
";

/// The last lines of a server's log, which a thread reads to its end so that the server can always write.
struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    fn follow(output: ChildStdout) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let last = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut lines = last.lock().unwrap();
                lines.push_back(line);
                if lines.len() > LAST_LINES {
                    lines.pop_front();
                }
            }
        });
        Self { lines, reader }
    }

    fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    fn text(&self) -> String {
        Vec::from(self.lines.lock().unwrap().clone()).join(
            "
",
        )
    }
}

/// Waits until the server listens everywhere; returns the port that is not for HTTP. Hive's log names the port
/// that was configured, not the one that the system chose: the system is asked.
fn wait_for_port(keeper: &Keeper, log: &Log, http: Option<u16>) -> u16 {
    let deadline = clock::now() + START_DEADLINE;
    loop {
        let ports = keeper.listening_ports();
        let other = ports.iter().find(|port| Some(**port) != http);
        if let Some(port) = other.filter(|_| http.is_none_or(|http| ports.contains(&http))) {
            return *port;
        }
        assert!(!log.has_ended(), "HiveServer2 ended while it started:\n{}", log.text());
        assert!(
            clock::now() < deadline,
            "HiveServer2 does not listen within {START_DEADLINE:?}:\n{}",
            log.text()
        );
        thread::sleep(LOOK_INTERVAL);
    }
}
