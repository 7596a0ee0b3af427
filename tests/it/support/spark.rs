//! Real Spark Thrift Servers, two of each kind for a whole test run.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::certificates::{Pair, STORE_PASSWORD};
use super::clients::{Cursors, Login, Shown, Target, Tls, pyhive};
use super::kdc::{self, REALM, USERS};
use super::keeper::Keeper;
use super::ports::KeptPort;
use super::slapd::{self, Slapd};
use super::ticket_clients;
use super::tools::{self, Tool};

/// How long a server may take until it listens: about 10 s alone, four at once on two busy cores much longer.
const START_DEADLINE: Duration = Duration::from_mins(3);

/// Lines of a server's log that are shown when it does not start.
const LAST_LINES: usize = 30;

/// The packages of Java's own that Spark reaches into (Spark 3.5: `JavaModuleOptions`).
const OPENED: [&str; 15] = [
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
];
/// Spark's own program, and what it is to run.
const SUBMIT: [&str; 4] = [
    "org.apache.spark.deploy.SparkSubmit",
    "--class=org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
    "--name=hs2router-tests",
    "--master=local[1]",
];

/// The statement whose answer tells one server from another.
pub(crate) const WHO_ARE_YOU: &str =
    "SELECT java_method('java.lang.System', 'getProperty', 'derby.system.home') AS home";

/// A running Spark Thrift Server on a port of its own.
pub(crate) struct Spark {
    target: Target,
    keeper: Keeper,
    /// Its port, if it cannot choose one itself.
    _port: Option<KeptPort>,
}

/// The two servers of a kind that all tests of this run share; started when first asked for. `None`: the
/// tools are missing, the reason was printed, the test is to be skipped.
pub(crate) fn pair(login: Login) -> Option<&'static [Spark; 2]> {
    static NOSASL: OnceLock<[Spark; 2]> = OnceLock::new();
    static PLAIN: OnceLock<[Spark; 2]> = OnceLock::new();
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark]) {
        return None;
    }
    let pair = match login {
        Login::NoSasl => &NOSASL,
        Login::Plain => &PLAIN,
        Login::Ldap { .. } => unimplemented!("Spark's servers ask no directory"),
    };
    Some(pair.get_or_init(|| {
        let second = thread::spawn(move || Spark::start(login));
        let first = Spark::start(login);
        [first, second.join().expect("the second server started")]
    }))
}

/// As [`pair`], in the transport mode HTTP, where any name and password will do.
pub(crate) fn pair_over_http() -> Option<&'static [Spark; 2]> {
    static PAIR: OnceLock<[Spark; 2]> = OnceLock::new();
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark]) {
        return None;
    }
    Some(PAIR.get_or_init(|| {
        let second = thread::spawn(|| Spark::over_http(Login::Plain));
        let first = Spark::over_http(Login::Plain);
        [first, second.join().expect("the second server started")]
    }))
}

/// As [`pair`], where tickets of Kerberos prove users in SASL.
#[cfg(feature = "kerberos")]
pub(crate) fn pair_with_kerberos() -> Option<&'static [Spark; 2]> {
    static PAIR: OnceLock<[Spark; 2]> = OnceLock::new();
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark, Tool::Kdc]) {
        return None;
    }
    Some(PAIR.get_or_init(|| {
        let second = thread::spawn(Spark::with_kerberos);
        let first = Spark::with_kerberos();
        [first, second.join().expect("the second server started")]
    }))
}

/// As [`pair_over_http`], but clients prove their users by tickets of Kerberos.
pub(crate) fn pair_by_ticket() -> Option<&'static [Spark; 2]> {
    static PAIR: OnceLock<[Spark; 2]> = OnceLock::new();
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark, Tool::Kdc]) {
        return None;
    }
    Some(PAIR.get_or_init(|| {
        let second = thread::spawn(Spark::by_ticket);
        let first = Spark::by_ticket();
        [first, second.join().expect("the second server started")]
    }))
}

/// As [`pair_by_ticket`], over the binary port, with this `hive.server2.thrift.sasl.qop`. Both are known to
/// clients by the router's name, and have a name of their own besides.
pub(crate) fn pair_by_sasl_ticket(qop: &'static str) -> Option<&'static [Spark; 2]> {
    static CLEAR: OnceLock<[Spark; 2]> = OnceLock::new();
    static SEALED: OnceLock<[Spark; 2]> = OnceLock::new();
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark, Tool::Kdc]) {
        return None;
    }
    let pair = if qop == "auth" { &CLEAR } else { &SEALED };
    Some(pair.get_or_init(|| {
        let second = thread::spawn(move || Spark::by_sasl_ticket(1, qop));
        let first = Spark::by_sasl_ticket(0, qop);
        [first, second.join().expect("the second server started")]
    }))
}

impl Spark {
    /// Starts a server, waits until it listens, and has it run one statement: the first takes some seconds,
    /// and impala-shell's strict mode does not survive a server that is slow to finish a statement.
    ///
    /// # Panics
    ///
    /// When the server does not listen within 180 s, or does not answer.
    pub(crate) fn start(login: Login) -> Self {
        Self::with(login, Tls::Off, &[])
    }

    /// As [`Self::start`], with TLS: its certificate, and the authority that clients trust.
    pub(crate) fn encrypted(login: Login, certificate: &Pair, ca: PathBuf) -> Self {
        let settings = [
            ("hive.server2.use.SSL", "true".to_owned()),
            ("hive.server2.keystore.path", certificate.key_store().display().to_string()),
            ("hive.server2.keystore.password", STORE_PASSWORD.to_owned()),
        ];
        Self::with(login, Tls::Verified(ca), &settings)
    }

    /// As [`Self::start`], where this directory checks passwords.
    pub(crate) fn with_directory(directory: &Slapd) -> Self {
        let settings = [
            ("hive.server2.authentication.ldap.url", directory.url()),
            ("hive.server2.authentication.ldap.baseDN", slapd::BASE.to_owned()),
        ];
        Self::with(Login::LDAP, Tls::Off, &settings)
    }

    /// As [`Self::start`], in the transport mode HTTP.
    pub(crate) fn over_http(login: Login) -> Self {
        let port = KeptPort::take(0).unwrap();
        let settings = [
            ("hive.server2.transport.mode", "http".to_owned()),
            ("hive.server2.thrift.http.port", port.number().to_string()),
        ];
        Self { _port: Some(port), ..Self::with(login, Tls::Off, &settings) }
    }

    /// As [`Self::over_http`], where a ticket of Kerberos proves the user.
    pub(crate) fn by_ticket() -> Self {
        let (port, keytab) = (KeptPort::take(0).unwrap(), kdc::shared().keytab().display().to_string());
        let principal = |service: &str| format!("{service}/localhost@{REALM}");
        let settings = [
            ("hive.server2.transport.mode", "http".to_owned()),
            ("hive.server2.thrift.http.port", port.number().to_string()),
            ("hive.server2.authentication.kerberos.principal", principal("hive")),
            ("hive.server2.authentication.kerberos.keytab", keytab.clone()),
            ("hive.server2.authentication.spnego.principal", principal("HTTP")),
            ("hive.server2.authentication.spnego.keytab", keytab),
        ];
        let spark = Self { _port: Some(port), ..Self::launch("KERBEROS", Tls::Off, &settings) };
        let ready =
            |target: &Target| ticket_clients::impyla(target, USERS[0], Cursors::One, &["SELECT 'ready'"]);
        spark.that_is_ready(ready)
    }

    /// As [`Self::start`], where a ticket of Kerberos proves the user, in SASL; the router may act for any user.
    #[cfg(feature = "kerberos")]
    pub(crate) fn with_kerberos() -> Self {
        let settings = [
            ("hive.server2.authentication.kerberos.principal", format!("hive/localhost@{REALM}")),
            ("hive.server2.authentication.kerberos.keytab", kdc::shared().keytab().display().to_string()),
        ];
        let mut spark = Self::launch("KERBEROS", Tls::Off, &settings);
        spark.target = spark.target.called("hive");
        spark.that_is_ready(|target| ticket_clients::pyhive(target, USERS[0], &["SELECT 'ready'"]))
    }

    /// As [`Self::start`], where a ticket of Kerberos proves the user.
    fn by_sasl_ticket(node: usize, qop: &str) -> Self {
        let keytab = kdc::shared().merged_keytab(node).display().to_string();
        let settings = [
            ("hive.server2.authentication.kerberos.principal", format!("impala/localhost@{REALM}")),
            ("hive.server2.authentication.kerberos.keytab", keytab),
            ("hive.server2.thrift.sasl.qop", qop.to_owned()),
        ];
        let ready = |target: &Target| ticket_clients::pyhive(target, USERS[0], &["SELECT 'ready'"]);
        Self::launch("KERBEROS", Tls::Off, &settings).that_is_ready(ready)
    }

    fn with(login: Login, tls: Tls, more: &[(&str, String)]) -> Self {
        let spark = Self::launch(login.authentication(), tls, more);
        spark.that_is_ready(|target| pyhive(target, login, &["SELECT 'ready'"]))
    }

    /// Has it run its first statement.
    fn that_is_ready(self, run: impl FnOnce(&Target) -> Shown) -> Self {
        let answer = run(&self.target);
        assert_eq!(answer.rows(), ["{\"columns\": [\"ready\"], \"rows\": [[\"ready\"]]}"]);
        self
    }

    /// Starts a server and waits until it listens.
    fn launch(authentication: &str, tls: Tls, more: &[(&str, String)]) -> Self {
        let folder = tempfile::Builder::new().prefix("hs2router-spark-").tempdir().unwrap().keep();
        for part in ["conf", "tmp"] {
            fs::create_dir(folder.join(part)).unwrap();
        }
        copy_metastore(&folder);
        fs::write(folder.join("conf/hive-site.xml"), hive_site(&folder, authentication, more)).unwrap();
        let mut options = Vec::new();
        if authentication == "KERBEROS" {
            let site = configuration([
                ("hadoop.security.authentication", "kerberos".to_owned()),
                ("hadoop.proxyuser.hs2router.hosts", "*".to_owned()),
                ("hadoop.proxyuser.hs2router.users", "*".to_owned()),
            ]);
            fs::write(folder.join("conf/core-site.xml"), site).unwrap();
            options.push(format!("-Djava.security.krb5.conf={}", kdc::shared().config().display()));
        }
        let home = tools::spark_home();
        let settings = [("SPARK_HOME", home.display().to_string())];
        let mut keeper = Keeper::start(&folder, Path::new("java"), &arguments(&folder, &options), &settings);
        let log = keeper.output();
        let (found, port) = channel();
        thread::spawn(move || read_log(log, &found));
        let at = SocketAddr::from(([127, 0, 0, 1], wait_for_port(&port)));
        drop(TcpStream::connect(at).expect("the server listens where it says"));
        let over_http = more.iter().any(|(key, _)| *key == "hive.server2.transport.mode");
        let target = Target { over_http, ..Target::of(at).with(tls) };
        Self { target, keeper, _port: None }
    }

    /// Stands still from now on: its kernel goes on taking connections for it.
    pub(crate) fn stop(&self) {
        self.keeper.signal("STOP");
    }

    /// Where it listens, for the router.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.target.port))
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

/// The command line after `java`, as Spark's own script makes it, with more options. Everything that the server
/// writes goes below its folder.
fn arguments(folder: &Path, more: &[String]) -> Vec<String> {
    let (place, home) = (folder.display(), tools::spark_home());
    let mut arguments = vec!["-Xmx1g".to_owned()];
    arguments.extend(tools::quick_java(&home));
    arguments.extend(OPENED.map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
    arguments.push(format!("-Dderby.system.home={place}"));
    arguments.push(format!("-Djava.io.tmpdir={place}/tmp"));
    arguments.extend_from_slice(more);
    arguments.extend(["-cp".to_owned(), format!("{}/jars/*:{place}/conf", home.display())]);
    arguments.extend(SUBMIT.map(str::to_owned));
    for setting in [
        "spark.ui.enabled=false".to_owned(),
        format!("spark.sql.warehouse.dir={place}/warehouse"),
        "spark.driver.host=127.0.0.1".to_owned(),
        "spark.driver.bindAddress=127.0.0.1".to_owned(),
        "spark.sql.shuffle.partitions=2".to_owned(),
        "spark.sql.catalogImplementation=hive".to_owned(),
    ] {
        arguments.extend(["--conf".to_owned(), setting]);
    }
    arguments.push("spark-internal".to_owned());
    arguments
}

/// Gives a server a metastore that is there already: to make one takes it longer than all else that it does
/// until it listens.
fn copy_metastore(folder: &Path) {
    let copied = Command::new("cp").arg("-r").arg(tools::spark_home().join("metastore")).arg(folder).status();
    assert!(copied.unwrap().success(), "tests/run makes it");
}

/// The server's `hive-site.xml`. Port 0: the system chooses, the log tells.
fn hive_site(folder: &Path, authentication: &str, more: &[(&str, String)]) -> String {
    let place = folder.display();
    let settings = [
        ("javax.jdo.option.ConnectionURL", format!("jdbc:derby:;databaseName={place}/metastore;create=true")),
        ("hive.server2.thrift.port", "0".to_owned()),
        ("hive.server2.thrift.bind.host", "127.0.0.1".to_owned()),
        ("hive.server2.authentication", authentication.to_owned()),
        // impyla fetches the log when GetLog is not there, and fails if there is none.
        ("hive.server2.logging.operation.enabled", "true".to_owned()),
        ("hive.server2.logging.operation.log.location", format!("{place}/operations")),
        ("hive.exec.scratchdir", format!("{place}/scratch")),
        ("hive.exec.local.scratchdir", format!("{place}/local")),
    ];
    configuration(settings.into_iter().chain(more.iter().cloned()))
}

/// A file of settings as Hadoop's programs read it.
fn configuration<'a>(settings: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let property = |(name, value)| format!("<property><name>{name}</name><value>{value}</value></property>");
    let properties = settings.into_iter().map(property).collect::<Vec<_>>().join("\n");
    format!("<configuration>\n{properties}\n</configuration>\n")
}

/// What the reader of a server's log has to tell.
enum Found {
    Port(u16),
    /// The log ended before: its last lines.
    End(Vec<String>),
}

/// Reads the log to its end, so that the server can always write, and tells the port when it comes by.
fn read_log(log: ChildStdout, found: &Sender<Found>) {
    let mut last = VecDeque::new();
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        let port = line
            .split_once("Starting ThriftBinaryCLIService on port ")
            .or_else(|| line.split_once("Started ThriftHttpCLIService in http mode on port "))
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        if let Some(port) = port {
            // Nobody listens any more once the deadline is over.
            drop(found.send(Found::Port(port)));
        }
        last.push_back(line);
        if last.len() > LAST_LINES {
            last.pop_front();
        }
    }
    drop(found.send(Found::End(last.into())));
}

fn wait_for_port(found: &Receiver<Found>) -> u16 {
    match found.recv_timeout(START_DEADLINE) {
        Ok(Found::Port(port)) => port,
        Ok(Found::End(lines)) => panic!("Spark ended while it started:\n{}", lines.join("\n")),
        Err(error) => panic!("Spark did not listen within {} s: {error}", START_DEADLINE.as_secs()),
    }
}
