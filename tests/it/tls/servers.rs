//! Real Spark Thrift Servers with TLS behind the router, and with TLS in front of it.

use std::sync::OnceLock;
use std::thread;

use crate::support::certificates::{Authority, HERE, Pair};
use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target, Tls};
use crate::support::ran::Met;
use crate::support::router::{SELDOM, TestRouter};
use crate::support::spark::{Spark, WHO_ARE_YOU};
use crate::support::tools::{self, Tool};

/// What needs its session, many rows, and an error.
const STATEMENTS: [&str; 5] = [
    "SELECT 1 AS i, 'x' AS s",
    "CREATE TEMPORARY VIEW mine AS SELECT 42 AS answer",
    "SELECT answer FROM mine",
    "SELECT id, REPEAT('x', 1000) AS s FROM range(1500) ORDER BY id",
    "SELECT nothing",
];

/// Two servers with TLS, and whose certificates they have.
struct Servers {
    authority: Authority,
    pair: Pair,
    sparks: [Spark; 2],
}

impl Servers {
    /// Those that the tests here share, which take SASL PLAIN. `None`: the tools are missing.
    fn shared() -> Option<&'static Self> {
        static SERVERS: OnceLock<Servers> = OnceLock::new();
        tools::present(&[Tool::Java, Tool::Python, Tool::Spark, Tool::Openssl])
            .then(|| SERVERS.get_or_init(|| Self::start(Login::Plain)))
    }

    fn start(login: Login) -> Self {
        let authority = Authority::new();
        let pair = authority.issue_rsa("spark", &HERE);
        let start = || Spark::encrypted(login, &pair, authority.ca());
        let sparks = thread::scope(|scope| {
            let second = scope.spawn(start);
            [start(), second.join().expect("the second server started")]
        });
        Self { authority, pair, sparks }
    }

    /// A router in front of them, with these keys for its listener.
    fn router(&self, listener: &str) -> TestRouter {
        let lines = self.sparks.each_ref().map(|spark| {
            let port = spark.address().port();
            format!("{{ name = \"c{port}\", host = \"127.0.0.1\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}")
        });
        TestRouter::start(&format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n{listener}\n[[cluster]]\nname = \"test\"\n\
             flavor = \"spark\"\n{SELDOM}\ntls = {{ ca = \"{}\" }}\ncoordinators = [{}]\n",
            self.authority.ca().display(),
            lines.join(", ")
        ))
    }

    /// A client gets the same from a server directly, with TLS, and through the router, in the clear and with
    /// TLS.
    fn same_everywhere(&self, scenario: impl Fn(&Target) -> Shown) -> Shown {
        let direct = scenario(self.sparks[0].target());
        let clear = self.router("");
        assert_eq!(scenario(&clear.target()), direct);
        let encrypted = self.router(&super::listener(&self.pair));
        let target = &encrypted.target().with(Tls::Verified(self.authority.ca()));
        assert_eq!(scenario(target), direct);
        Met { shown: &direct, server: "spark", target }.got_through(&encrypted.metrics());
        direct
    }
}

#[test]
fn impyla_gets_the_same_from_spark_with_tls() {
    let Some(servers) = Servers::shared() else { return };
    let shown =
        servers.same_everywhere(|target| clients::impyla(target, Login::Plain, Cursors::One, &STATEMENTS));
    assert_eq!(shown.rows()[2], r#"{"columns": ["answer"], "rows": [[42]]}"#);
    assert!(shown.rows()[4].contains("UNRESOLVED_COLUMN"), "{}", shown.rows()[4]);
}

#[test]
fn pyhive_gets_the_same_from_spark_with_tls() {
    let Some(servers) = Servers::shared() else { return };
    let shown = servers.same_everywhere(|target| clients::pyhive(target, Login::Plain, &STATEMENTS));
    assert_eq!(shown.rows()[2], r#"{"columns": ["answer"], "rows": [[42]]}"#);
}

#[test]
fn beeline_gets_the_same_from_spark_with_tls() {
    let Some(servers) = Servers::shared() else { return };
    let shown = servers.same_everywhere(|target| clients::beeline(target, Login::Plain, &STATEMENTS));
    assert!(shown.output.len() > 1500, "{:?}", shown.complaints);
    assert!(shown.complaints[0].contains("UNRESOLVED_COLUMN"), "{:?}", shown.complaints);
}

#[test]
fn impala_shell_in_strict_mode_gets_the_same_from_spark_with_tls() {
    let Some(servers) = Servers::shared() else { return };
    let statements = "SELECT 'a' UNION ALL SELECT 'b'; SELECT CONCAT('c', 'd')";
    let shown = servers.same_everywhere(|target| {
        clients::impala_shell(target, Dialect::StrictHs2(Login::Plain), statements)
    });
    assert_eq!(shown.rows(), ["a", "b", "cd"]);
}

#[test]
fn cursors_are_shared_out_between_two_sparks_with_tls() {
    let Some(servers) = Servers::shared() else { return };
    let router = servers.router(&super::listener(&servers.pair));
    let target = router.target().with(Tls::Verified(servers.authority.ca()));
    let shown = clients::impyla(&target, Login::Plain, Cursors::Each, &[WHO_ARE_YOU; 4]);
    let mut homes = shown.rows().to_vec();
    homes.sort();
    assert!(homes[0] == homes[1] && homes[1] != homes[2] && homes[2] == homes[3], "{homes:?}");
}

#[test]
fn spark_without_sasl_has_tls_too() {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark, Tool::Openssl]) {
        return;
    }
    let servers = Servers::start(Login::NoSasl);
    let shown = servers
        .same_everywhere(|target| clients::impyla(target, Login::NoSasl, Cursors::One, &STATEMENTS[..4]));
    assert_eq!(shown.rows()[2], r#"{"columns": ["answer"], "rows": [[42]]}"#);
    let shown = servers.same_everywhere(|target| clients::beeline(target, Login::NoSasl, &STATEMENTS[..3]));
    assert_eq!(shown.rows().last().unwrap(), "42");
}
