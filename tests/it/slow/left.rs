//! A client that has finished sending gets the reply that is on its way, and nothing more is begun for it.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use crate::lost::WAYS;
use crate::support::message::{of_handle, open_session};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

/// Coordinators that hang up on every call of this name, once nobody holds the other end any more.
fn fleet(method: &'static str) -> (Vec<Script>, Sender<()>) {
    let (go, told) = channel();
    let told = Arc::new(Mutex::new(told));
    let scripts = (0..4).map(|_| {
        let told = Arc::clone(&told);
        Script::calls(move |call| {
            if call.message.name != method {
                return Act::Ordinary;
            }
            let _ended = told.lock().unwrap().recv();
            Act::Close
        })
    });
    (scripts.collect(), go)
}

fn count(scripts: &[Script], method: &str) -> usize {
    scripts.iter().map(|script| script.count(method)).sum()
}

fn router(scripts: &[Script]) -> TestRouter {
    let addresses: Vec<_> = scripts.iter().map(Script::address).collect();
    TestRouter::of("impala", &addresses)
}

#[test]
fn an_open_whose_client_has_left_is_tried_at_no_further_coordinator() {
    for way in WAYS {
        let (scripts, go) = fleet("OpenSession");
        let router = router(&scripts);
        let mut client = way(router.listener(0));
        client.say(&open_session());
        assert!(eventually(|| count(&scripts, "OpenSession") == 1));
        drop(client);
        drop(go);
        let coordinators = &router.router().fleets()[0].cluster.coordinators();
        assert!(eventually(|| coordinators.iter().all(|one| one.load().opens_in_progress == 0)));
        assert!(eventually(|| scripts.iter().all(|script| script.open() == 0)), "links are left");
        assert_eq!(count(&scripts, "OpenSession"), 1);
    }
}

#[test]
fn a_client_that_only_finished_sending_is_told_what_came_of_its_open() {
    for way in WAYS {
        let (scripts, go) = fleet("OpenSession");
        let router = router(&scripts);
        let mut client = way(router.listener(0));
        client.say(&open_session());
        assert!(eventually(|| count(&scripts, "OpenSession") == 1));
        client.finish();
        drop(go);
        let (sql_state, words) = client.hear().unwrap().error();
        assert_eq!(sql_state, "08S01", "{words}");
        assert_eq!(count(&scripts, "OpenSession"), 1);
    }
}

#[test]
fn a_client_that_finishes_sending_with_its_open_gets_its_session() {
    let (scripts, _go) = fleet("none");
    let router = router(&scripts);
    let mut client = Talk::connect(router.listener(0));
    client.say(&open_session());
    client.finish();
    assert_eq!(client.hear().unwrap().status(), Some(0));
}

#[test]
fn a_call_whose_client_has_left_is_not_sent_again() {
    for way in WAYS {
        let (scripts, go) = fleet("PingImpalaHS2Service");
        let router = router(&scripts);
        let mut client = way(router.listener(0));
        let session = client.open();
        client.say(&of_handle("PingImpalaHS2Service", &session));
        assert!(eventually(|| count(&scripts, "PingImpalaHS2Service") == 1));
        client.finish();
        drop(go);
        assert_eq!(client.hear().unwrap().error().0, "08S01");
        assert_eq!(count(&scripts, "PingImpalaHS2Service"), 1);
    }
}

#[test]
fn no_login_is_waited_for_whose_client_has_left() {
    let (scripts, _go) = fleet("none");
    let router = router(&scripts);
    let mut client = Talk::connect_sasl(router.listener(0));
    let session = client.open();
    let home = scripts.iter().find(|script| script.minted(&session)).unwrap();
    // Its link is gone, and for another one there is no thread.
    home.pause();
    home.cut();
    let came = home.came();
    client.say(&of_handle("PingImpalaHS2Service", &session));
    assert!(eventually(|| home.came() > came), "it was not dialed");
    client.finish();
    assert_eq!(client.rest(), b"");
    router.await_metric("hs2router_connections_closed_total{cause=\"client_reset\"}", 1.0);
    assert_eq!(scripts.iter().map(Script::credentials).sum::<usize>(), 1, "only the first login");
}
