//! A real KDC, of MIT Kerberos, with a realm of its own: the services of `localhost` in one keytab, two users with
//! their tickets, and two nodes whose keytabs have their own key and the one for `localhost`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use hs2router::clock;

use super::keeper::Keeper;
use super::ports::KeptPort;

/// The server and what fills its database; what gets a user's first ticket, and what shows whether it is good,
/// which impala-shell asks before it logs in.
pub(crate) const PROGRAMS: [&str; 6] = [
    "/usr/sbin/krb5kdc",
    "/usr/sbin/kdb5_util",
    "/usr/sbin/kadmin.local",
    "/usr/bin/kinit",
    "/usr/bin/klist",
    "/usr/bin/ktutil",
];
/// The realm.
pub(crate) const REALM: &str = "TEST";
/// The users that have tickets.
pub(crate) const USERS: [&str; 2] = ["ann", "bob"];
/// What `localhost` offers, in one keytab: as clients call it over HTTP, and what servers are called.
const SERVICES: [&str; 3] = ["HTTP/localhost", "hive/localhost", "impala/localhost"];
/// Nodes behind the router, each a service of its own.
const NODES: [&str; 2] = ["impala/node-1.test", "impala/node-2.test"];
/// The service that clients of the router ask for.
const OF_THE_ROUTER: &str = "impala/localhost";
/// The router's own principal, towards coordinators.
const ROUTER: &str = "hs2router/localhost";
/// A service whose key nobody has but the KDC.
const KEYLESS: &str = "keyless/localhost";
/// How long it may take until it listens.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// A running KDC.
pub(crate) struct Kdc {
    folder: PathBuf,
    _port: KeptPort,
    _keeper: Keeper,
}

/// The one of this run, started when first needed.
pub(crate) fn shared() -> &'static Kdc {
    static SHARED: OnceLock<Kdc> = OnceLock::new();
    SHARED.get_or_init(Kdc::start)
}

impl Kdc {
    /// Starts one, waits until it listens, and gets a ticket for each user.
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("hs2router-kdc-").tempdir().unwrap().keep();
        let port = KeptPort::take(0).unwrap();
        fs::write(folder.join("krb5.conf"), client_config(port.number())).unwrap();
        fs::write(folder.join("kdc.conf"), server_config(&folder, port.number())).unwrap();
        run(&folder, PROGRAMS[1], &["-r", REALM, "create", "-s", "-P", "master"]);
        for principal in SERVICES.iter().chain(&USERS).chain(&NODES).chain([&ROUTER, &KEYLESS]) {
            run(&folder, PROGRAMS[2], &["-r", REALM, "-q", &format!("addprinc -randkey {principal}")]);
        }
        let keys = |file: &str, principals: &[&str]| {
            let keytab = folder.join(file);
            // As one who may read the database, so that a principal can be in several files.
            let query = format!("ktadd -norandkey -k {} {}", keytab.display(), principals.join(" "));
            run(&folder, PROGRAMS[2], &["-r", REALM, "-q", &query]);
        };
        keys("services.keytab", &SERVICES);
        keys("own.keytab", &[ROUTER]);
        keys("router.keytab", &[OF_THE_ROUTER]);
        for (place, node) in NODES.iter().enumerate() {
            keys(&format!("node-{place}.keytab"), &[node]);
            merge(&folder, place);
        }
        for user in USERS {
            keys(&format!("{user}.keytab"), &[user]);
        }
        // With -n it stays in the foreground.
        let arguments = ["-n", "-r", REALM].map(str::to_owned);
        let mut keeper = Keeper::start(&folder, Path::new(PROGRAMS[0]), &arguments, &settings(&folder));
        // Read to the end, so that it can always write.
        let mut log = keeper.output();
        thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let deadline = clock::now() + START_DEADLINE;
        while keeper.listening_port() != Some(port.number()) {
            assert!(clock::now() < deadline, "the KDC does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        for user in USERS {
            let (cache, keytab) = (cache(&folder, user), folder.join(format!("{user}.keytab")));
            run(&folder, PROGRAMS[3], &["-c", &cache, "-k", "-t", keytab.to_str().unwrap(), user]);
        }
        Self { folder, _port: port, _keeper: keeper }
    }

    /// What clients and servers read about the realm: `KRB5_CONFIG`, or Java's `java.security.krb5.conf`.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("krb5.conf")
    }

    /// The key of the router's own principal.
    #[cfg(feature = "kerberos")]
    pub(crate) fn own_keytab(&self) -> PathBuf {
        self.folder.join("own.keytab")
    }

    /// A keytab of `replaced/localhost`, for which the KDC has had a newer key since.
    #[cfg(feature = "kerberos")]
    pub(crate) fn replaced_keytab(&self) -> PathBuf {
        static MADE: OnceLock<()> = OnceLock::new();
        let keytab = self.folder.join("replaced.keytab");
        MADE.get_or_init(|| {
            let name = "replaced/localhost";
            let export = format!("ktadd -norandkey -k {} {name}", keytab.display());
            for query in [format!("addprinc -randkey {name}"), export, format!("cpw -randkey {name}")] {
                run(&self.folder, PROGRAMS[2], &["-r", REALM, "-q", &query]);
            }
        });
        keytab
    }

    /// The keys of all services.
    pub(crate) fn keytab(&self) -> PathBuf {
        self.folder.join("services.keytab")
    }

    /// The keys of a node, with those of the router (`docs/KERBEROS.md` says how they are merged).
    pub(crate) fn merged_keytab(&self, node: usize) -> PathBuf {
        self.folder.join(format!("merged-{node}.keytab"))
    }

    /// What a program of this user's has in its environment.
    pub(crate) fn settings_of(&self, user: &str) -> [(&'static str, String); 2] {
        [("KRB5_CONFIG", self.config().display().to_string()), ("KRB5CCNAME", cache(&self.folder, user))]
    }
}

/// Where a user's tickets are.
fn cache(folder: &Path, user: &str) -> String {
    format!("FILE:{}", folder.join(format!("{user}.tickets")).display())
}

/// What all its programs have in their environment.
fn settings(folder: &Path) -> [(&'static str, String); 2] {
    [("KRB5_CONFIG", "krb5.conf"), ("KRB5_KDC_PROFILE", "kdc.conf")]
        .map(|(name, file)| (name, folder.join(file).display().to_string()))
}

/// Merges a node's keytab with the router's, as `docs/KERBEROS.md` says and Impala's manual before it.
fn merge(folder: &Path, node: usize) {
    let keytab = |name: &str| folder.join(format!("{name}.keytab")).display().to_string();
    let (router, own, merged) =
        (keytab("router"), keytab(&format!("node-{node}")), keytab(&format!("merged-{node}")));
    let commands = folder.join("ktutil.commands");
    fs::write(&commands, format!("read_kt {router}\nread_kt {own}\nwrite_kt {merged}\nquit\n")).unwrap();
    let input = fs::File::open(commands).unwrap();
    let ran = Command::new(PROGRAMS[5]).stdin(input).envs(settings(folder)).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let listed = Command::new(PROGRAMS[4]).args(["-k", &merged]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!([OF_THE_ROUTER, NODES[node]].iter().all(|name| listed.contains(name)), "{listed}");
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).envs(settings(folder)).output().unwrap();
    assert!(ran.status.success(), "{program} {arguments:?}: {ran:?}");
}

/// Names are taken as they are written, so that nothing depends on DNS.
fn client_config(port: u16) -> String {
    format!(
        "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
         dns_canonicalize_hostname = false\nrdns = false\nudp_preference_limit = 1\n\
         [realms]\n{REALM} = {{\nkdc = 127.0.0.1:{port}\n}}\n[domain_realm]\nlocalhost = {REALM}\n"
    )
}

/// By TCP only, and with ciphers that all programs know.
fn server_config(folder: &Path, port: u16) -> String {
    let place = folder.display();
    format!(
        "[kdcdefaults]\nkdc_listen = \"\"\nkdc_tcp_listen = 127.0.0.1:{port}\n\
         [realms]\n{REALM} = {{\ndatabase_name = {place}/principals\nkey_stash_file = {place}/stash\n\
         acl_file = {place}/acl\nmax_life = 10h\n\
         supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal\n}}\n\
         [logging]\nkdc = STDERR\n"
    )
}
