//! What somebody who has proven nothing can do to others: little.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hs2router::fake::Settings;
use socket2::{Domain, Socket, Type};

use super::support::fleet::{Door, Fleet, Plan, USERS};
use super::support::router::eventually;
use super::support::talk::{COMPLETE, ERROR, Framing, OK, START, Talk, sasl};
use super::support::thrift::{of_handle, open_session};

/// Another address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A client that comes from `address`.
fn connect_from(address: Ipv4Addr, fleet: &Fleet) -> Talk {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::V4(address), 0).into()).unwrap();
    socket.connect(&fleet.address(Door::Hs2).into()).unwrap();
    Talk::over(socket.into(), Framing::None)
}

/// A client that comes from `address` and has sent a name with a password.
fn log_in_from(address: Ipv4Addr, fleet: &Fleet, user: &str, password: &str) -> Talk {
    let mut talk = connect_from(address, fleet);
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

/// Opens a session; what it is told if that is refused.
fn refusal_of_open(talk: &mut Talk) -> Option<String> {
    let reply = talk.call(&open_session());
    (reply.status() != Some(0)).then(|| reply.error().1)
}

#[test]
fn nobody_fills_the_session_table_for_others() {
    let fleet = Fleet::with(Plan { coordinators: 1, router: "session_table_size = 6", ..Plan::default() });
    let mut greedy = connect_from(Ipv4Addr::LOCALHOST, &fleet);
    let first = greedy.open();
    greedy.open();
    // Another connection makes no difference.
    let mut again = connect_from(Ipv4Addr::LOCALHOST, &fleet);
    assert_eq!(refusal_of_open(&mut again), None);
    let refusal = refusal_of_open(&mut again).unwrap();
    assert!(refusal.contains("has 3 sessions") && refusal.contains("session_table_size"), "{refusal}");
    let refused = "hs2router_connections_refused_total{cause=\"too_many_sessions\"}";
    fleet.router().await_metric(refused, 1.0);
    let mut other = connect_from(ELSEWHERE, &fleet);
    assert_eq!(refusal_of_open(&mut other), None, "there is room for others");
    assert_eq!(fleet.spread(), [4], "what is refused reaches nobody");
    // What is closed makes room again.
    assert_eq!(greedy.call(&of_handle("CloseSession", &first)).status(), Some(0));
    assert_eq!(refusal_of_open(&mut again), None);
}
