//! A client that stops in the middle of something holds nothing up for longer than `stall_timeout`.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::support::router::TestRouter;

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
