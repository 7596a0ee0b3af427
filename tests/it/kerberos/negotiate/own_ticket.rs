//! The router's own ticket over HTTP: shown once for each link, then the coordinator's cookie; and nothing of what
//! a client has shown.

use std::time::Duration;

use hs2router::fake::{Coordinator, Fault, Password, Settings, Tally};

use super::super::KerberosRouter;
use super::{HttpFleet, LoggedIn, post, ticket};
use crate::support::kdc::REALM;
use crate::support::message::{execute, of_handle, open_session};
use crate::support::router::eventually;

fn tally(success: u64) -> Tally {
    Tally { success, failure: 0 }
}

#[test]
fn it_is_shown_once_for_all_users_who_come_one_after_the_other() {
    let Some(fleet) = HttpFleet::of(1, "") else { return };
    for user in ["ann", "bob", "ann"] {
        let client = LoggedIn::new(fleet.router.listener, user);
        for _ in 0..3 {
            assert_eq!(client.call(&execute(&client.session, "select 1")).status(), Some(0));
        }
        assert_eq!(client.call(&of_handle("CloseSession", &client.session)).status(), Some(0));
    }
    let [coordinator] = &fleet.coordinators[..] else { panic!() };
    let counts = coordinator.http_counts();
    assert_eq!((counts.negotiate, counts.cookie), (tally(1), tally(14)));
    assert_eq!(coordinator.connections(), 1, "one link for all");
    assert_eq!((counts.leftovers, counts.pipelined), (0, 0));
}

#[test]
fn nothing_that_a_client_shows_goes_on_and_its_names_do() {
    let Some(fleet) = HttpFleet::of(1, "") else { return };
    let at = fleet.router.listener;
    let names = "User-Agent: mine\r\nX-Request-Id: r-1\r\nX-Impala-Session-Id: s-1\r\nX-Forwarded-For: 192.0.2.1\r\n\
                 X-Hive-Delegation-Token: t\r\nX-Hive-Delegation-Token-Of: x\r\nX-Hive-Any: y\r\n";
    let fields = format!("{}{names}", ticket("ann"));
    let opened = post(at, "/some/path?x=y", &fields, &open_session());
    let session = opened.message().handle(&[0, 3]);
    // Without a ticket beside it, the delegation token would be what the coordinators judge.
    let names = names.replace("X-Hive-Delegation-Token: t\r\n", "");
    let again = format!("{}{names}", super::cookie_of(&opened));
    post(at, "/other", &again, &execute(&session, "select 1")).message();
    let calls = fleet.coordinators[0].calls();
    let [open, statement] = &calls[..] else { panic!("{calls:?}") };
    for (call, shown, other) in [(open, "authorization", "cookie"), (statement, "cookie", "authorization")] {
        let head = call.head.as_ref().unwrap();
        assert_eq!(head.target, "/cliservice");
        assert_eq!((head.values(shown).len(), head.values(other).len()), (1, 0), "{head:?}");
        for (name, value) in [
            ("user-agent", "mine"),
            ("x-request-id", "r-1"),
            ("x-impala-session-id", "s-1"),
            ("x-xsrf-header", "true"),
        ] {
            assert_eq!(head.values(name), [value], "{name}");
        }
        assert_eq!(head.values("authorization").first().copied().unwrap_or("Negotiate"), "Negotiate");
        for name in ["x-forwarded-for", "x-hive-any", "x-hive-delegation-token", "x-hive-delegation-token-of"]
        {
            assert!(head.values(name).is_empty(), "{name}");
        }
    }
}

#[test]
fn where_coordinators_give_no_cookie_each_call_has_a_ticket_of_the_routers() {
    let settings = Settings { cookie_lifetime: Duration::ZERO, ..Settings::default() };
    let Some(fleet) = HttpFleet::with(1, "", &settings) else { return };
    let ann = LoggedIn::new(fleet.router.listener, "ann");
    for _ in 0..5 {
        assert_eq!(ann.call(&execute(&ann.session, "select 1")).status(), Some(0));
    }
    assert_eq!(fleet.coordinators[0].http_counts().negotiate, tally(6));
}

#[test]
fn a_coordinator_that_has_forgotten_its_cookies_gets_a_ticket_again() {
    let Some(fleet) = HttpFleet::of(1, "") else { return };
    let [coordinator] = &fleet.coordinators[..] else { panic!() };
    for _ in 0..3 {
        let ann = LoggedIn::new(fleet.router.listener, "ann");
        assert_eq!(ann.call(&execute(&ann.session, "select 1")).status(), Some(0));
        coordinator.restart();
    }
    assert_eq!(coordinator.http_counts().cookie.failure, 0);
}

#[test]
fn a_link_that_is_lost_costs_what_it_costs_over_sasl() {
    let Some(fleet) = HttpFleet::of(2, "") else { return };
    let at = fleet.router.listener;
    for coordinator in &fleet.coordinators {
        coordinator.faults().once("OpenSession", Fault::DropBefore);
    }
    let refused = post(at, "/", &ticket("ann"), &open_session()).message();
    assert_eq!(refused.status(), Some(3));
    fleet.coordinators[0].faults().once("OpenSession", Fault::DropBefore);
    let ann = LoggedIn::new(at, "ann");
    let owner = fleet.coordinators.iter().find(|one| !one.open_sessions().is_empty()).unwrap();
    owner.faults().once("GetInfo", Fault::DropBefore);
    assert_eq!(ann.call(&of_handle("CloseSession", &ann.session)).status(), Some(0));
}

#[test]
fn a_coordinator_that_refuses_it_is_told_of_and_gives_way_to_the_next() {
    let Some(fleet) = HttpFleet::of(1, "") else { return };
    let users = [("ann".to_owned(), Password::new("nna"))].into();
    let for_passwords = Coordinator::start(Settings { users: Some(users), ..Settings::default() }).unwrap();
    let (bad, good) = (for_passwords.hs2_http().port(), fleet.coordinators[0].hs2_http().port());
    let target = format!("HTTP/_HOST@{REALM}");
    let alone = KerberosRouter::over_http("impala", &target, &[bad], "");
    let refused = post(alone.listener, "/", &ticket("ann"), &open_session()).message().error().1;
    assert!(refused.contains("it refused the router's own ticket: HTTP 401"), "{refused}");
    assert!(eventually(|| alone.has_logged("the router's own login failed")));
    let both = KerberosRouter::over_http("impala", &target, &[bad, good], "");
    for _ in 0..4 {
        LoggedIn::new(both.listener, "ann");
    }
    let nobody = KerberosRouter::over_http("impala", &format!("nobody/_HOST@{REALM}"), &[good], "");
    let refused = post(nobody.listener, "/", &ticket("ann"), &open_session()).message().error().1;
    assert!(refused.contains("the router has no ticket for nobody/localhost@TEST"), "{refused}");
}

#[test]
fn a_client_with_a_password_is_judged_by_its_coordinator_on_the_same_port() {
    let users = [("ann".to_owned(), Password::new("nna"))].into();
    let Some(fleet) = HttpFleet::with(1, "", &Settings { users: Some(users), ..Settings::default() }) else {
        return;
    };
    let at = fleet.router.listener;
    let opened = post(at, "/cliservice", "Authorization: Basic YW5uOm5uYQ==\r\n", &open_session());
    let session = opened.message().handle(&[0, 3]);
    assert!(opened.cookies.is_empty());
    // It is ann's by password, whom the router has not authenticated.
    let by_ticket = post(at, "/", &ticket("ann"), &execute(&session, "select 1")).message().error().1;
    assert!(by_ticket.contains("is not known as one of this user's"), "{by_ticket}");
    let again = post(at, "/", "Authorization: Basic YW5uOm5uYQ==\r\n", &execute(&session, "select 1"));
    assert_eq!(again.message().status(), Some(0));
    let wrong = post(at, "/", "Authorization: Basic YW5uOng=\r\n", &open_session());
    assert_eq!(wrong.status, 401);
    let calls = fleet.coordinators[0].calls();
    assert!(calls.iter().all(|call| call.user.as_deref() == Some("ann")), "{calls:?}");
}
