//! Room: no connection of the router's ever waits in a coordinator's accept queue; what fits nowhere waits in
//! the router, and is told so; clients share what there is.

use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::idl::t_c_l_i_service::{TSessionHandle, TTCLIServiceSyncClient as _};
use hs2router::ids::Service;

use super::support::fleet::{Door, Fleet, Plan, refusal_and_state};
use super::support::message::{Message, Value, execute};
use super::support::router::{TestRouter, eventually};
use super::support::talk::Talk;

/// A statement whose rows do not come for as long as a test takes.
const BLOCKING: &str = "select sleep(600000)";

/// A fleet of so many coordinators with so many service threads each.
fn fleet(coordinators: usize, threads: usize, keys: &str) -> Fleet {
    let settings =
        Settings { service_threads: threads, fetch_timeout: Duration::from_mins(1), ..Settings::default() };
    // All clients come from one address.
    let cluster = format!("service_threads = {threads}\naddress_share = 1\n{keys}");
    Fleet::with(Plan { coordinators, cluster: &cluster, settings, ..Plan::default() })
}

/// How many wait in the router's queue.
fn waiting(fleet: &Fleet) -> i64 {
    fleet.known().queue.waiting.get()
}

/// Links to each coordinator.
fn links(fleet: &Fleet) -> Vec<u32> {
    let known = fleet.known();
    let of = |one| known.room_of(one, Service::Hs2).map_or(0, |(room, _)| room.links);
    known.cluster.coordinators().iter().map(|one| of(one)).collect()
}

/// A client with a session, and a thread in which it waits for rows that do not come.
fn block(fleet: &Fleet, client: Hs2Client, session: &TSessionHandle) -> Blocked {
    let mut client = client;
    let operation = client.execute(session, BLOCKING).unwrap();
    let stream = client.stream().try_clone().unwrap();
    let before = fleet.calls("FetchResults").len();
    let fetched = operation.clone();
    let thread = thread::spawn(move || drop(client.fetch(&fetched, 1)));
    assert!(eventually(|| fleet.calls("FetchResults").len() > before || waiting(fleet) > 0));
    Blocked { operation, stream, thread }
}

/// So many clients with a session each, which do likewise.
fn block_new(fleet: &Fleet, clients: usize) -> Vec<Blocked> {
    let one = |_| {
        let mut client = fleet.hs2();
        let session = client.open(&[]).unwrap();
        block(fleet, client, &session)
    };
    (0..clients).map(one).collect()
}

struct Blocked {
    operation: hs2router::idl::t_c_l_i_service::TOperationHandle,
    stream: std::net::TcpStream,
    thread: thread::JoinHandle<()>,
}

impl Blocked {
    fn end(self) {
        drop(self.stream.shutdown(Shutdown::Both));
        self.thread.join().unwrap();
    }
}

#[test]
fn a_session_that_fits_nowhere_waits_and_is_told_why_it_was_refused() {
    let fleet = fleet(2, 3, "share_links = false\nreserve = 1\nqueue_timeout = \"300ms\"");
    let mut clients: Vec<_> = (0..4).map(|_| fleet.hs2()).collect();
    for client in &mut clients {
        client.open(&[]).unwrap();
    }
    assert_eq!(links(&fleet), [2, 2]);
    let begun = clock::now();
    let (message, state) = refusal_and_state(fleet.hs2().open(&[]));
    assert!(clock::now() - begun >= Duration::from_millis(300));
    assert!(message.contains("none became free within 300ms (queue_timeout)"), "{message}");
    assert_eq!(state, "08004");
    assert_eq!(fleet.coordinators().map(Coordinator::connections).sum::<usize>(), 4, "nothing was dialed");
}

#[test]
fn a_session_that_waits_goes_where_there_is_room_first() {
    let fleet = fleet(2, 3, "share_links = false\nreserve = 1");
    let mut clients: Vec<_> = (0..4).map(|_| fleet.hs2()).collect();
    let sessions: Vec<_> = clients.iter_mut().map(|client| client.open(&[]).unwrap()).collect();
    let freed = fleet.owner(&sessions[3]);
    let mut next = fleet.hs2();
    thread::scope(|scope| {
        let opened = scope.spawn(move || next.open(&[]).map(|session| (next, session)));
        assert!(eventually(|| waiting(&fleet) == 1));
        drop(clients.pop());
        let (_next, session) = opened.join().unwrap().unwrap();
        assert_eq!(fleet.owner(&session), freed);
    });
    assert_eq!(waiting(&fleet), 0);
}

#[test]
fn a_client_that_leaves_waits_no_longer() {
    let fleet = fleet(1, 2, "share_links = false\nreserve = 1");
    let mut first = fleet.hs2();
    first.open(&[]).unwrap();
    let mut second = fleet.hs2();
    let stream = second.stream().try_clone().unwrap();
    let thread = thread::spawn(move || second.open(&[]).is_err());
    assert!(eventually(|| waiting(&fleet) == 1));
    stream.shutdown(Shutdown::Both).unwrap();
    assert!(thread.join().unwrap());
    assert!(eventually(|| waiting(&fleet) == 0));
}

#[test]
fn so_many_may_wait_and_no_more() {
    let fleet = fleet(1, 2, "share_links = false\nreserve = 1\nqueue_length = 0");
    let mut first = fleet.hs2();
    first.open(&[]).unwrap();
    let (message, state) = refusal_and_state(fleet.hs2().open(&[]));
    assert!(message.contains("0 wait already (queue_length)"), "{message}");
    assert_eq!(state, "08004");
}

#[test]
fn idle_clients_of_one_identity_share_their_links() {
    let fleet = fleet(1, 4, "");
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mut client = fleet.hs2();
            let session = client.open(&[]).unwrap();
            (client, session)
        })
        .collect();
    for (mut client, session) in clients {
        assert_eq!(client.query(&session, "select 1").unwrap(), [["1"]]);
    }
    // A client may have its reply a moment before its link is free for the next one.
    let held = fleet.coordinator(0).connections();
    assert!(held <= 2, "{held}");
    assert_eq!(links(&fleet), [u32::try_from(held).unwrap()]);
}

#[test]
fn blocked_fetches_do_not_block_a_cancel() {
    let fleet = fleet(1, 8, "reserve = 2");
    let blocked = block_new(&fleet, 6);
    assert_eq!(waiting(&fleet), 0, "six of eight threads may wait for rows");
    let mut other = fleet.hs2();
    let begun = clock::now();
    other.cancel(&blocked[0].operation).unwrap();
    assert!(clock::now() - begun < Duration::from_secs(5));
    for one in blocked {
        one.end();
    }
}

#[test]
fn a_cancel_that_comes_slowly_does_not_hold_the_link_of_one_that_is_there() {
    let fleet = fleet(1, 3, "reserve = 1");
    let mut slow = Talk::connect(fleet.address(Door::Hs2));
    let session = slow.open();
    let operation = slow.call(&execute(&session, "select 1")).handle(&[0, 2]);
    let blocked = block_new(&fleet, 2);
    // Longer than what is held, and its end does not come.
    let padding = Value::Bytes(vec![b' '; 400 << 10]);
    let cancel =
        Message::call("CancelOperation", vec![(1, Value::Struct(vec![(1, operation), (99, padding)]))]);
    slow.send(&cancel.encode()[..300 << 10]);
    assert!(eventually(|| waiting(&fleet) == 1), "it has no right to the link that is kept");
    fleet.hs2().cancel(&blocked[0].operation).unwrap();
    drop(slow);
    for one in blocked {
        one.end();
    }
}

#[test]
fn a_call_that_waits_for_a_link_gets_the_first_that_is_free() {
    let fleet = fleet(1, 3, "reserve = 1");
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let blocked = block_new(&fleet, 2);
    thread::scope(|scope| {
        let asked = scope.spawn(move || client.ping(&session));
        assert!(eventually(|| waiting(&fleet) == 1));
        fleet.hs2().cancel(&blocked[0].operation).unwrap();
        asked.join().unwrap().unwrap();
    });
    for one in blocked {
        one.end();
    }
}

#[test]
fn links_of_one_user_never_carry_calls_of_another() {
    let users = [("ann", "nna"), ("bob", "bbo")];
    let fleet = Fleet::with(Plan { coordinators: 1, users: &users, ..Plan::default() });
    let mut clients: Vec<_> = (0..20)
        .map(|number| {
            let (name, password) = users[number % 2];
            let mut client = fleet.hs2_as(name, password);
            let session = client.open(&[]).unwrap();
            (name, client, session)
        })
        .collect();
    for (name, client, session) in &mut clients {
        assert_eq!(client.query(session, "select user()").unwrap(), [[(*name).to_owned()]]);
    }
    assert!(links(&fleet)[0] <= 20);
}

#[test]
fn a_wrong_password_gets_nothing_from_the_links_of_that_name() {
    let fleet = Fleet::with(Plan { coordinators: 1, users: &[("ann", "nna")], ..Plan::default() });
    let mut ann = fleet.hs2();
    ann.open(&[]).unwrap();
    assert!(Hs2Client::connect(fleet.address(Door::Hs2), &Login::plain("ann", "guess")).is_err());
}

#[test]
fn many_more_users_than_threads_are_all_served() {
    const USERS: usize = 60;
    let names: Vec<_> = (0..USERS).map(|number| (format!("u{number}"), format!("p{number}"))).collect();
    let users: Vec<_> = names.iter().map(|(name, password)| (name.as_str(), password.as_str())).collect();
    let settings = Settings { service_threads: 4, ..Settings::default() };
    let plan =
        Plan { coordinators: 2, users: &users, cluster: "service_threads = 4", settings, ..Plan::default() };
    let fleet = Fleet::with(plan);
    let mut clients: Vec<_> = users
        .iter()
        .map(|(name, password)| {
            let mut client = fleet.hs2_as(name, password);
            let session = client.open(&[]).unwrap();
            (*name, client, session)
        })
        .collect();
    for _ in 0..2 {
        for (name, client, session) in &mut clients {
            assert_eq!(client.query(session, "select user()").unwrap(), [[(*name).to_owned()]]);
        }
    }
    assert!(links(&fleet).iter().all(|links| *links <= 4), "{:?}", links(&fleet));
}

#[test]
fn a_client_that_vanishes_in_a_call_leaves_its_link_counted_until_it_is_clean() {
    let fleet = fleet(1, 4, "");
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    fleet.coordinator(0).faults().once("GetInfo", Fault::DelayReply(Duration::from_millis(500)));
    client.stream().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let request = hs2router::idl::t_c_l_i_service::TGetInfoReq::new(
        session.clone(),
        hs2router::idl::t_c_l_i_service::TGetInfoType::CLI_SERVER_NAME,
    );
    drop(client.service().get_info(request));
    socket2::SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert!(eventually(|| fleet
        .known()
        .room_of(&fleet.known().cluster.coordinators()[0], Service::Hs2)
        .unwrap()
        .0
        .idle
        == 1));
    assert_eq!(links(&fleet), [1], "read out and put back");
    let begun: Instant = clock::now();
    fleet.hs2().ping(&session).unwrap();
    assert!(clock::now() - begun < Duration::from_secs(5));
    assert_eq!(fleet.coordinator(0).connections(), 1);
}

/// One coordinator that closes sessions without links after 2 s, and a router that knows of it.
fn hasty(keys: &str) -> Fleet {
    let settings = Settings { disconnected_session_timeout: Duration::from_secs(2), ..Settings::default() };
    let cluster = format!("disconnected_session_timeout = \"1500ms\"\n{keys}");
    Fleet::with(Plan { coordinators: 1, cluster: &cluster, settings, ..Plan::default() })
}

#[test]
fn a_session_whose_links_are_gone_is_touched_while_its_client_is_idle() {
    let fleet = hasty("");
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let begun = clock::now();
    while clock::now() - begun < Duration::from_secs(5) {
        let before = fleet.calls("PingImpalaHS2Service").len();
        fleet.coordinator(0).cut_connections();
        assert!(eventually(|| fleet.calls("PingImpalaHS2Service").len() > before), "it was not touched");
    }
    client.ping(&session).unwrap();
}

#[test]
fn a_session_whose_idle_timeout_is_over_is_not_kept_by_touches() {
    let fleet = hasty("");
    let mut client = fleet.hs2();
    client.open(&[("idle_session_timeout", "1")]).unwrap();
    assert_eq!(fleet.coordinator(0).open_sessions().len(), 1);
    let gone = || {
        fleet.coordinator(0).cut_connections();
        fleet.coordinator(0).open_sessions().is_empty()
    };
    assert!(eventually(gone));
    assert!(fleet.calls("PingImpalaHS2Service").len() <= 2, "{:?}", fleet.calls("PingImpalaHS2Service"));
}

#[test]
fn without_a_disconnected_session_timeout_nothing_is_shared() {
    let fleet = fleet(1, 8, "disconnected_session_timeout = \"0s\"");
    let mut clients: Vec<_> = (0..3).map(|_| fleet.hs2()).collect();
    for client in &mut clients {
        client.open(&[]).unwrap();
    }
    assert_eq!(links(&fleet), [3]);
}

#[test]
fn a_session_that_nobody_came_back_for_is_closed() {
    let plan = Plan { coordinators: 1, router: "client_lost_grace = \"0s\"", ..Plan::default() };
    let fleet = Fleet::with(plan);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    client.execute(&session, BLOCKING).unwrap();
    drop(client);
    // The router looks for such sessions every 15 s.
    let closed = || eventually(|| fleet.coordinator(0).open_sessions().is_empty());
    assert!((0..4).any(|_| closed()), "it was not closed");
    assert_eq!(fleet.coordinator(0).open_operations(), 0);
    assert!(eventually(|| fleet.known().table.sessions() == 0));
}

#[test]
fn the_session_of_a_probe_takes_a_place_like_any_other() {
    let coordinator = Coordinator::start(Settings { service_threads: 3, ..Settings::default() }).unwrap();
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nname = \"test\"\n\
         probe = {{ interval = \"1s\", timeout = \"1s\" }}\nload = {{ interval = \"1h\" }}\n\
         service_threads = 3\nreserve = 1\nqueue_timeout = \"300ms\"\nshare_links = false\n\
         coordinators = [{{ host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = 0 }}]\n",
        coordinator.hs2().port()
    ));
    let connect = || Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap();
    let mut client = connect();
    let session = client.open(&[]).unwrap();
    let fleet = &router.router().fleets()[0];
    let room = || fleet.room_of(&fleet.cluster.coordinators()[0], Service::Hs2).unwrap().0;
    assert!(eventually(|| coordinator.open_sessions().len() == 2), "a probe opens a session of its own");
    assert_eq!((room().links, coordinator.connections()), (2, 2));
    let (message, _) = refusal_and_state(connect().open(&[]));
    assert!(message.contains("none became free within 300ms"), "{message}");
    client.ping(&session).unwrap();
    assert_eq!(coordinator.connections(), 2);
    drop(client);
    assert!(eventually(|| room().links == 1));
    connect().open(&[]).unwrap();
}

#[test]
fn a_router_that_ends_leaves_no_link_behind() {
    let mut fleet = fleet(1, 8, "");
    let mut client = fleet.hs2();
    client.open(&[]).unwrap();
    drop(client);
    assert!(eventually(|| fleet.coordinator(0).connections() == 1), "a link is kept for the session");
    fleet.restart_router();
    assert!(eventually(|| fleet.coordinator(0).connections() == 0));
}
