//! A real server whose process is stopped: it is still connected to, and answers nothing.

use std::thread;

use super::state;
use crate::support::clients::Login;
use crate::support::message::open_session;
use crate::support::router::TestRouter;
use crate::support::script::Script;
use crate::support::spark::Spark;
use crate::support::talk::Talk;
use crate::support::tools::{self, Tool};

use hs2router::cluster::health::State;
use hs2router::fake::sasl::BAD;

#[test]
fn a_stopped_spark_is_ejected_and_all_but_the_logins_that_it_may_have_read_go_on_elsewhere() {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark]) {
        return;
    }
    let (spark, other) = (Spark::start(Login::Plain), Script::sound());
    let router = TestRouter::of("spark", &[spark.address(), other.address()]);
    let (at, fleet) = (router.listener(0), &router.router().fleets()[0]);
    fleet.drain(&fleet.cluster.coordinators()[1], None);
    let mut client = Talk::connect_sasl(at);
    client.open();
    spark.stop();
    client.say(&open_session());
    let login = thread::spawn(move || Talk::log_in(at, "u1", "p1"));
    let (_client, status, text) = login.join().unwrap();
    assert_eq!(status, BAD);
    assert!(text.contains("coordinator c1"), "{text}");
    assert_eq!(state(&router), State::Ejected);
    // The open that waited had nowhere to go.
    assert_eq!(client.hear().unwrap().error().0, "08S01");
    fleet.cluster.coordinators()[1].resume();
    for _ in 0..6 {
        assert!(other.minted(&Talk::connect_sasl(at).open()));
    }
    assert!(other.minted(&client.open()), "its connection is still good");
}
