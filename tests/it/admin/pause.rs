//! Operators pause a cluster: what would begin something waits, what is open goes on, and at the resume all go on.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use hs2router::fake::Fault;
use hs2router::fake::client::{BeeswaxClient, Hs2Client, Login};
use hs2router::idl::beeswax::TBeeswaxServiceSyncClient as _;
use serde_json::Value;

use super::{ALLOWED, ask, coordinators};
use crate::support::fleet::{Door, Fleet, Plan, USERS, metadata, refusal, refusal_and_state};
use crate::support::router::eventually;

const PAUSED: &str = "hs2router_cluster_paused{cluster=\"test\"}";

/// The cluster after this verb.
#[track_caller]
fn after(fleet: &Fleet, verb: &str) -> Value {
    let (status, said) = ask(fleet.router(), &format!("POST /api/v1/clusters/test/{verb}"), ALLOWED);
    assert_eq!(status, 200, "{said}");
    serde_json::from_str(&said).unwrap()
}

fn cluster(fleet: &Fleet) -> Value {
    let (_, said) = ask(fleet.router(), "GET /api/v1/clusters", "");
    serde_json::from_str::<Value>(&said).unwrap()[0].clone()
}

/// Whether so many wait until the cluster is resumed, sooner or later.
fn wait_for_resume(fleet: &Fleet, number: usize) -> bool {
    eventually(|| cluster(fleet)["waiting"] == number)
}

#[test]
fn new_sessions_and_statements_wait_and_what_is_open_goes_on() {
    for (users, keys) in [(&[][..], ""), (&USERS, ""), (&[], "share_links = false")] {
        let fleet = Fleet::with(Plan { users, cluster: keys, http: true, ..Plan::default() });
        let mut open = fleet.hs2();
        let session = open.open(&[]).unwrap();
        let [fetched, cancelled, closed] =
            ["select * from rows(10)", "select sleep(600000)", "select * from rows(10)"]
                .map(|statement| open.execute(&session, statement).unwrap());
        let (mut stating, mut by_http, mut asking) = (fleet.hs2(), fleet.hs2_by(Door::Http), fleet.hs2());
        let [other, asked_of] = [&mut stating, &mut asking].map(|client| client.open(&[]).unwrap());
        let sent = fleet.calls("ExecuteStatement").len();

        let paused = after(&fleet, "pause");
        assert!(paused["paused_for"].is_number() && paused["waiting"] == 0, "{paused}");
        fleet.router().await_metric(PAUSED, 1.0);
        thread::scope(|scope| {
            let stated = scope.spawn(move || stating.query(&other, "select 1").unwrap());
            let opened = scope.spawn(|| {
                // With a password the login waits.
                let mut client = fleet.hs2();
                let session = client.open(&[]).unwrap();
                client.query(&session, "select 1").unwrap()
            });
            let over_http = scope.spawn(move || by_http.open(&[]).unwrap());
            let asked = scope.spawn(move || metadata(&mut asking, &asked_of, "GetTables"));
            let beeswax = scope.spawn(|| fleet.beeswax().query("select 1").unwrap());
            assert!(wait_for_resume(&fleet, 5), "{}", cluster(&fleet));

            while open.fetch(&fetched, 10).unwrap().1 {}
            open.cancel(&cancelled).unwrap();
            for operation in [&fetched, &cancelled, &closed] {
                open.close(operation).unwrap();
            }
            open.ping(&session).unwrap();
            assert_eq!(fleet.calls("ExecuteStatement").len(), sent);
            assert!(fleet.calls("query").is_empty() && fleet.calls("GetTables").is_empty());
            assert!(!stated.is_finished() && !opened.is_finished() && !over_http.is_finished());

            let resumed = after(&fleet, "resume");
            assert!(resumed["paused_for"].is_null(), "{resumed}");
            assert_eq!(
                (stated.join().unwrap(), opened.join().unwrap()),
                (vec![vec!["1".to_owned()]], vec![vec!["1".to_owned()]])
            );
            over_http.join().unwrap();
            asked.join().unwrap();
            assert_eq!(beeswax.join().unwrap(), ["1"]);
        });
        assert_eq!(cluster(&fleet)["waiting"], 0);
        fleet.router().await_metric(PAUSED, 0.0);
    }
}

#[test]
fn a_client_that_has_waited_too_long_is_told_that_the_cluster_is_paused() {
    let plan = Plan { cluster: "queue_timeout = \"200ms\"", http: true, ..Plan::default() };
    let fleet = Fleet::with(plan);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    after(&fleet, "pause");
    let words =
        "cluster test begins nothing now: an operator has paused the cluster, and did not resume it within 2";
    let says = |(message, state): (String, String)| {
        assert!(message.contains(words) && message.ends_with("ms") && state == "08004", "{message}");
    };
    says(refusal_and_state(client.execute(&session, "select 1")));
    says(refusal_and_state(client.open(&[])));
    let thrown = format!("{:?}", fleet.beeswax().execute("select 1", "ann").unwrap_err());
    assert!(thrown.contains("an operator has paused the cluster"), "{thrown}");
    let over_http = format!(
        "{:?}",
        Hs2Client::connect(fleet.address(Door::Http), &Login::http()).unwrap().open(&[]).unwrap_err()
    )
    .to_lowercase();
    assert!(["503", "retry-after: 1", "paused"].iter().all(|word| over_http.contains(word)), "{over_http}");
    let refused = "hs2router_connections_refused_total{cause=\"paused\"}";
    fleet.router().await_metric(refused, 2.0);
    let log = fleet.router().logs().text();
    assert!(log.contains("a call was refused") && log.contains("method=\"ExecuteStatement\""), "{log}");
    after(&fleet, "resume");
    assert_eq!(client.query(&session, "select 1").unwrap(), [["1"]], "the session is as it was");
}

#[test]
fn a_login_that_waits_too_long_is_told_so_as_well() {
    let plan = Plan { users: &USERS, cluster: "queue_timeout = \"200ms\"", ..Plan::default() };
    let fleet = Fleet::with(plan);
    after(&fleet, "pause");
    let login = Login::plain("ann", "nna");
    let refused =
        format!("{:?}", BeeswaxClient::connect(fleet.address(Door::Beeswax), &login).err().unwrap());
    assert!(refused.contains("an operator has paused the cluster"), "{refused}");
}

#[test]
fn a_query_of_beeswax_is_fetched_to_its_end_while_the_next_one_waits() {
    let fleet = Fleet::of(1);
    let mut client = fleet.beeswax();
    let query = client.execute("select * from rows(10)", "ann").unwrap();
    after(&fleet, "pause");
    while client.service().fetch(query.clone(), false, 10).unwrap().has_more == Some(true) {}
    client.service().close(query).unwrap();
    thread::scope(|scope| {
        let asked = scope.spawn(move || client.query("select 1").unwrap());
        assert!(wait_for_resume(&fleet, 1));
        after(&fleet, "resume");
        assert_eq!(asked.join().unwrap(), ["1"]);
    });
}

#[test]
fn no_more_than_queue_length_wait_and_those_that_leave_wait_no_longer() {
    let fleet = Fleet::with(Plan { cluster: "queue_length = 1", ..Plan::default() });
    let (mut first, mut second) = (fleet.hs2(), fleet.hs2());
    after(&fleet, "pause");
    let stream = first.stream().try_clone().unwrap();
    let opening = thread::spawn(move || first.open(&[]).is_err());
    assert!(wait_for_resume(&fleet, 1));
    let (_, listed) = ask(fleet.router(), "GET /api/v1/waiting", "");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let row = &listed["waiting"][0];
    assert_eq!(
        (&row["waits_for"], &row["place"], &row["service"]),
        (&"resume".into(), &1.into(), &"hs2".into())
    );
    let message = refusal(second.open(&[]));
    assert!(
        message.ends_with("an operator has paused the cluster, and 1 wait already (queue_length)"),
        "{message}"
    );
    stream.shutdown(Shutdown::Both).unwrap();
    assert!(opening.join().unwrap() && wait_for_resume(&fleet, 0));
}

#[test]
fn a_pause_that_is_asked_for_twice_ends_with_one_resume() {
    let fleet = Fleet::of(1);
    let first = after(&fleet, "pause")["paused_for"].as_f64().unwrap();
    assert!(after(&fleet, "pause")["paused_for"].as_f64().unwrap() > first, "since the first time");
    after(&fleet, "resume");
    after(&fleet, "resume");
    fleet.hs2().open(&[]).unwrap();
}

#[test]
fn a_connection_that_is_passed_on_waits_as_well() {
    let fleet = Fleet::of(1);
    after(&fleet, "pause");
    let mut stream = TcpStream::connect(fleet.address(Door::Hs2)).unwrap();
    // Half the name of a message of the old style.
    stream.write_all(b"\0\0\0\x40GetInfo").unwrap();
    assert!(wait_for_resume(&fleet, 1));
    after(&fleet, "resume");
    assert!(eventually(|| coordinators(fleet.router())[0]["opaque_connections"] == 1));
}

#[test]
fn what_was_begun_before_a_pause_is_counted_until_it_is_answered() {
    let fleet = Fleet::of(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    assert_eq!(cluster(&fleet)["under_way"], 0);
    fleet.coordinator(0).faults().once("ExecuteStatement", Fault::DelayReply(Duration::from_secs(3)));
    thread::scope(|scope| {
        let stated = scope.spawn(|| client.execute(&session, "select 1").unwrap());
        assert!(eventually(|| cluster(&fleet)["under_way"] == 1));
        assert_eq!(after(&fleet, "pause")["under_way"], 1);
        stated.join().unwrap();
        assert!(eventually(|| cluster(&fleet)["under_way"] == 0));
    });
}

#[test]
fn a_pause_that_is_to_last_for_some_time_ends_by_itself_and_clients_wait_for_that() {
    let fleet = Fleet::with(Plan { cluster: "queue_timeout = \"50ms\"", ..Plan::default() });
    let paused = after(&fleet, "pause?for=2s");
    let resumes_in = paused["resumes_in"].as_f64().unwrap();
    assert!(resumes_in > 1.0 && resumes_in <= 2.0, "{paused}");
    // Without an end, it would be refused after 50 ms.
    fleet.hs2().open(&[]).unwrap();
    let now = cluster(&fleet);
    assert!(now["paused_for"].is_null() && now["resumes_in"].is_null(), "{now}");
    fleet.router().await_metric(PAUSED, 0.0);
    let log = fleet.router().logs().text();
    assert_eq!(
        log.matches("a pause has lasted long enough: the cluster is resumed cluster=test").count(),
        1,
        "{log}"
    );
    let (status, said) = ask(fleet.router(), "POST /api/v1/clusters/test/pause?for=soon", ALLOWED);
    assert!(status == 400 && said.starts_with("for ") && said.contains("30s, 10m or 1h"), "{said}");
}

#[test]
fn a_session_is_not_idle_while_its_client_waits_for_the_end_of_a_pause() {
    let fleet = Fleet::of(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let idle = || {
        let (_, listed) = ask(fleet.router(), "GET /api/v1/sessions", "");
        serde_json::from_str::<Value>(&listed).unwrap()["sessions"][0]["idle"].as_f64().unwrap()
    };
    assert!(idle() > 0.0);
    after(&fleet, "pause");
    thread::scope(|scope| {
        let asked = scope.spawn(|| client.query(&session, "select 1").unwrap());
        assert!(wait_for_resume(&fleet, 1));
        assert!(idle().abs() < f64::EPSILON, "{}", idle());
        after(&fleet, "resume");
        asked.join().unwrap();
    });
}

#[test]
fn all_coordinators_are_restarted_under_a_pause_and_clients_see_a_delay() {
    let mut fleet = Fleet::of(2);
    let (mut client, mut newcomer) = (fleet.hs2(), fleet.hs2());
    let session = client.open(&[]).unwrap();
    after(&fleet, "pause");
    let stated = thread::spawn(move || client.query(&session, "select 1").unwrap());
    let opened = thread::spawn(move || newcomer.open(&[]).map(drop).unwrap());
    assert!(wait_for_resume(&fleet, 2));
    for place in [0, 1] {
        fleet.lose(place);
    }
    for place in [0, 1] {
        fleet.revive(place);
    }
    after(&fleet, "resume");
    assert_eq!(stated.join().unwrap(), [["1"]]);
    opened.join().unwrap();
}
