//! OpenSSL's client sees the versions, certificates and alerts that the config stands for, and whoever reads
//! the log learns what to do about a refusal.

use super::await_line;
use crate::support::certificates::{Authority, HERE, Pair};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::openssl::s_client;
use crate::support::tools::{self, Tool};

/// A fleet whose listeners have these keys of `[listener.tls]`.
fn fleet(keys: &str) -> Fleet {
    Fleet::with(Plan { coordinators: 1, listener: &format!("tls = {{ {keys} }}"), ..Plan::default() })
}

/// What `s_client` shows on the HS2 listener.
fn shown(fleet: &Fleet, arguments: &[&str]) -> String {
    s_client(fleet.address(Door::Hs2), arguments)
}

#[track_caller]
fn assert_has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

/// The arguments with which a client shows a certificate.
fn showing(pair: &Pair) -> [String; 4] {
    let [certificate, key] = [&pair.certificate, &pair.key].map(|path| path.display().to_string());
    ["-cert".to_owned(), certificate, "-key".to_owned(), key]
}

#[test]
fn new_versions_are_spoken_and_old_ones_refused_with_their_alert() {
    if !tools::present(&[Tool::Openssl]) {
        return;
    }
    let authority = Authority::new();
    let ca = authority.ca();
    let verifying = ["-verify_return_error", "-CAfile", ca.to_str().unwrap()];
    let fleet = fleet(&authority.issue("router", &HERE).keys());
    for (version, name) in [("-tls1_2", "New, TLSv1.2"), ("-tls1_3", "New, TLSv1.3")] {
        let text = shown(&fleet, &[&[version, "-verify_ip", "127.0.0.1"], &verifying[..]].concat());
        assert_has(&text, &[name, "Verify return code: 0 (ok)"]);
    }
    for version in ["-tls1", "-tls1_1"] {
        let text = shown(&fleet, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert_has(&text, &["alert protocol version", "SSL alert number 70"]);
    }
    await_line(fleet.router(), &[" WARN ", "TLS 1.1 or older", "update the client"]);
}

#[test]
fn a_minimum_version_of_1_3_refuses_1_2_with_its_alert() {
    if !tools::present(&[Tool::Openssl]) {
        return;
    }
    let authority = Authority::new();
    let pair = authority.issue("router", &HERE);
    let fleet = fleet(&format!("{}, minimum_version = \"1.3\"", pair.keys()));
    assert_has(&shown(&fleet, &["-tls1_2"]), &["alert protocol version"]);
    await_line(fleet.router(), &[" WARN ", "minimum_version"]);
    assert_has(&shown(&fleet, &[]), &["New, TLSv1.3"]);
}

#[test]
fn the_server_name_chooses_the_certificate() {
    if !tools::present(&[Tool::Openssl]) {
        return;
    }
    let authority = Authority::new();
    let pairs = [
        authority.issue("first", &["impala-1.test"]),
        authority.issue("second", &["impala-2.test"]),
        authority.issue("all", &["*.wild.test"]),
    ];
    let tables = pairs.each_ref().map(|pair| format!("{{ {} }}", pair.keys())).join(", ");
    let usual = fleet(&format!("pairs = [{tables}]"));
    let strict = fleet(&format!("pairs = [{tables}], strict_sni = true"));
    for (name, subject) in [
        ("impala-1.test", "CN = impala-1.test"),
        ("impala-2.test", "CN = impala-2.test"),
        ("IMPALA-2.test", "CN = impala-2.test"),
        ("any.wild.test", "CN = *.wild.test"),
    ] {
        for fleet in [&usual, &strict] {
            assert_has(&shown(fleet, &["-servername", name]), &[subject]);
        }
    }
    for arguments in [&["-servername", "elsewhere.test"][..], &["-noservername"]] {
        assert_has(&shown(&usual, arguments), &["CN = impala-1.test"]);
        for version in ["-tls1_2", "-tls1_3"] {
            let text = shown(&strict, &[&[version], arguments].concat());
            assert_has(&text, &["unrecognized name", "SSL alert number 112"]);
        }
    }
    await_line(strict.router(), &[" WARN ", "no certificate is for the name", "strict_sni"]);
}

#[test]
fn a_client_certificate_that_is_required_must_be_there_and_be_good() {
    if !tools::present(&[Tool::Openssl]) {
        return;
    }
    let (authority, stranger) = (Authority::new(), Authority::new());
    let pair = authority.issue("router", &HERE);
    let demands = |auth: &str| {
        format!("{}, client_ca = \"{}\", client_auth = \"{auth}\"", pair.keys(), authority.ca().display())
    };
    let (required, optional) = (fleet(&demands("required")), fleet(&demands("optional")));
    let good = showing(&authority.issue("client", &["a client"]));
    let unknown = showing(&stranger.issue("client", &["a client"]));
    let expired = showing(&authority.issue_expired("expired", &["a client"]));
    let none: [String; 0] = [];
    for version in ["-tls1_2", "-tls1_3"] {
        let with = |fleet: &Fleet, certificate: &[String]| {
            let certificate = certificate.iter().map(String::as_str);
            shown(fleet, &[version].into_iter().chain(certificate).collect::<Vec<_>>())
        };
        let ok = format!("New, {}", version.replace("-tls1_", "TLSv1."));
        for fleet in [&required, &optional] {
            let text = with(fleet, &good);
            assert_has(&text, &[&ok]);
            assert!(!text.contains("alert"), "{text}");
            assert_has(&with(fleet, &unknown), &["alert unknown ca", "SSL alert number 48"]);
            assert_has(&with(fleet, &expired), &["alert certificate expired", "SSL alert number 45"]);
        }
        let text = with(&optional, &none);
        assert!(text.contains(&ok) && !text.contains("alert"), "{text}");
        assert_has(&with(&required, &none), &["alert certificate required", "SSL alert number 116"]);
    }
    for words in [
        &["shows no certificate", "client_auth = \"optional\""][..],
        &["an authority that this listener does not know", "client_ca"],
        &["the client's certificate has expired", "renew it"],
    ] {
        await_line(required.router(), &[&[" WARN "], words].concat());
    }
}
