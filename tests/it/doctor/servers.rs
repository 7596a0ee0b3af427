//! What real servers are found to speak.

use super::doctor;
use crate::support::clients::Login;
use crate::support::spark::{self, Spark};

/// The findings about a server.
fn of(server: &Spark) -> super::Report {
    let target = server.target();
    doctor(&[&format!("--coordinator={}:{}", target.host, target.port)])
}

#[test]
fn a_real_spark_is_told_by_its_login() {
    if let Some([first, _]) = spark::pair(Login::NoSasl) {
        of(first).finds("no-login", "Thrift without a login (NOSASL)");
    }
    if let Some([first, _]) = spark::pair(Login::Plain) {
        of(first).finds("speaks", "SASL: PLAIN is offered, GSSAPI is refused");
    }
}

#[cfg(feature = "kerberos")]
#[test]
fn a_real_spark_with_kerberos_offers_tickets_alone() {
    if let Some([first, _]) = spark::pair_with_kerberos() {
        of(first).finds("only-tickets", "SASL: PLAIN is refused, GSSAPI is offered");
    }
}
