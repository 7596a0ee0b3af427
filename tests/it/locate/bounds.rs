//! What strangers can cause by making handles up is bounded.

use std::thread;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Fault, Settings};

use super::{PING, STATUS, lookups, unknown};
use crate::support::fleet::{Fleet, id, refusal};
use crate::support::router::{TestRouter, eventually};

#[test]
fn a_handle_that_nobody_has_is_asked_for_once() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let nobodys = unknown(&session, 1);
    let mut operation = client.execute(&session, "select 1").unwrap();
    operation.operation_id.guid.clone_from(&nobodys.session_id.guid);
    for _ in 0..5 {
        for client in [&mut client, &mut fleet.hs2()] {
            refusal(client.ping(&nobodys));
            refusal(client.cancel(&operation));
        }
    }
    assert_eq!((fleet.calls(PING).len(), fleet.calls(STATUS).len()), (3 + 10, 3));
    assert_eq!((lookups(fleet.router(), "nowhere"), lookups(fleet.router(), "remembered")), (2, 18));
}

#[test]
fn two_calls_with_the_same_handle_at_the_same_time_ask_once() {
    let mut fleet = Fleet::of(3);
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    fleet.restart_router();
    for coordinator in fleet.coordinators() {
        coordinator.faults().always(PING, Fault::Delay(Duration::from_millis(300)));
    }
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let rows = fleet.hs2().query(&sessions[1], "select coordinator()").unwrap();
                assert_eq!(rows, [["c2"]]);
            });
        }
    });
    assert_eq!(fleet.calls(PING).len(), 3);
    assert_eq!((lookups(fleet.router(), "found"), lookups(fleet.router(), "joined")), (1, 7));
}

#[test]
fn who_waits_for_the_answer_to_a_question_asks_itself_when_the_asker_goes() {
    let mut fleet = Fleet::of(3);
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    fleet.restart_router();
    for coordinator in fleet.coordinators() {
        coordinator.faults().times(PING, Fault::Delay(Duration::from_secs(3)), 1);
    }
    let mut goes = fleet.hs2();
    let stream = goes.stream().try_clone().unwrap();
    let asks = thread::spawn({
        let session = sessions[1].clone();
        move || goes.ping(&session).is_err()
    });
    assert!(eventually(|| fleet.calls(PING).len() == 3));
    let joins = thread::spawn({
        let (mut client, session) = (fleet.hs2(), sessions[1].clone());
        move || client.query(&session, "select coordinator()").unwrap()
    });
    // A reset: to finish sending is not to go.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(stream);
    assert!(asks.join().unwrap());
    assert_eq!(joins.join().unwrap(), [["c2"]]);
}

#[test]
fn one_address_asks_so_much_and_no_more() {
    let fleet = Fleet::of(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let begun = clock::now();
    for number in 0..1_500 {
        let nobodys = unknown(&session, number);
        // With or without asking, the client gets a coordinator's own words.
        assert_eq!(
            refusal(client.ping(&nobodys)),
            format!("Invalid session id: {}\n", id(&nobodys.session_id))
        );
    }
    let took = clock::now() - begun;
    let allowed = 1_000 + 100 * (took.as_secs() + 1);
    let (asked, limited) = (lookups(fleet.router(), "nowhere"), lookups(fleet.router(), "limited"));
    assert!(asked <= allowed, "{asked} in {took:?}");
    assert_eq!(asked + limited, 1_500);
    assert_eq!(fleet.calls(PING).len() as u64, 1_500 + asked);
    client.ping(&session).unwrap();
}

#[test]
fn what_nobody_had_is_asked_for_again_when_a_coordinator_was_restarted() {
    let coordinator = Coordinator::start(Settings::default()).unwrap();
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nflavor = \"impala\"\n\
         probe = {{ interval = \"1h\" }}\nload = {{ interval = \"100ms\" }}\n\
         coordinators = [{{ host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = {} }}]\n",
        coordinator.hs2().port(),
        coordinator.web().port(),
    ));
    let mut client = Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap();
    let nobodys = unknown(&client.open(&[]).unwrap(), 1);
    refusal(client.ping(&nobodys));
    refusal(client.ping(&nobodys));
    assert_eq!((lookups(&router, "nowhere"), lookups(&router, "remembered")), (1, 1));
    coordinator.restart();
    assert!(eventually(|| {
        refusal(client.ping(&nobodys));
        lookups(&router, "nowhere") == 2
    }));
}
