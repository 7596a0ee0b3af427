//! What somebody who has proven nothing can do to others: little.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hs2router::fake::Settings;
use socket2::{Domain, Socket, Type};

use super::support::fleet::{Door, Fleet, Plan, USERS};
use super::support::router::eventually;
use super::support::talk::{COMPLETE, ERROR, Framing, OK, START, Talk, sasl};

/// Another address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A client that comes from `address` and has sent a name with a password.
fn log_in_from(address: Ipv4Addr, fleet: &Fleet, user: &str, password: &str) -> Talk {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::V4(address), 0).into()).unwrap();
    socket.connect(&fleet.address(Door::Hs2).into()).unwrap();
    let mut talk = Talk::over(socket.into(), Framing::None);
    talk.send(&sasl(START, b"PLAIN"));
    talk.send(&sasl(OK, format!("\0{user}\0{password}").as_bytes()));
    talk
}

fn waiting(fleet: &Fleet) -> i64 {
    fleet.known().queue.waiting.get()
}

#[test]
fn invented_names_from_one_address_keep_nobody_else_out_of_the_queue() {
    let cluster = "service_threads = 2\nreserve = 1\nshare_links = false\nqueue_length = 3";
    let settings = Settings { service_threads: 2, ..Settings::default() };
    let fleet = Fleet::with(Plan { coordinators: 1, users: &USERS, cluster, settings, ..Plan::default() });
    let mut ann = fleet.hs2();
    ann.open(&[]).unwrap();
    let mut invented: Vec<_> = (0..3)
        .map(|number| {
            let talk = log_in_from(Ipv4Addr::LOCALHOST, &fleet, &format!("nobody{number}"), "guess");
            assert!(eventually(|| waiting(&fleet) == number + 1));
            talk
        })
        .collect();
    let full = "3 wait already (queue_length)";
    let refusal = |talk: &mut Talk| {
        let (status, text) = talk.sasl_message().unwrap();
        (status, String::from_utf8(text).unwrap())
    };
    let (status, text) = refusal(&mut log_in_from(Ipv4Addr::LOCALHOST, &fleet, "nobody3", "guess"));
    assert!(status == ERROR && text.contains(full), "{text}");
    let mut bob = log_in_from(ELSEWHERE, &fleet, "bob", "bbo");
    let (status, text) = refusal(invented.last_mut().unwrap());
    assert!(status == ERROR && text.contains(full), "{text}");
    assert_eq!(waiting(&fleet), 3, "bob among them");
    drop(ann);
    assert_eq!(bob.sasl_message().unwrap(), (COMPLETE, Vec::new()));
    fleet.router().await_metric("hs2router_queue_waits_total{cluster=\"test\",outcome=\"queue_full\"}", 2.0);
}
