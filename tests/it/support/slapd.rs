//! A real LDAP server, `OpenLDAP`'s slapd, with a few users that `HiveServer2` has it check.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ChildStdout, Command};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use hs2router::clock;

use super::keeper::Keeper;
use super::ports::KeptPort;
use super::router::eventually;

/// The server, and what fills its database.
pub(crate) const PROGRAMS: [&str; 2] = ["/usr/sbin/slapd", "/usr/sbin/slapadd"];
/// How long it may take until it listens.
const START_DEADLINE: Duration = Duration::from_mins(1);
/// The users `u1` to `u19`, with passwords `p1` to `p19`.
const USERS: u32 = 19;

/// A running slapd.
pub(crate) struct Slapd {
    port: KeptPort,
    log: Arc<Mutex<Vec<String>>>,
    _keeper: Keeper,
}

/// The one that all servers of this run ask, started when first needed.
pub(crate) fn shared() -> &'static Slapd {
    static SHARED: OnceLock<Slapd> = OnceLock::new();
    SHARED.get_or_init(Slapd::start)
}

/// The name of a user's entry.
pub(crate) fn dn(user: &str) -> String {
    format!("uid={user},dc=test")
}

impl Slapd {
    /// Starts one and waits until it listens.
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("hs2router-slapd-").tempdir().unwrap().keep();
        let config = folder.join("slapd.conf");
        fs::create_dir(folder.join("data")).unwrap();
        fs::write(&config, configuration(&folder)).unwrap();
        fs::write(folder.join("users.ldif"), users()).unwrap();
        let filled = Command::new(PROGRAMS[1])
            .arg("-f")
            .arg(&config)
            .arg("-l")
            .arg(folder.join("users.ldif"))
            .output();
        let filled = filled.unwrap();
        assert!(filled.status.success(), "{filled:?}");
        // It takes port 0 for 389.
        let port = KeptPort::take(0).unwrap();
        let url = format!("ldap://127.0.0.1:{}", port.number());
        // With -d it stays in the foreground and logs there; "stats" are operations and their results.
        let arguments = ["-f", config.to_str().unwrap(), "-h", &url, "-d", "stats"].map(str::to_owned);
        let mut keeper = Keeper::start(&folder, Path::new(PROGRAMS[0]), &arguments, &[]);
        let log = follow(keeper.output());
        let deadline = clock::now() + START_DEADLINE;
        while keeper.listening_port() != Some(port.number()) {
            assert!(clock::now() < deadline, "slapd does not listen: {:#?}", log.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
        Self { port, log, _keeper: keeper }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port.number())
    }

    /// Tries a user's password, as a coordinator does; returns the result.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub(crate) fn bind(&self, user: &str, password: &str) -> io::Result<u8> {
        let name = dn(user);
        // An `LDAPMessage` with a `BindRequest` of version 3 (RFC 4511, section 4.2); no length takes more than a
        // byte.
        let part = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let request = [part(2, &[3]), part(4, name.as_bytes()), part(0x80, password.as_bytes())].concat();
        let message = part(0x30, &[part(2, &[1]), part(0x60, &request)].concat());
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.number()))?;
        stream.write_all(&message)?;
        // Its answer ends with `resultCode`, `matchedDN` and `diagnosticMessage`, the last two of them empty.
        let mut answer = [0; 14];
        stream.read_exact(&mut answer)?;
        Ok(answer[9])
    }

    /// The results of all attempts to log in as this user until now, in the order in which they came: 0 is a
    /// success, 49 says that the password is wrong (RFC 4511, appendix A.1).
    ///
    /// # Panics
    ///
    /// When an attempt is not answered.
    pub(crate) fn binds(&self, user: &str) -> Vec<u32> {
        let mut results = None;
        assert!(
            eventually(|| {
                results = answers(&self.log.lock().unwrap(), &dn(user));
                results.is_some()
            }),
            "an attempt is not answered: {:#?}",
            self.log.lock().unwrap()
        );
        results.unwrap_or_default()
    }
}

/// The results of all binds of a name; `None` while one has none. Lines are
/// `TIME THREAD conn=1 op=0 BIND dn="…" method=128` and `… conn=1 op=0 RESULT tag=97 err=49 …`.
fn answers(log: &[String], dn: &str) -> Option<Vec<u32>> {
    let asked = format!(" BIND dn=\"{dn}\" method=");
    let begins = log.iter().enumerate().filter_map(|(place, line)| {
        let operation = line.split_once(&asked)?.0;
        Some((place, &operation[operation.find("conn=")?..]))
    });
    let result = |(place, operation): (usize, &str)| {
        let answer = format!(" {operation} RESULT ");
        let line = log[place..].iter().find(|line| line.contains(&answer))?;
        line.split_once(" err=")?.1.split(' ').next()?.parse().ok()
    };
    begins.map(result).collect()
}

/// Reads the log to its end, so that the server can always write.
fn follow(output: ChildStdout) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
    log
}

fn configuration(folder: &Path) -> String {
    let place = folder.display();
    format!(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
         database mdb\nsuffix dc=test\ndirectory {place}/data\n"
    )
}

fn users() -> String {
    let mut entries =
        "dn: dc=test\nobjectClass: organization\nobjectClass: dcObject\no: test\ndc: test\n".to_owned();
    for number in 1..=USERS {
        let user = format!("u{number}");
        let dn = dn(&user);
        writeln!(
            entries,
            "\ndn: {dn}\nobjectClass: person\nobjectClass: uidObject\nuid: {user}\ncn: {user}\nsn: {user}\n\
             userPassword: p{number}"
        )
        .unwrap();
    }
    entries
}
