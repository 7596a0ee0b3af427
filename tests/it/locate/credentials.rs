//! A client's credentials are not shown around in vain: a handful of wrong binds locks an account.

use std::collections::BTreeMap;

use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Password, Settings};

use super::{lookups, unknown};
use crate::support::fleet::{id, refusal};
use crate::support::router::TestRouter;

fn coordinator(number: usize, password: &str) -> Coordinator {
    let users = BTreeMap::from([("ann".to_owned(), Password::new(password))]);
    Coordinator::start(Settings { name: format!("c{number}"), users: Some(users), ..Settings::default() })
        .unwrap()
}

fn refusals(router: &TestRouter) -> f64 {
    let of = |number| {
        let labels = format!("cluster=\"test\",coordinator=\"c{number}\",outcome=\"credentials_refused\"");
        router.metric(&format!("hs2router_dials_total{{{labels}}}"))
    };
    (1..=4).map(of).sum()
}

#[test]
fn a_password_that_was_right_once_is_refused_once_and_shown_around_no_more() {
    // As though the directory had changed it after the first login, or it were good for one use.
    let coordinators =
        [coordinator(1, "nna"), coordinator(2, "new"), coordinator(3, "new"), coordinator(4, "new")];
    let router = TestRouter::of("impala", &coordinators.each_ref().map(Coordinator::hs2));
    let fleet = &router.router().fleets()[0];
    for coordinator in &fleet.cluster.coordinators()[1..] {
        fleet.drain(coordinator, None);
    }
    let mut client = Hs2Client::connect(router.listener(0), &Login::plain("ann", "nna")).unwrap();
    let session = client.open(&[]).unwrap();
    for number in 0..20 {
        let nobodys = unknown(&session, number);
        assert_eq!(
            refusal(client.ping(&nobodys)),
            format!("Invalid session id: {}\n", id(&nobodys.session_id))
        );
    }
    assert!((refusals(&router) - 1.0).abs() < f64::EPSILON, "{} wrong binds", refusals(&router));
    assert_eq!(lookups(&router, "unanswered"), 20, "the others might have had it");
    client.ping(&session).unwrap();
}
