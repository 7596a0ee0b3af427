//! Tickets that take long to be judged, and more of them than are judged at a time.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

use super::front::{send, token};
use super::input::begun;
use super::negotiate::{negotiate, post, request, ticket};
use super::{Fleet, KerberosRouter, SERVICE, by_ticket, log_in};
use crate::http_input::Raw;
use crate::support::kdc::REALM;
use crate::support::message::open_session;
use crate::support::router::eventually;

/// Threads that judge tickets, in the router.
const THREADS: usize = 2;
/// More than wait for these at a time, which are 1,024.
const GARBAGE: usize = 1_200;
const GARBAGE_TOKEN: &[u8] = b"not a token";
const OK: u8 = 2;

/// A router that remembers tokens in this file and judges no ticket for longer than a second.
fn router(fleet: &Fleet, memory: &Path) -> KerberosRouter {
    let ports = [format!("hs2 = {}, hs2_http = 0, web = 0", fleet.fronts[0].port)];
    let listener = format!("service = \"hs2\"\n{}", by_ticket(""));
    let config = KerberosRouter::config("impala", &format!("hive/_HOST@{REALM}"), &ports, &listener);
    let variable = format!("file2:{}", memory.display());
    let config = format!("[router]\nhandshake_timeout = \"1s\"\n{config}");
    KerberosRouter::started_in(&config, &[("KRB5RCACHENAME", &variable)])
}

/// A connection that has sent a token in SASL.
fn by_sasl(router: &KerberosRouter, token: &[u8]) -> TcpStream {
    let mut stream = begun(router.listener);
    send(&mut stream, OK, token).unwrap();
    stream
}

/// A connection that has sent a token over HTTP.
fn over_http(router: &KerberosRouter, token: &[u8]) -> Raw {
    let mut raw = Raw::connect(router.listener);
    raw.send(&request("/", &negotiate(token), &open_session()));
    raw
}

#[test]
fn while_tickets_take_for_ever_calls_go_on_and_whoever_wants_to_log_in_is_told_soon() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let _raised = rlimit::increase_nofile_limit(8_192).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let memory = folder.path().join("tokens");
    let router = router(&fleet, &memory);
    let mut ann = log_in(router.listener, "ann").unwrap();
    let session = ann.open(&[]).unwrap();
    // The library waits for the file when it has decrypted a ticket (MIT krb5: `rc_file2.c` `k5_rcfile2_store`).
    let file = File::options().read(true).write(true).open(&memory).unwrap();
    fcntl_lock(&file, FlockOperation::LockExclusive).unwrap();
    let good: Vec<_> = (0..THREADS).map(|_| by_sasl(&router, &token("bob", SERVICE))).collect();
    let garbage: Vec<_> = (0..GARBAGE / 2)
        .map(|_| (by_sasl(&router, GARBAGE_TOKEN), over_http(&router, GARBAGE_TOKEN)))
        .collect();
    for _ in 0..10 {
        ann.execute(&session, "select 1").unwrap();
    }
    for (mut by_sasl, mut over_http) in garbage {
        // A text, or at least an end.
        by_sasl.read_to_end(&mut Vec::new()).unwrap();
        let answer = over_http.hear();
        assert!(answer.status == 503 && answer.field("retry-after") == Some("1"), "{answer:?}");
    }
    for mut stream in good {
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    ann.execute(&session, "select 1").unwrap();
    assert!(router.has_logged("too many handshakes of Kerberos are under way"));
    drop(file);
    assert!(eventually(|| post(router.listener, "/", &ticket("bob"), &open_session()).status == 200));
    ann.execute(&session, "select 1").unwrap();
}
