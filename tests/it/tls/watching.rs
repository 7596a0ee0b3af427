//! Probes and polls use TLS as links do, and tell what is wrong with a certificate.

use std::fs;
use std::sync::Arc;

use super::await_line;
use crate::support::certificates::{Authority, HERE};
use crate::support::fleet::{Fleet, Plan};
use crate::support::router::eventually;

#[test]
fn probes_and_polls_of_coordinators_with_tls_use_it() {
    let authority = Authority::new();
    let server = Arc::new(authority.issue("coordinators", &HERE).server_config());
    let cluster = format!("tls = {{ ca = \"{}\", web = true }}", authority.ca().display());
    let fleet = Fleet::with(Plan {
        cluster: &cluster,
        tls: &[Some(Arc::clone(&server)), Some(Arc::clone(&server)), Some(server)],
        web_tls: true,
        watched: true,
        ..Plan::default()
    });
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    assert_eq!(sessions.len(), 3);
    for place in 0..3 {
        let front = fleet.front(place);
        let web = front.web.as_ref().unwrap();
        assert!(eventually(|| front.hs2.handshakes().len() > 1 && web.handshakes().len() > 3));
        for handshakes in [front.hs2.handshakes(), web.handshakes()] {
            assert!(handshakes.iter().all(Result::is_ok), "{handshakes:?}");
        }
    }
    let shown = fleet.router().logs().shown();
    assert!(!shown.contains(" WARN "), "{shown}");
}

#[test]
fn coordinators_are_ejected_for_their_certificates_and_return_once_the_authority_is_known() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Arc::new(authority.issue("coordinators", &HERE).server_config());
    let cluster = format!(
        "panic_threshold = 0.0\nslow_start = \"0s\"\ntls = {{ ca = \"{}\" }}",
        stranger.ca().display()
    );
    let fleet = Fleet::with(Plan {
        coordinators: 2,
        cluster: &cluster,
        tls: &[Some(Arc::clone(&server)), Some(server)],
        watched: true,
        ..Plan::default()
    });
    assert!(fleet.hs2().open(&[]).is_err());
    for name in ["c1", "c2"] {
        let words = ["coordinator ejected", &format!("coordinator={name}"), "cannot be traced to an issuer"];
        await_line(fleet.router(), &[&[" WARN "], &words[..]].concat());
    }
    fs::copy(authority.ca(), stranger.ca()).unwrap();
    for name in ["c1", "c2"] {
        await_line(fleet.router(), &["coordinator restored", &format!("coordinator={name}")]);
    }
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    assert_eq!(client.query(&session, "select 7").unwrap(), [["7"]]);
}
