//! Slow and silent connections keep neither a health check waiting nor a scraper.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hs2router::clock;
use hs2router::net::limits::raise_file_limit;
use socket2::{Domain, Socket, Type};

use super::ask;
use crate::support::fleet::Fleet;

/// How many there are: each is two open files of this process.
const SLOW: usize = 1000;

/// One that reads as little at a time as there is.
fn connect(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[test]
fn a_thousand_slow_connections_keep_no_health_check_and_no_scraper_waiting() {
    raise_file_limit().unwrap();
    let fleet = Fleet::of(3);
    let address = fleet.router().router().admin();
    // Silent ones, ones that never finish a request, and ones that ask and do not read.
    let said = ["", "GET /healthz HTT", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"];
    let crowd = || {
        (0..SLOW).map(|place| {
            let mut slow = connect(address);
            // It may have been shown the door meanwhile.
            let _said = slow.write_all(said[place % said.len()].as_bytes());
            slow
        })
    };
    let mut kept: Vec<TcpStream> = crowd().collect();
    for _ in 0..2 {
        for path in ["/healthz", "/metrics"] {
            let asked = clock::now();
            let (status, _) = ask(fleet.router(), &format!("GET {path}"), "");
            let took = clock::now() - asked;
            assert_eq!(status, 200);
            assert!(took < Duration::from_secs(2), "{path} took {took:?}");
        }
        // Who was sent away comes again.
        kept.extend(crowd().take(SLOW / 2));
    }
}
