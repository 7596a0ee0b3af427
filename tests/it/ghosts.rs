//! Sessions that ended with their coordinator's process count no more, whoever has not noticed yet.

use hs2router::clock;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Manner, Settings};

use crate::support::fleet::{Fleet, Plan};
use crate::support::router::{TestRouter, eventually};

const SESSIONS: u32 = 20;

/// What the router counts on a coordinator: sessions, running operations, open operations.
fn counted(fleet: &Fleet, place: usize) -> (u32, u32, u32) {
    let coordinator = &fleet.known().cluster.coordinators()[place];
    let load = coordinator.load();
    (load.open_sessions, load.running_operations, coordinator.open_operations())
}

fn ghosts_leave(mut fleet: Fleet, restart: impl FnOnce(&mut Fleet)) {
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| fleet.hs2()).collect();
    let sessions: Vec<_> = clients.iter_mut().map(|client| client.open(&[]).unwrap()).collect();
    // What nobody comes back for counts no more, either.
    drop(clients.split_off(10));
    let running = clients[0].execute(&sessions[0], "select sleep(60000)").unwrap();
    assert_eq!(counted(&fleet, 0), (SESSIONS, 1, 1));
    let now = clock::now();
    let is_polled = fleet.known().cluster.coordinators()[0].ports.web.is_some();
    let has_told = || !is_polled || fleet.known().cluster.coordinators()[0].told_start_since(now);
    assert!(eventually(has_told), "its web port is polled");
    restart(&mut fleet);
    assert!(eventually(|| counted(&fleet, 0) == (0, 0, 0)), "still counted: {:?}", counted(&fleet, 0));
    assert!(clients[0].status(&running).is_err());
}

#[test]
fn sessions_of_a_former_process_leave_the_count_when_the_web_port_tells_another_start() {
    let watched = || Plan { coordinators: 1, watched: true, ..Plan::default() };
    ghosts_leave(Fleet::with(watched()), |fleet| fleet.coordinator(0).restart());
    let cluster = "move_idle_sessions = false";
    ghosts_leave(Fleet::with(Plan { cluster, ..watched() }), |fleet| fleet.coordinator(0).restart());
    let cluster = "share_links = false";
    ghosts_leave(Fleet::with(Plan { cluster, ..watched() }), |fleet| fleet.coordinator(0).restart());
}

#[test]
fn they_leave_it_where_no_web_port_tells_when_every_link_has_broken() {
    ghosts_leave(Fleet::of(1), |fleet| fleet.coordinator(0).restart());
    ghosts_leave(Fleet::of(1), |fleet| fleet.lose(0));
}

#[test]
fn a_session_that_is_opened_again_counts_again() {
    let fleet = Fleet::with(Plan { coordinators: 2, watched: true, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let owner = fleet.owner(&session);
    fleet.coordinator(owner).restart();
    assert!(eventually(|| counted(&fleet, owner) == (0, 0, 0)), "{:?}", counted(&fleet, owner));
    client.query(&session, "select 1").unwrap();
    assert_eq!((counted(&fleet, owner), counted(&fleet, 1 - owner)), ((0, 0, 0), (1, 0, 0)));
    client.close_session(&session).unwrap();
    fleet.await_idle();
}

#[test]
fn a_session_that_outlived_its_links_counts_again_with_its_next_call() {
    let fleet = Fleet::of(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    fleet.coordinator(0).cut_connections();
    assert!(eventually(|| counted(&fleet, 0) == (0, 0, 0)), "{:?}", counted(&fleet, 0));
    client.query(&session, "select 1").unwrap();
    assert_eq!(counted(&fleet, 0), (1, 0, 0), "the process was the same");
    client.query(&session, "select 1").unwrap();
    assert_eq!(counted(&fleet, 0), (1, 0, 0), "once");
    client.close_session(&session).unwrap();
    fleet.await_idle();
}

#[test]
fn a_session_that_a_new_process_opened_before_it_was_noticed_goes_on_counting() {
    let fleet = Fleet::with(Plan { coordinators: 1, watched: true, ..Plan::default() });
    let (mut client, mut next) = (fleet.hs2(), fleet.hs2());
    for _ in 0..10 {
        let _former = client.open(&[]).unwrap();
        fleet.coordinator(0).restart();
        let session = next.open(&[]).unwrap();
        assert!(eventually(|| counted(&fleet, 0).0 == 1), "{:?}", counted(&fleet, 0));
        next.query(&session, "select 1").unwrap();
        next.close_session(&session).unwrap();
        fleet.await_idle();
    }
}

/// Where links are not shared, a connection's next call finds that its link is broken.
#[test]
fn sessions_that_outlive_connections_but_not_their_process_leave_the_count() {
    for (outlives, key) in [(true, "sessions_outlive_connections = true"), (false, "")] {
        let manner = Manner::Hive { outlives };
        let coordinator = Coordinator::start(Settings { manner, ..Settings::default() }).unwrap();
        let router = TestRouter::start(&format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
             [[cluster]]\nname = \"test\"\nflavor = \"hive\"\nprobe = {{ interval = \"1h\" }}\n{key}\n\
             coordinators = [{{ host = \"127.0.0.1\", hs2 = {}, hs2_http = 0, web = 0 }}]\n",
            coordinator.hs2().port()
        ));
        let sessions = || router.router().fleets()[0].cluster.coordinators()[0].load().open_sessions;
        let mut client = Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap();
        // Of those on one connection only the last ends with it (Hive: `ThriftBinaryCLIService`
        // `deleteContext`).
        let opened: Vec<_> = (0..3).map(|_| client.open(&[]).unwrap()).collect();
        assert_eq!(sessions(), 3);
        coordinator.restart();
        assert!(client.execute(&opened[2], "select 1").is_err());
        assert!(eventually(|| sessions() == 0), "outlives {outlives}: {} are counted", sessions());
    }
}
