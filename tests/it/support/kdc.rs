//! A real KDC, of MIT Kerberos, with a realm of its own: the services of `localhost` in one keytab, two users with
//! their tickets, and two nodes whose keytabs have their own key and the one for `localhost`. And a second one, whose
//! realm is trusted.

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
const SERVICES: [&str; 3] = ["HTTP/localhost", OF_COORDINATORS, OF_THE_ROUTER];
/// What coordinators are called that have no key of the router's.
const OF_COORDINATORS: &str = "hive/localhost";
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

/// The realm whose users get tickets for the services of the other.
#[cfg(feature = "kerberos")]
pub(crate) const TRUSTED_REALM: &str = "OTHER.ORG";

/// A running KDC.
pub(crate) struct Kdc {
    folder: PathBuf,
    #[cfg_attr(not(feature = "kerberos"), allow(dead_code, reason = "it is kept"))]
    port: KeptPort,
    _keeper: Keeper,
}

/// The one of this run, started when first needed.
pub(crate) fn shared() -> &'static Kdc {
    static SHARED: OnceLock<Kdc> = OnceLock::new();
    SHARED.get_or_init(Kdc::start)
}

/// The one of the trusted realm, in which there is an ann.
#[cfg(feature = "kerberos")]
fn trusted() -> &'static Kdc {
    static TRUSTED: OnceLock<Kdc> = OnceLock::new();
    TRUSTED.get_or_init(|| {
        let own = shared();
        let database = Database::create(TRUSTED_REALM, &[(REALM, own.port.number())]);
        // Both have the key of the ticket with which users of the one go to the other.
        let key = format!("addprinc -pw trust krbtgt/{REALM}@{TRUSTED_REALM}");
        run(&own.folder, PROGRAMS[2], &["-r", REALM, "-q", &key]);
        database.ask(&key);
        database.add(USERS[0]);
        database.export(&keytab_of(USERS[0]), &USERS[..1]);
        database.serve(&USERS[..1])
    })
}

/// What a program of this user's has in its environment. One of the trusted realm is written with it.
#[cfg(feature = "kerberos")]
pub(crate) fn settings_of(user: &str) -> [(&'static str, String); 2] {
    match user.split_once('@') {
        Some((user, TRUSTED_REALM)) => trusted().settings_of(user),
        _ => shared().settings_of(user),
    }
}

/// The principals of a KDC that does not run yet.
struct Database {
    folder: PathBuf,
    realm: &'static str,
    port: KeptPort,
}

impl Database {
    /// An empty one. `others` are further realms, and the ports of their KDCs.
    fn create(realm: &'static str, others: &[(&str, u16)]) -> Self {
        let folder = tempfile::Builder::new().prefix("hs2router-kdc-").tempdir().unwrap().keep();
        let port = KeptPort::take(0).unwrap();
        let realms = [&[(realm, port.number())], others].concat();
        fs::write(folder.join("krb5.conf"), client_config(&realms)).unwrap();
        fs::write(folder.join("kdc.conf"), server_config(&folder, realm, port.number())).unwrap();
        run(&folder, PROGRAMS[1], &["-r", realm, "create", "-s", "-P", "master"]);
        Self { folder, realm, port }
    }

    /// Asks who may read and write it.
    fn ask(&self, query: &str) {
        run(&self.folder, PROGRAMS[2], &["-r", self.realm, "-q", query]);
    }

    fn add(&self, principal: &str) {
        self.ask(&format!("addprinc -randkey {principal}"));
    }

    /// Writes keys into a file, so that a principal can be in several.
    fn export(&self, file: &str, principals: &[&str]) {
        let keytab = self.folder.join(file);
        self.ask(&format!("ktadd -norandkey -k {} {}", keytab.display(), principals.join(" ")));
    }

    /// Starts the KDC, waits until it listens, and gets a ticket for each user.
    fn serve(self, users: &[&str]) -> Kdc {
        let Self { folder, realm, port } = self;
        // With -n it stays in the foreground.
        let arguments = ["-n", "-r", realm].map(str::to_owned);
        let mut keeper = Keeper::start(&folder, Path::new(PROGRAMS[0]), &arguments, &settings(&folder));
        // Read to the end, so that it can always write.
        let mut log = keeper.output();
        thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let deadline = clock::now() + START_DEADLINE;
        while keeper.listening_port() != Some(port.number()) {
            assert!(clock::now() < deadline, "the KDC does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        for user in users {
            let (cache, keytab) = (cache(&folder, user), folder.join(keytab_of(user)));
            run(&folder, PROGRAMS[3], &["-c", &cache, "-k", "-t", keytab.to_str().unwrap(), user]);
        }
        Kdc { folder, port, _keeper: keeper }
    }
}

impl Kdc {
    /// Starts the first one.
    fn start() -> Self {
        let database = Database::create(REALM, &[]);
        for principal in SERVICES.iter().chain(&USERS).chain(&NODES).chain([&ROUTER, &KEYLESS]) {
            database.add(principal);
        }
        database.export("services.keytab", &SERVICES);
        database.export("coordinators.keytab", &[OF_COORDINATORS]);
        database.export("own.keytab", &[ROUTER]);
        database.export("router.keytab", &[OF_THE_ROUTER]);
        for (place, node) in NODES.iter().enumerate() {
            database.export(&format!("node-{place}.keytab"), &[node]);
            merge(&database.folder, place);
        }
        for user in USERS {
            database.export(&keytab_of(user), &[user]);
        }
        database.serve(&USERS)
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

    /// A keytab of `brief/localhost`, whose tickets are good for so many seconds.
    #[cfg(feature = "kerberos")]
    pub(crate) fn brief_keytab(&self, seconds: u32) -> PathBuf {
        let keytab = self.folder.join("brief.keytab");
        let add = format!("addprinc -randkey -maxlife {seconds}seconds brief/localhost");
        let export = format!("ktadd -norandkey -k {} brief/localhost", keytab.display());
        for query in [add, export] {
            run(&self.folder, PROGRAMS[2], &["-r", REALM, "-q", &query]);
        }
        keytab
    }

    /// The keys of all services.
    pub(crate) fn keytab(&self) -> PathBuf {
        self.folder.join("services.keytab")
    }

    /// The key of coordinators, which is not that of the service that clients of the router ask for.
    #[cfg(feature = "kerberos")]
    pub(crate) fn coordinators_keytab(&self) -> PathBuf {
        self.folder.join("coordinators.keytab")
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

/// Where a user's key is.
fn keytab_of(user: &str) -> String {
    format!("{user}.keytab")
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

/// Names are taken as they are written, so that nothing depends on DNS. The first realm is that of users without one,
/// and each is reached from it without a third.
fn client_config(realms: &[(&str, u16)]) -> String {
    let kdc = |(realm, port): &(&str, u16)| format!("{realm} = {{\nkdc = 127.0.0.1:{port}\n}}\n");
    let path = |(realm, _): &(&str, u16)| format!("{realm} = .\n");
    let (own, kdcs, paths): (_, String, String) =
        (realms[0].0, realms.iter().map(kdc).collect(), realms[1..].iter().map(path).collect());
    format!(
        "[libdefaults]\ndefault_realm = {own}\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
         dns_canonicalize_hostname = false\nrdns = false\nudp_preference_limit = 1\n\
         [realms]\n{kdcs}[domain_realm]\nlocalhost = {REALM}\n[capaths]\n{own} = {{\n{paths}}}\n"
    )
}

/// By TCP only, and with ciphers that all programs know.
fn server_config(folder: &Path, realm: &str, port: u16) -> String {
    let place = folder.display();
    format!(
        "[kdcdefaults]\nkdc_listen = \"\"\nkdc_tcp_listen = 127.0.0.1:{port}\n\
         [realms]\n{realm} = {{\ndatabase_name = {place}/principals\nkey_stash_file = {place}/stash\n\
         acl_file = {place}/acl\nmax_life = 10h\n\
         supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal\n}}\n\
         [logging]\nkdc = STDERR\n"
    )
}
