//! A real LDAP server, `OpenLDAP`'s slapd, with a few users that `HiveServer2` has it check.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ChildStdout, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// The users whose accounts can be locked.
const LOCKABLE: [&str; 1] = ["u18"];
/// Whoever may change everything in it, and the password.
const ROOT: [&str; 2] = ["cn=root,dc=test", "root"];
/// What a lock that no time opens is written as (draft-behera-ldap-password-policy, section 5.3.3).
const FOR_EVER: &str = "000001010000Z";
/// The answer to something that was done (RFC 4511, appendix A.1).
const SUCCESS: u8 = 0;

/// A running slapd.
pub(crate) struct Slapd {
    port: KeptPort,
    log: Arc<Mutex<Vec<String>>>,
    keeper: Keeper,
}

/// The one that all servers of this run ask, started when first needed.
pub(crate) fn shared() -> &'static Slapd {
    static SHARED: OnceLock<Slapd> = OnceLock::new();
    SHARED.get_or_init(Slapd::start)
}

/// Below which entry all users are.
pub(crate) const BASE: &str = "dc=test";

/// The name of a user's entry.
pub(crate) fn dn(user: &str) -> String {
    format!("uid={user},{BASE}")
}

impl Slapd {
    /// Starts one and waits until it listens.
    pub(crate) fn start() -> Self {
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
        Self { port, log, keeper }
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
        self.bind_by_name(&dn(user), password).map(|(result, _)| result)
    }

    /// Gives a user another password.
    pub(crate) fn set_password(&self, user: &str, password: &str) {
        self.replace(user, "userPassword", Some(password));
    }

    /// Locks a user's account, whatever the password, or unlocks it.
    pub(crate) fn lock(&self, user: &str, is_locked: bool) {
        self.replace(user, "pwdAccountLockedTime", is_locked.then_some(FOR_EVER));
    }

    /// Ends, as by `kill -9`.
    pub(crate) fn end(&self) {
        self.keeper.signal("KILL");
        assert!(eventually(|| self.bind("u1", "p1").is_err()), "it still answers");
    }

    /// Stands still, or goes on.
    pub(crate) fn stand_still(&self, is_still: bool) {
        self.keeper.signal(if is_still { "STOP" } else { "CONT" });
    }

    /// Binds with a `BindRequest` of version 3 (RFC 4511, section 4.2).
    fn bind_by_name(&self, name: &str, password: &str) -> io::Result<(u8, TcpStream)> {
        let request = [part(2, &[3]), part(4, name.as_bytes()), part(0x80, password.as_bytes())].concat();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.number()))?;
        let result = ask(&mut stream, &part(0x60, &request))?;
        Ok((result, stream))
    }

    /// Replaces the values of an attribute by one, or by none, with a `ModifyRequest` (RFC 4511, section 4.6).
    fn replace(&self, user: &str, attribute: &str, value: Option<&str>) {
        let [name, password] = ROOT;
        let (result, mut stream) = self.bind_by_name(name, password).unwrap();
        assert_eq!(result, SUCCESS);
        let values = value.map(|value| part(4, value.as_bytes())).unwrap_or_default();
        let values = [part(4, attribute.as_bytes()), part(0x31, &values)].concat();
        let change = part(0x30, &[part(10, &[2]), part(0x30, &values)].concat());
        let request = part(0x66, &[part(4, dn(user).as_bytes()), part(0x30, &change)].concat());
        assert_eq!(ask(&mut stream, &request).unwrap(), SUCCESS);
    }

    /// The results of all attempts to log in as this user until now, in the order in which they came: 0 is a
    /// success, 49 says that the password is wrong (RFC 4511, appendix A.1).
    ///
    /// # Panics
    ///
    /// When an attempt is not answered.
    pub(crate) fn binds(&self, user: &str) -> Vec<u32> {
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        // The log may lag behind. It is in order, so all is there once the last attempt is.
        let mark = format!("mark{}", MARKS.fetch_add(1, Ordering::Relaxed));
        self.bind(&mark, "none").unwrap();
        let has_come = || answers(&self.log.lock().unwrap(), &dn(&mark)).is_some_and(|all| !all.is_empty());
        assert!(eventually(has_come), "the log has ended");
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

/// A value in BER; no length takes more than a byte.
fn part(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 0x80);
    [&[tag, length.expect("a short one")], content].concat()
}

/// Sends an operation in an `LDAPMessage`, and returns the `resultCode` of the answer.
fn ask(stream: &mut TcpStream, operation: &[u8]) -> io::Result<u8> {
    stream.write_all(&part(0x30, &[&part(2, &[1]), operation].concat()))?;
    // It ends with `resultCode`, `matchedDN` and `diagnosticMessage`, the last two of them empty.
    let mut answer = [0; 14];
    stream.read_exact(&mut answer)?;
    Ok(answer[9])
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
         moduleload ppolicy\ndatabase mdb\nsuffix dc=test\ndirectory {place}/data\nrootdn {}\nrootpw {}\n\
         overlay ppolicy\n",
        ROOT[0], ROOT[1]
    )
}

fn users() -> String {
    let mut entries = "dn: dc=test\nobjectClass: organization\nobjectClass: dcObject\no: test\ndc: test\n\n\
         dn: cn=policy,dc=test\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\ncn: policy\n\
         pwdAttribute: userPassword\npwdLockout: TRUE\n"
        .to_owned();
    for number in 1..=USERS {
        let user = format!("u{number}");
        let dn = dn(&user);
        writeln!(
            entries,
            "\ndn: {dn}\nobjectClass: person\nobjectClass: uidObject\nuid: {user}\ncn: {user}\nsn: {user}\n\
             userPassword: p{number}"
        )
        .unwrap();
        if LOCKABLE.contains(&user.as_str()) {
            entries.push_str("pwdPolicySubentry: cn=policy,dc=test\n");
        }
    }
    entries
}
