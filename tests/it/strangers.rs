//! What somebody who has proven nothing can do to others: little.

use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::Settings;
use hs2router::fake::sasl::{COMPLETE, ERROR, OK, START, negotiation, plain};
use hs2router::ids::Service;

use super::support::elsewhere::{ELSEWHERE, connect_from as connect_to};
use super::support::fleet::{Door, Fleet, Plan, USERS};
use super::support::message::{DOUBTFUL, doubtful, execute, of_handle, open_session};
use super::support::router::{SELDOM, TestRouter, eventually};
use super::support::script::{Act, Script, WRONG};
use super::support::talk::{PATIENCE, Talk};

/// A client that comes from `address`.
fn connect_from(address: Ipv4Addr, fleet: &Fleet) -> Talk {
    connect_to(address, fleet.address(Door::Hs2))
}

/// A client that comes from `address` and has sent a name with a password.
fn log_in_from(address: Ipv4Addr, fleet: &Fleet, user: &str, password: &str) -> Talk {
    let mut talk = connect_from(address, fleet);
    talk.send(&negotiation(START, b"PLAIN"));
    talk.send(&negotiation(OK, format!("\0{user}\0{password}").as_bytes()));
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

#[test]
fn clients_that_a_balancer_passes_on_wait_each_in_the_turn_of_its_own_address() {
    let cluster = "service_threads = 2\nreserve = 1\nshare_links = false\nqueue_length = 3";
    let listener = format!("proxy_protocol_from = [\"{ELSEWHERE}\"]");
    let settings = Settings { service_threads: 2, ..Settings::default() };
    let fleet = Fleet::with(Plan {
        coordinators: 1,
        users: &USERS,
        cluster,
        listener: &listener,
        settings,
        ..Plan::default()
    });
    let mut ann = fleet.hs2();
    ann.open(&[]).unwrap();
    let log_in = |client: &str, user: &str, password: &str| {
        let mut talk = connect_from(ELSEWHERE, &fleet);
        talk.send(format!("PROXY TCP4 {client} 198.51.100.1 40000 21050\r\n").as_bytes());
        talk.send(&negotiation(START, b"PLAIN"));
        talk.send(&negotiation(OK, format!("\0{user}\0{password}").as_bytes()));
        talk
    };
    let mut invented: Vec<_> = (0..3)
        .map(|number| {
            let talk = log_in("192.0.2.1", &format!("nobody{number}"), "guess");
            assert!(eventually(|| waiting(&fleet) == number + 1));
            talk
        })
        .collect();
    // By the balancer's own address they would all be one.
    let mut bob = log_in("192.0.2.2", "bob", "bbo");
    assert_eq!(invented.last_mut().unwrap().sasl_message().unwrap().0, ERROR);
    assert_eq!(waiting(&fleet), 3, "bob among them");
    drop(ann);
    assert_eq!(bob.sasl_message().unwrap(), (COMPLETE, Vec::new()));
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

/// Sends a byte every few milliseconds until the other side ends the connection, or it has gone on for far
/// too long.
fn trickle(talk: &mut Talk) -> bool {
    talk.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let begun = clock::now();
    while clock::now() - begun < PATIENCE {
        let ended = |result: io::Result<usize>| {
            result.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |bytes| bytes == 0)
        };
        // Its own pace: there is nothing to wait for but the end.
        if talk.stream.write_all(b" ").is_err() || ended(talk.stream.read(&mut [0])) {
            return true;
        }
    }
    false
}

#[test]
fn who_sends_a_byte_now_and_then_holds_neither_a_link_nor_memory_for_long() {
    let router = "stall_timeout = \"2s\"\nreplay_limit = \"4KiB\"";
    let fleet = Fleet::with(Plan { coordinators: 1, router, ..Plan::default() });
    let links = || {
        let known = fleet.known();
        known.room_of(&known.cluster.coordinators()[0], Service::Hs2).unwrap().0
    };
    // The first is passed on as it comes, the second is held.
    for (sent, cut) in [(8 << 10, 1.0), (2 << 10, 2.0)] {
        let mut slow = Talk::connect(fleet.address(Door::Hs2));
        let session = slow.open();
        let request = execute(&session, &" ".repeat(1 << 20)).encode();
        slow.send(&request[..sent]);
        let streams = sent > 4 << 10;
        assert!(!streams || eventually(|| links().idle < links().links), "it has a link");
        assert!(trickle(&mut slow), "it was not cut");
        let series = "hs2router_connections_closed_total{cause=\"client_stalled\"}";
        fleet.router().await_metric(series, cut);
        assert!(!streams || eventually(|| links().links == 0), "half a request is on that link");
        assert!(streams || links().links == 1, "it never had a link");
        let log = fleet.router().logs().text();
        assert!(log.contains("the client was too slow: less than 4096 bytes of a request a second"), "{log}");
    }
}

#[test]
fn a_wrong_password_keeps_no_session_away_from_the_coordinator_that_judged_it() {
    let fleet = Fleet::secured(2);
    let (_, status, _) = Talk::log_in(fleet.address(Door::Hs2), "ann", "guess");
    assert_ne!(status, COMPLETE);
    let mut client = fleet.hs2();
    for _ in 0..8 {
        client.open(&[]).unwrap();
    }
    assert_eq!(fleet.spread(), [4, 4]);
}

#[test]
fn refused_logins_are_logged_with_who_and_from_where_and_not_without_end() {
    let fleet = Fleet::secured(1);
    let begun = clock::now();
    // At once: one after the other they would be slowed down.
    let logins: Vec<Talk> =
        (0..60).map(|_| log_in_from(Ipv4Addr::LOCALHOST, &fleet, "mallory\n", WRONG)).collect();
    for mut login in logins {
        assert_ne!(login.sasl_message().unwrap().0, COMPLETE);
    }
    let seconds = (clock::now() - begun).as_secs();
    let (log, listener) = (fleet.router().logs().text(), fleet.address(Door::Hs2));
    let lines: Vec<_> = log.lines().filter(|line| line.contains("login refused")).collect();
    assert!((20..=21 + seconds).contains(&(lines.len() as u64)), "{} in {seconds} s", lines.len());
    for said in [" INFO ", "user=\"mallory\\n\"", "client=127.0.0.1:", &format!("listener={listener}")] {
        assert!(lines[0].contains(said), "{said}: {}", lines[0]);
    }
    assert!(!log.contains(WRONG));
}

/// A NOSASL coordinator with so many threads; the router's times are short.
fn with_threads(threads: usize, cluster: &str) -> Fleet {
    let settings = Settings { service_threads: threads, ..Settings::default() };
    let cluster = format!("service_threads = {threads}\nreserve = 1\n{cluster}");
    let router = "handshake_timeout = \"10m\"";
    Fleet::with(Plan { coordinators: 1, cluster: &cluster, router, settings, ..Plan::default() })
}

/// How many connections the coordinator serves.
fn served(fleet: &Fleet) -> usize {
    fleet.coordinator(0).connections()
}

/// What impalad takes for the length of a name that is still to come.
const UNKNOWN: &[u8] = b"\0\x10\0\0unknown bytes";

#[test]
fn an_address_that_proves_nothing_leaves_threads_to_others_whatever_it_says() {
    let gssapi = [negotiation(START, b"GSSAPI"), negotiation(OK, b"a token")].concat();
    let plain = plain("nobody", b"guess");
    for greeting in [UNKNOWN, &gssapi, &plain] {
        // No waiting: what there is must be enough.
        let fleet = with_threads(9, "queue_timeout = \"200ms\"");
        let strangers: Vec<_> = (0..20)
            .map(|_| {
                let mut talk = connect_from(Ipv4Addr::LOCALHOST, &fleet);
                talk.send(greeting);
                talk
            })
            .collect();
        assert!(eventually(|| served(&fleet) >= 6), "{} connections", served(&fleet));
        let mut client = connect_from(ELSEWHERE, &fleet);
        let session = client.open();
        for _ in 0..3 {
            assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
        }
        assert_eq!(served(&fleet), 7, "six of eight are the share of an address");
        drop(strangers);
    }
}

#[test]
fn a_client_that_left_while_it_logged_in_holds_no_thread() {
    // A coordinator that does not ask for a login waits for more, and the router for its verdict.
    let fleet = with_threads(9, "");
    for round in 0..30 {
        let talk = log_in_from(Ipv4Addr::LOCALHOST, &fleet, "nobody", "guess");
        assert!(eventually(|| served(&fleet) == 1), "round {round}");
        // An orderly end, as of a program that gives up.
        drop(talk);
        assert!(eventually(|| served(&fleet) == 0), "round {round}");
    }
}

#[test]
fn what_is_relayed_in_silence_gives_way_to_whoever_waits() {
    let fleet = with_threads(4, "address_share = 1");
    let mut silent: Vec<_> = (0..3)
        .map(|_| {
            let mut talk = connect_from(Ipv4Addr::LOCALHOST, &fleet);
            talk.send(UNKNOWN);
            talk
        })
        .collect();
    assert!(eventually(|| served(&fleet) == 3), "all threads but the one for cancels");
    let mut client = connect_from(ELSEWHERE, &fleet);
    client.open();
    let cut = "hs2router_connections_closed_total{cause=\"gave_way\"}";
    fleet.router().await_metric(cut, 1.0);
    assert!(
        silent.remove(0).stream.read(&mut [0]).is_err(),
        "the oldest gave way, and not in an orderly way"
    );
    assert_eq!(served(&fleet), 3);
}

#[test]
fn who_is_refused_because_its_address_has_its_share_is_told_so() {
    let fleet = with_threads(4, "queue_timeout = \"200ms\"\nshare_links = false");
    let mut first = [(), ()].map(|()| connect_from(Ipv4Addr::LOCALHOST, &fleet));
    for talk in &mut first {
        talk.open();
    }
    let refusal = refusal_of_open(&mut connect_from(Ipv4Addr::LOCALHOST, &fleet)).unwrap();
    assert!(refusal.contains("uses its whole share of the service threads (address_share)"), "{refusal}");
    let mut other = connect_from(ELSEWHERE, &fleet);
    assert_eq!(refusal_of_open(&mut other), None);
    let refusal = refusal_of_open(&mut connect_from(Ipv4Addr::LOCALHOST, &fleet)).unwrap();
    assert!(refusal.contains("all service threads are in use"), "{refusal}");
}

/// A router in front of one coordinator, with these keys of its cluster.
fn in_front_of(script: &Script, cluster: &str) -> TestRouter {
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[cluster]]\nname = \"test\"\nflavor = \"impala\"\n{SELDOM}\n{cluster}\n\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = 0 }}]\n",
        script.address().port()
    ))
}

#[test]
fn requests_of_which_nobody_knows_the_end_leave_threads_to_others_and_none_is_kept_for_their_client() {
    // A coordinator that waits for more of them.
    let script =
        Script::calls(|call| if call.message.name == DOUBTFUL { Act::Silence } else { Act::Ordinary });
    let router = in_front_of(&script, "service_threads = 9\nreserve = 1\nqueue_timeout = \"200ms\"");
    let connect = |address| connect_to(address, router.listener(0));
    let mut strangers: Vec<_> = (0..20).map(|_| connect(Ipv4Addr::LOCALHOST)).collect();
    for talk in &mut strangers {
        talk.say(&doubtful());
    }
    assert!(eventually(|| script.open() == 6), "{} connections", script.open());
    connect(ELSEWHERE).open();
    for talk in &strangers {
        talk.finish();
    }
    assert!(eventually(|| script.open() <= 1), "{} are still waited on", script.open());
}

#[test]
fn opens_that_nobody_waits_for_give_way_to_whoever_waits() {
    let script = Script::calls(|call| if call.place < 3 { Act::Silence } else { Act::Ordinary });
    let router = in_front_of(&script, "service_threads = 4\nreserve = 1\naddress_share = 1");
    for number in 1..=3 {
        let mut talk = connect_to(Ipv4Addr::LOCALHOST, router.listener(0));
        talk.say(&open_session());
        assert!(
            eventually(|| script.count("OpenSession") == number),
            "{} opens",
            script.count("OpenSession")
        );
        talk.reset();
    }
    connect_to(ELSEWHERE, router.listener(0)).open();
}

#[test]
fn what_is_passed_on_to_a_port_for_http_gives_way_to_nobody() {
    let (answer, told) = channel();
    let told = Mutex::new(told);
    let script = Script::raw(move |mut stream, _| {
        if stream.read_exact(&mut [0; 4]).is_ok() && told.lock().unwrap().recv().is_ok() {
            stream.write_all(b"HTTP").unwrap();
        }
    });
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2-http\"\n[[cluster]]\nname = \"test\"\nflavor = \"impala\"\n\
         {SELDOM}\nservice_threads = 3\nreserve = 1\naddress_share = 1\nqueue_timeout = \"2500ms\"\n\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = 0, beeswax = 0, hs2_http = {}, web = 0 }}]\n",
        script.address().port()
    ));
    let mut clients: Vec<_> = (0..3).map(|_| connect_to(Ipv4Addr::LOCALHOST, router.listener(0))).collect();
    for client in &mut clients {
        client.send(b"\x16\x03\x01\x00\x20");
    }
    // One finds no room. As long as it waited, the others could have been told to go.
    router.await_metric("hs2router_connections_refused_total{cause=\"no_room\"}", 1.0);
    (0..2).for_each(|_| answer.send(()).unwrap());
    let answered =
        clients.into_iter().filter_map(|mut client| (client.rest() == b"HTTP").then_some(())).count();
    assert_eq!(answered, 2);
}
