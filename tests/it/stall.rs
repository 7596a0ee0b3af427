//! A client that stops in the middle of something holds nothing up for longer than `stall_timeout`, and costs
//! no more memory than the bytes that are on their way to it.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use hs2router::net::limits::raise_file_limit;

use crate::support::message::{execute, of_handle};
use crate::support::program::Program;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::{PATIENCE, Talk};

/// What the router may hold of a reply that its client does not take, with all that it keeps for the
/// connection.
const WINDOW: u64 = 256 << 10;
/// What the process may grow by whatever the number of clients: buffers that threads keep, room of the
/// allocator.
const BESIDES: u64 = 16 << 20;

#[test]
fn half_a_request_does_not_hold_up_a_drain() {
    // No call gets as far as the coordinator.
    let coordinator = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let keys = "stall_timeout = \"300ms\"\ndrain_timeout = \"20s\"";
    let router = TestRouter::with("impala", &[coordinator], keys);
    let mut client = TcpStream::connect(router.listener(0)).unwrap();
    client.write_all(b"\x80\x01\x00\x01\x00\x00\x00\x0bOpenSess").unwrap();
    let listener = router.listener(0);
    router.await_metric(
        &format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"route\"}}"),
        1.0,
    );
    assert_eq!(router.drain(), 0, "connections cut at drain_timeout");
}

/// So many clients fetch rows without end and read none; others are served meanwhile, by the same
/// coordinator.
fn stalled(count: u32) {
    raise_file_limit().unwrap();
    let coordinator = Script::endless();
    let program = Program::start(coordinator.address(), "stall_timeout = \"5s\"");
    let mut bystander = Talk::connect(program.listener);
    let session = bystander.open();
    let before = program.status("VmRSS");
    let links = coordinator.open();
    let stalled: Vec<Talk> = (0..count)
        .map(|_| {
            let mut client = Talk::connect(program.listener);
            client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
            client.say(&of_handle("FetchResults", &session));
            client
        })
        .collect();
    let begun = || coordinator.count("FetchResults");
    assert!(eventually(|| begun() == stalled.len()), "{} of {count} fetches came", begun());
    for place in 0..200 {
        // Half of them come by new connections, which open sessions of their own.
        let mut newcomer = (place % 2 == 0).then(|| Talk::connect(program.listener));
        let (client, session) = match &mut newcomer {
            Some(newcomer) => {
                let session = newcomer.open();
                (newcomer, session)
            }
            None => (&mut bystander, session.clone()),
        };
        assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
    }
    let cut = || program.metric("hs2router_connections_closed_total{cause=\"client_stalled\"}");
    assert!(cut() < 1.0, "the calls had to wait until stalled clients were cut");
    assert!(program.comes_to_rest(), "bytes are still moving");
    let (cost, bound) = (program.status("VmHWM").saturating_sub(before), u64::from(count) * WINDOW + BESIDES);
    assert!(cost < bound, "{} KiB for {count} clients, of {}", cost >> 10, bound >> 10);

    assert!(eventually(|| cut() >= f64::from(count)), "{} of {count} were cut", cut());
    let left = || coordinator.open();
    assert!(eventually(|| left() <= links), "{} links are left", left());
    assert_eq!(bystander.call(&execute(&session, "select 1")).status(), Some(0));
    drop(stalled);
}

#[test]
fn a_client_that_stops_reading_delays_nobody_holds_little_memory_and_is_cut() {
    stalled(1);
}

#[test]
fn fifty_clients_that_stop_reading_delay_nobody_hold_little_memory_and_are_cut() {
    stalled(50);
}
