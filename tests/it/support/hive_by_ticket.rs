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

/// A server that tickets for `hive/localhost` prove users to, and that lets the router speak for them.
fn setup() -> Setup {
    let kdc = kdc::shared();
    let setup = Setup { krb5: Some(kdc.config()), core: &CORE, ..Setup::default() };
    setup
        .set("hive.server2.authentication", "KERBEROS")
        .set("hive.server2.authentication.kerberos.principal", format!("hive/localhost@{REALM}"))
        .set("hive.server2.authentication.kerberos.keytab", kdc.keytab().display().to_string())
}

/// A server to which tickets prove users; one for all tests of this run, as it takes some seconds to start.
pub(crate) fn server() -> Option<&'static Hive> {
    static SERVER: OnceLock<Hive> = OnceLock::new();
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Hive, Tool::Kdc]) {
        return None;
    }
    Some(SERVER.get_or_init(|| {
        let hive = Hive::start(&setup()).called("localhost", "hive");
        let answer = ticket_clients::pyhive(hive.target(), USERS[0], &["SELECT 'ready'"]);
        assert_eq!(answer.rows(), [READY]);
        hive
    }))
}
