//! A real `HiveServer2` that takes tickets of Kerberos and nothing else.

use std::sync::OnceLock;

use super::hive::{Hive, READY, Setup};
use super::kdc::{self, REALM, USERS};
use super::ticket_clients;
use super::tools::{self, Tool};

/// Of `core-site.xml`, where tickets prove users: whoever the router says is believed.
const CORE: [(&str, &str); 3] = [
    ("hadoop.security.authentication", "kerberos"),
    ("hadoop.proxyuser.hs2router.hosts", "*"),
    ("hadoop.proxyuser.hs2router.users", "*"),
];

/// A server that tickets for `hive/localhost` prove users to, and over HTTP those for `HTTP/localhost`; and that lets the
/// router speak for them.
fn setup() -> Setup {
    let (kdc, principal) = (kdc::shared(), |service: &str| format!("{service}/localhost@{REALM}"));
    let keytab = kdc.keytab().display().to_string();
    let setup = Setup { krb5: Some(kdc.config()), core: &CORE, ..Setup::default() };
    setup
        .set("hive.server2.authentication", "KERBEROS")
        .set("hive.server2.authentication.kerberos.principal", principal("hive"))
        .set("hive.server2.authentication.kerberos.keytab", keytab.clone())
        .set("hive.server2.authentication.spnego.principal", principal("HTTP"))
        .set("hive.server2.authentication.spnego.keytab", keytab)
        .over_http_too()
}

/// A server to which tickets prove users; one for all tests of this run, as it takes some seconds to start.
pub(crate) fn server() -> Option<&'static Hive> {
    static SERVER: OnceLock<Hive> = OnceLock::new();
    started(&SERVER, setup)
}

/// The same, which encrypts what follows the login in SASL, and serves nobody who does not.
pub(crate) fn sealed() -> Option<&'static Hive> {
    static SERVER: OnceLock<Hive> = OnceLock::new();
    started(&SERVER, || setup().set("hive.server2.thrift.sasl.qop", "auth-conf"))
}

fn started(server: &'static OnceLock<Hive>, setup: impl FnOnce() -> Setup) -> Option<&'static Hive> {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Hive, Tool::Kdc]) {
        return None;
    }
    Some(server.get_or_init(|| {
        let hive = Hive::start(&setup()).called("localhost", "hive");
        let answer = ticket_clients::pyhive(hive.target(), USERS[0], &["SELECT 'ready'"]);
        assert_eq!(answer.rows(), [READY]);
        hive
    }))
}
