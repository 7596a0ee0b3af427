//! Clients resume their sessions: at the same router, also after its certificate was renewed, and at another
//! that has the same ticket keys.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::await_loaded;
use crate::support::certificates::{Authority, HERE};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::openssl::s_client;
use crate::support::tools::{self, Tool};

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// Opens a session and keeps it in a file.
fn begin(at: SocketAddr, version: &str, session: &Path) {
    let text = s_client(at, &[version, "-sess_out", session.to_str().unwrap()]);
    assert!(text.contains("New, TLSv1."), "{text}");
    assert!(session.exists(), "no ticket came: {text}");
}

/// Whether a session in a file is resumed.
fn resumes(at: SocketAddr, version: &str, session: &Path) -> bool {
    let text = s_client(at, &[version, "-sess_in", session.to_str().unwrap()]);
    assert!(text.contains(", TLSv1."), "{text}");
    text.contains("Reused, TLSv1.")
}

fn fleet(keys: &str) -> Fleet {
    Fleet::with(Plan { coordinators: 1, listener: &format!("tls = {{ {keys} }}"), ..Plan::default() })
}

#[test]
fn a_session_is_resumed_and_outlives_the_renewal_of_the_certificate() {
    if !tools::present(&[Tool::Openssl]) {
        return;
    }
    let authority = Authority::new();
    let fleet = fleet(&authority.issue("router", &HERE).keys());
    let at = fleet.address(Door::Hs2);
    for version in VERSIONS {
        begin(at, version, &authority.path(version));
        assert!(resumes(at, version, &authority.path(version)), "{version}");
    }
    authority.issue("router", &HERE);
    await_loaded(&fleet, Door::Hs2, "localhost");
    for version in VERSIONS {
        assert!(resumes(at, version, &authority.path(version)), "{version} after the renewal");
    }
}

#[test]
fn a_session_is_resumed_by_another_router_only_if_it_has_the_same_ticket_key() {
    if !tools::present(&[Tool::Openssl]) {
        return;
    }
    let authority = Authority::new();
    let pair = authority.issue("router", &HERE);
    let key = authority.path("tickets.key");
    fs::write(&key, [0xfb; 48]).unwrap();
    let shared = fleet(&format!("{}, ticket_key = \"{}\"", pair.keys(), key.display()));
    let twin = shared.another_router();
    let alone = fleet(&pair.keys());
    for version in VERSIONS {
        let session = authority.path(version);
        begin(shared.address(Door::Hs2), version, &session);
        assert!(resumes(twin.listener(0), version, &session), "{version}");
        assert!(!resumes(alone.address(Door::Hs2), version, &session), "{version}");
    }
}
