//! What an idle TLS connection costs.

use super::peers::{FILES, Secret};
use crate::support::message::{Value, execute, of_handle};
use crate::support::program::Program;
use crate::support::script::{Act, Script};
use hs2router::net::limits::raise_file_limit;

/// Idle connections.
const CLIENTS: u32 = 1_000;
/// What each may cost: less than a record, let alone a buffer. It is what the library keeps of a connection
/// and its keys, and what the router keeps of a client with a session and of its link in the clear.
const ALLOWED: u64 = 24 << 10;

#[test]
fn a_thousand_idle_tls_connections_hold_no_record_and_no_buffer_after_their_calls() {
    raise_file_limit().unwrap();
    let script = Script::calls(|call| match call.message.name.as_str() {
        "FetchResults" => Act::Reply(
            call.message.done(vec![(2, Value::Bool(false)), (3, Value::text(&"x".repeat(100_000)))]),
        ),
        _ => Act::Ordinary,
    });
    let program = Program::start_with(script.address(), &FILES.listener(), "share_links = true", "");
    let call_once = || {
        let mut client = Secret::connect(program.listener);
        let session = client.open();
        let operation = client.call(&execute(&session, &"x".repeat(40_000))).handle(&[0, 2]);
        assert_eq!(client.call(&of_handle("FetchResults", &operation)).status(), Some(0));
        client
    };
    // What the first ones cost is for all.
    let some: Vec<_> = (0..20).map(|_| call_once()).collect();
    let before = program.status("VmRSS");
    let clients: Vec<_> = (0..CLIENTS).map(|_| call_once()).collect();
    assert!(program.comes_to_rest());
    let cost = program.status("VmRSS").saturating_sub(before) / u64::from(CLIENTS);
    println!("an idle TLS connection costs {cost} bytes");
    assert!(cost < ALLOWED, "{cost} bytes");
    drop((some, clients));
}
