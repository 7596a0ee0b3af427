//! Why a coordinator gets no sessions is told.

use serde_json::Value;

use super::{ALLOWED, ask, coordinators};
use crate::support::fleet::{Fleet, Plan};
use crate::support::message::open_session;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

const FAILING: &str = "opens or logins are answered with failures";

fn reasons(port: &Value) -> Vec<&str> {
    port["passed_over"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn the_api_and_the_log_say_that_a_coordinator_is_passed_over_because_its_opens_fail() {
    let failing = Script::calls(|call| match call.message.name.as_str() {
        "OpenSession" => Act::Reply(call.message.failed("no sessions today")),
        _ => Act::Ordinary,
    });
    let sound = Script::sound();
    let router = TestRouter::of("impala", &[failing.address(), sound.address()]);
    let mut clients = Vec::new();
    let mut ports = Vec::new();
    assert!(eventually(|| {
        let mut client = Talk::connect(router.listener(0));
        client.call(&open_session());
        clients.push(client);
        ports = coordinators(&router).iter().map(|one| one["ports"][0].clone()).collect();
        reasons(&ports[0]) == [FAILING]
    }));
    let [bad, good] = [&ports[0]["score"], &ports[1]["score"]];
    assert!(bad["failures"].as_f64().unwrap() > 0.5, "{bad}");
    assert!(bad["total"].as_f64() > good["total"].as_f64(), "{bad} {good}");
    assert!(eventually(|| !coordinators(&router)[1]["ports"][0].is_null()));
    assert_eq!(reasons(&coordinators(&router)[1]["ports"][0]), [""; 0]);
    let line = || {
        router.logs().shown().lines().find(|line| line.contains("coordinator passed over")).map(str::to_owned)
    };
    assert!(eventually(|| line().is_some()), "the log does not tell");
    let line = line().unwrap();
    assert!(line.contains("coordinator=c1") && line.contains(FAILING), "{line}");
}

#[test]
fn the_terms_of_a_score_and_what_keeps_sessions_away_stand_in_the_api() {
    let cluster = "service_threads = 2\nreserve = 1\nshare_links = false\nidle_session_cost = 0.5";
    let fleet = Fleet::with(Plan { coordinators: 1, cluster, ..Plan::default() });
    let port = || coordinators(fleet.router())[0]["ports"][0].clone();
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    let shown = port();
    let term = |name: &str| shown["score"][name].as_f64().unwrap();
    for (name, value) in
        [("running", 1.0), ("sessions", 0.5), ("weight", 1.0), ("failures", 0.0), ("total", 1.5)]
    {
        assert!((term(name) - value).abs() < 1e-9, "{name}: {shown}");
    }
    assert_eq!(reasons(&shown), ["no room for another connection"]);
    assert_eq!(ask(fleet.router(), "POST /api/v1/coordinators/c1/drain", ALLOWED).0, 200);
    assert_eq!(reasons(&port()), ["draining", "no room for another connection"]);
}
