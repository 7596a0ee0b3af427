//! The same of `HiveServer2`, which has other words for it; and one that has as many sessions as it may.

use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Manner, Settings};

use crate::support::fleet::{id, is_valid, refusal_and_state};
use crate::support::router::TestRouter;

/// How Hive begins the refusal of a session.
const NO_SESSION: &str = "Cannot open sessions on an inactive HS2 instance";
/// How it begins the refusal of a statement.
const NO_STATEMENT: &str = "Unable to run new queries as HiveServer2 is decommissioned or inactive";

fn fleet(count: usize) -> (Vec<Coordinator>, TestRouter) {
    let manner = Manner::Hive { outlives: false };
    let start = |_| Coordinator::start(Settings { manner, ..Settings::default() }).unwrap();
    let coordinators: Vec<_> = (0..count).map(start).collect();
    let router = TestRouter::of("hive", &coordinators.iter().map(Coordinator::hs2).collect::<Vec<_>>());
    (coordinators, router)
}

fn connect(router: &TestRouter) -> Hs2Client {
    Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap()
}

fn spread(coordinators: &[Coordinator]) -> Vec<usize> {
    coordinators.iter().map(|one| one.open_sessions().len()).collect()
}

fn asked(coordinator: &Coordinator) -> usize {
    coordinator.calls().iter().filter(|call| call.method == "OpenSession").count()
}

fn opens_that(router: &TestRouter, outcome: &str) -> f64 {
    router.metric(&format!(
        "hs2router_sessions_total{{cluster=\"test\",coordinator=\"c1\",outcome=\"{outcome}\"}}"
    ))
}

#[test]
fn a_session_goes_elsewhere_when_its_hive_stops_gracefully_and_it_is_not_asked_for_every_one() {
    let (coordinators, router) = fleet(3);
    coordinators[0].faults().start_quiescing();
    let mut client = connect(&router);
    for _ in 0..20 {
        client.open(&[]).unwrap();
    }
    assert_eq!(spread(&coordinators), [0, 10, 10]);
    assert!((1..=3).contains(&asked(&coordinators[0])), "asked {} times", asked(&coordinators[0]));
    assert!(opens_that(&router, "shutting_down") >= 1.0);
}

#[test]
fn hives_own_words_come_through_when_all_stop_gracefully() {
    let (coordinators, router) = fleet(2);
    for coordinator in &coordinators {
        coordinator.faults().start_quiescing();
    }
    let mut client = connect(&router);
    let (text, state) = refusal_and_state(client.open(&[]));
    assert!(text.starts_with(NO_SESSION), "{text}");
    assert_eq!(state, "", "it is no message of the router's");
    assert_eq!(coordinators.iter().map(asked).collect::<Vec<_>>(), [1, 1], "each was asked");
    coordinators[1].faults().stop_quiescing();
    client.open(&[]).unwrap();
    assert_eq!(spread(&coordinators), [0, 1]);
}

#[test]
fn a_session_on_a_hive_that_stops_gracefully_fetches_what_runs_and_its_statements_are_refused_in_hives_words()
{
    let (coordinators, router) = fleet(2);
    let mut client = connect(&router);
    let session = client.open(&[]).unwrap();
    let has = |one: &Coordinator| one.open_sessions().contains(&id(&session.session_id));
    let home = coordinators.iter().position(has).unwrap();
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    coordinators[home].faults().start_quiescing();

    let through = refusal_and_state(client.execute(&session, "select 1"));
    let mut direct = Hs2Client::connect(coordinators[home].hs2(), &Login::NoSasl).unwrap();
    assert_eq!(through, refusal_and_state(direct.execute(&session, "select 1")), "not a word is changed");
    assert!(through.0.starts_with(NO_STATEMENT), "{}", through.0);
    is_valid(&mut client, &session).unwrap();
    assert!(client.fetch(&operation, 5).unwrap().0.is_some());

    // Its answer said that it stops: nobody needs to ask it for a session to find out.
    client.close_session(&session).unwrap();
    let before = asked(&coordinators[home]);
    for _ in 0..4 {
        client.open(&[]).unwrap();
    }
    assert_eq!((spread(&coordinators)[1 - home], asked(&coordinators[home])), (4, before));
}

#[test]
fn a_session_goes_elsewhere_when_a_hive_has_as_many_as_it_may() {
    let (coordinators, router) = fleet(2);
    coordinators[0].faults().limit_sessions(1);
    let mut client = connect(&router);
    let sessions: Vec<_> = (0..6).map(|_| client.open(&[]).unwrap()).collect();
    assert_eq!(spread(&coordinators), [1, 5]);
    assert!(opens_that(&router, "full") >= 1.0);

    coordinators[1].faults().limit_sessions(1);
    let (text, state) = refusal_and_state(client.open(&[]));
    assert!(text.starts_with("Connection limit per ipaddress reached"), "{text}");
    assert_eq!(state, "", "it is no message of the router's");
    for session in &sessions {
        client.close_session(session).unwrap();
    }
    client.open(&[]).unwrap();
    assert_eq!(spread(&coordinators).iter().sum::<usize>(), 1, "there is room again");
}
