//! A link that its coordinator closed frees its place at once, whatever the client that it belongs to is
//! doing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::Settings;
use hs2router::fake::client::{BeeswaxClient, Hs2Client, Login};
use hs2router::ids::Service;

use super::support::fleet::{Door, Fleet, Plan};
use super::support::router::{TestRouter, eventually};

/// Less than it took until somebody else looked, and more than a busy machine needs.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Coordinators with eight service threads, as whose links each client has its own.
fn fleet(coordinators: usize, keys: &str) -> Fleet {
    let settings =
        Settings { service_threads: 8, fetch_timeout: Duration::from_mins(1), ..Settings::default() };
    let cluster = format!("service_threads = 8\nreserve = 2\naddress_share = 1\nshare_links = false\n{keys}");
    Fleet::with(Plan { coordinators, cluster: &cluster, settings, ..Plan::default() })
}

/// The links that one coordinator's port counts.
fn links(fleet: &Fleet, place: usize, service: Service) -> u32 {
    let known = fleet.known();
    known.room_of(&known.cluster.coordinators()[place], service).map_or(0, |(room, _)| room.links)
}

#[test]
fn idle_clients_of_a_coordinator_that_was_restarted_keep_no_place_from_a_new_one() {
    let fleet = fleet(1, "queue_timeout = \"30s\"");
    let mut idle: Vec<_> = (0..6).map(|_| fleet.hs2()).collect();
    for client in &mut idle {
        client.open(&[]).unwrap();
    }
    assert_eq!(links(&fleet, 0, Service::Hs2), 6, "as many as new sessions may use");
    fleet.coordinator(0).restart();
    let begun = clock::now();
    fleet.hs2().open(&[]).unwrap();
    assert!(clock::now() - begun < AT_ONCE, "{:?}", clock::now() - begun);
    assert!(eventually(|| links(&fleet, 0, Service::Hs2) <= 1), "links that are closed are still counted");
    // Whose link is gone gets another.
    for client in &mut idle {
        client.open(&[]).unwrap();
    }
}

#[test]
fn idle_beeswax_clients_of_a_coordinator_that_was_restarted_keep_no_place() {
    let fleet = fleet(1, "");
    let mut idle: Vec<_> = (0..6).map(|_| fleet.beeswax()).collect();
    for client in &mut idle {
        client.query("select 1").unwrap();
    }
    assert_eq!(links(&fleet, 0, Service::Beeswax), 6);
    fleet.coordinator(0).restart();
    assert!(eventually(|| links(&fleet, 0, Service::Beeswax) == 0), "they are closed and still counted");
    let begun = clock::now();
    let mut new = BeeswaxClient::connect(fleet.address(Door::Beeswax), fleet.login()).unwrap();
    new.query("select 1").unwrap();
    assert!(clock::now() - begun < AT_ONCE);
}

#[test]
fn a_link_that_ends_while_its_client_waits_for_another_coordinator_frees_its_place() {
    let fleet = fleet(2, "");
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let operation = client.execute(&sessions[0], "select sleep(600000)").unwrap();
    let stream = client.stream().try_clone().unwrap();
    let waiting = thread::spawn(move || drop(client.fetch(&operation, 1)));
    assert!(eventually(|| !fleet.calls("FetchResults").is_empty()));
    assert_eq!([links(&fleet, 0, Service::Hs2), links(&fleet, 1, Service::Hs2)], [1, 1]);
    fleet.coordinator(1).cut_connections();
    assert!(eventually(|| links(&fleet, 1, Service::Hs2) == 0), "it is closed and still counted");
    assert_eq!(links(&fleet, 0, Service::Hs2), 1, "the call is under way");
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    waiting.join().unwrap();
}

#[test]
fn a_coordinator_that_speaks_unasked_on_an_idle_link_loses_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let router = TestRouter::of("spark", &[listener.local_addr().unwrap()]);
    let client = thread::spawn({
        let address = router.listener(0);
        move || {
            let mut client = Hs2Client::connect(address, &Login::NoSasl).unwrap();
            drop(client.call_without_arguments("GetInfo"));
            client
        }
    });
    let (mut link, _) = listener.accept().unwrap();
    let mut request = [0; 64];
    let len = link.read(&mut request).unwrap();
    // The reply to a call that nobody knows: its own name and sequence id, and no fields.
    let mut reply = request[..len].to_vec();
    reply[3] = 2;
    link.write_all(&reply).unwrap();
    let _client = client.join().unwrap();
    let fleet = &router.router().fleets()[0];
    let links = || fleet.room_of(&fleet.cluster.coordinators()[0], Service::Hs2).unwrap().0.links;
    assert_eq!(links(), 1);
    link.write_all(b"unasked").unwrap();
    assert!(eventually(|| links() == 0), "what is no answer would be the next one's");
    link.set_read_timeout(Some(AT_ONCE)).unwrap();
    assert!(matches!(link.read(&mut request), Ok(0) | Err(_)));
}

#[test]
fn shared_links_of_a_coordinator_that_was_restarted_keep_no_place_from_a_new_client() {
    let settings = Settings { service_threads: 8, ..Settings::default() };
    let users: Vec<_> = (0..7).map(|number| (format!("u{number}"), format!("p{number}"))).collect();
    let users: Vec<_> = users.iter().map(|(name, password)| (name.as_str(), password.as_str())).collect();
    let cluster = "service_threads = 8\nreserve = 2\naddress_share = 1";
    let fleet = Fleet::with(Plan { coordinators: 1, users: &users, cluster, settings, ..Plan::default() });
    let mut idle: Vec<_> = users[..6].iter().map(|(name, password)| fleet.hs2_as(name, password)).collect();
    for client in &mut idle {
        client.open(&[]).unwrap();
    }
    fleet.coordinator(0).restart();
    let begun = clock::now();
    fleet.hs2_as(users[6].0, users[6].1).open(&[]).unwrap();
    assert!(clock::now() - begun < AT_ONCE);
    assert!(eventually(|| links(&fleet, 0, Service::Hs2) <= 1), "links that are closed are still counted");
}
