//! Sessions that a router does not know, of users for whom it speaks: it gives them to whom their coordinator's web
//! page names, and to nobody else.

use std::net::TcpListener;
use std::thread;

use hs2router::clock;
use hs2router::fake::client::{CallError, Hs2Client, Login};
use hs2router::idl::t_c_l_i_service::TSessionHandle;

use super::negotiate::{LoggedIn, post, ticket, untyped};
use super::{Fleet, KerberosRouter, by_ticket, front, log_in};
use crate::support::kdc::REALM;
use crate::support::message::execute;
use crate::support::router::eventually;

/// Another router in front of the same coordinators, which reads their web ports.
fn another_router(fleet: &Fleet, listener: &str) -> KerberosRouter {
    let ports = fleet.fronts.iter().zip(&fleet.coordinators);
    let ports: Vec<_> = ports
        .map(|(front, one)| format!("hs2 = {}, hs2_http = 0, web = {}", front.port, one.web().port()))
        .collect();
    router_of(&ports, listener)
}

/// A router in front of coordinators with these ports.
fn router_of(ports: &[String], listener: &str) -> KerberosRouter {
    let listener = format!("service = \"hs2\"\n{}", by_ticket(listener));
    KerberosRouter::with("impala", &format!("hive/_HOST@{REALM}"), ports, &listener)
}

fn opened_by_ann(fleet: &Fleet) -> TSessionHandle {
    log_in(fleet.router.listener, "ann").unwrap().open(&[]).unwrap()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, CallError>) {
    let text = result.unwrap_err().to_string();
    assert!(text.contains("is not known as one of this user's"), "{text}");
}

#[test]
fn its_user_finds_it_again_over_sasl_and_http_and_nobody_else_does() {
    let Some(fleet) = Fleet::of(3, "") else { return };
    for over_http in [false, true] {
        let session = opened_by_ann(&fleet);
        let router = another_router(&fleet, "");
        let mut wrong = session.clone();
        wrong.session_id.secret[3] ^= 1;
        // Whoever asks first.
        assert_refused(log_in(router.listener, "bob").unwrap().execute(&session, "select 1"));
        assert!(eventually(|| router.has_logged("a located session is not its client's")));
        assert_refused(log_in(router.listener, "ann").unwrap().execute(&wrong, "select 1"));
        if over_http {
            let statement = execute(&untyped(&session), "select effective_user()");
            let by_bob = post(router.listener, "/", &ticket("bob"), &statement).message();
            assert!(by_bob.error().1.contains("is not known as one of this user's"));
            assert_eq!(post(router.listener, "/", &ticket("ann"), &statement).message().status(), Some(0));
        } else {
            let mut ann = log_in(router.listener, "ann").unwrap();
            assert_eq!(ann.query(&session, "select effective_user()").unwrap(), [["ann"]]);
            assert!(router.has_logged("session located"));
        }
        // Now it is known whose it is.
        assert_refused(log_in(router.listener, "bob").unwrap().execute(&session, "select 1"));
        // And the router by which it was opened has it still.
        log_in(fleet.router.listener, "ann").unwrap().execute(&session, "select 1").unwrap();
    }
    assert_eq!(fleet.sessions().iter().sum::<usize>(), 2, "none was opened again");
}

#[test]
fn a_proxy_user_finds_those_of_the_users_for_whom_it_may_act() {
    let Some(fleet) = Fleet::of(2, "") else { return };
    let session = opened_by_ann(&fleet);
    let strict = another_router(&fleet, "proxy_users = { bob = [\"eve\"] }");
    assert_refused(log_in(strict.listener, "bob").unwrap().execute(&session, "select 1"));
    let lenient = another_router(&fleet, "proxy_users = { bob = [\"ann\"] }");
    log_in(lenient.listener, "bob").unwrap().execute(&session, "select 1").unwrap();
    let other =
        post(lenient.listener, "/?doAs=bob", &ticket("bob"), &execute(&untyped(&session), "select 1"));
    assert!(other.message().error().1.contains("is not known as one of this user's"));
    let for_ann =
        post(lenient.listener, "/?doAs=ann", &ticket("bob"), &execute(&untyped(&session), "select 1"));
    assert_eq!(for_ann.message().status(), Some(0));
}

#[test]
fn a_call_for_another_user_than_its_own_does_not_take_it() {
    let Some(fleet) = Fleet::of(2, "") else { return };
    let session = opened_by_ann(&fleet);
    let router = another_router(&fleet, "proxy_users = { bob = [\"ann\"] }");
    let statement = execute(&untyped(&session), "select 1");
    let by_bob = post(router.listener, "/?doAs=bob", &ticket("bob"), &statement).message();
    assert!(by_bob.error().1.contains("is not known as one of this user's"));
    // Else it would be bob's alone, who came first.
    assert_eq!(post(router.listener, "/", &ticket("ann"), &statement).message().status(), Some(0));
}

#[test]
fn a_coordinator_that_is_silent_or_refuses_the_routers_ticket_does_not_hide_the_sessions_of_the_others() {
    let Some(fleet) = Fleet::of(2, "") else { return };
    let session = opened_by_ann(&fleet);
    let owner = fleet.sessions().iter().position(|sessions| *sessions > 0).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    // impalad with LDAP only does not have the mechanism.
    let refuses = fleet.coordinators[1 - owner].hs2().port();
    for other in [silent.local_addr().unwrap().port(), refuses] {
        let ports = [(other, 1 - owner), (fleet.fronts[owner].port, owner)].map(|(hs2, place)| {
            format!("hs2 = {hs2}, hs2_http = 0, web = {}", fleet.coordinators[place].web().port())
        });
        let router = router_of(&ports, "");
        log_in(router.listener, "ann").unwrap().execute(&session, "select 1").unwrap();
    }
}

#[test]
fn many_who_ask_at_once_cost_a_coordinator_few_pages() {
    const ASKED_FOR: usize = 8;
    let Some(fleet) = Fleet::of(1, "") else { return };
    let sessions: Vec<_> = (0..ASKED_FOR).map(|_| opened_by_ann(&fleet)).collect();
    let router = another_router(&fleet, "");
    let (bob, begin) = (LoggedIn::new(router.listener, "bob"), clock::now());
    thread::scope(|scope| {
        for session in &sessions {
            scope.spawn(|| {
                let refused = bob.call(&execute(&untyped(session), "select 1"));
                assert!(refused.error().1.contains("is not known as one of this user's"));
            });
        }
    });
    // One at once, and one a second.
    let (pages, most) = (fleet.coordinators[0].session_pages(), 2 + (clock::now() - begin).as_secs());
    assert!((1..=most).contains(&pages), "{pages} > {most}");
}

#[test]
fn a_page_that_is_too_long_to_be_read_is_warned_of() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let session = opened_by_ann(&fleet);
    let login = Login::plain("hs2router", front::PASSWORD);
    let mut directly = Hs2Client::connect(fleet.coordinators[0].hs2(), &login).unwrap();
    for _ in 0..5 {
        directly.open(&[("impala.doas.user", &"x".repeat(1 << 20))]).unwrap();
    }
    let router = another_router(&fleet, "");
    for _ in 0..2 {
        assert_refused(log_in(router.listener, "ann").unwrap().execute(&session, "select 1"));
    }
    assert!(eventually(|| router.has_logged("its page of sessions is too long")));
    let warnings = || router.log.lock().iter().filter(|line| line.contains("is too long")).count();
    assert_eq!(warnings(), 1);
}

#[test]
fn an_operation_is_looked_for_by_nobody_and_a_session_that_is_closed_is_not_there() {
    let Some(fleet) = Fleet::of(2, "") else { return };
    let mut before = log_in(fleet.router.listener, "ann").unwrap();
    let session = before.open(&[]).unwrap();
    let operation = before.execute(&session, "select sleep(600000)").unwrap();
    let router = another_router(&fleet, "");
    let mut ann = log_in(router.listener, "ann").unwrap();
    assert_refused(ann.status(&operation));
    assert_refused(ann.fetch(&operation, 1));
    assert_eq!(fleet.received("GetOperationStatus"), 0);
    ann.execute(&session, "select 1").unwrap();
    before.close_session(&session).unwrap();
    assert_refused(log_in(another_router(&fleet, "").listener, "ann").unwrap().execute(&session, "select 1"));
}

#[test]
fn a_client_over_http_goes_on_with_its_session_through_a_second_router() {
    let Some(fleet) = Fleet::of(2, "") else { return };
    let ann = LoggedIn::new(fleet.router.listener, "ann");
    let second = another_router(&fleet, "");
    let statement = execute(&ann.session, "select 1");
    // Its cookie is the first router's.
    assert_eq!(post(second.listener, "/", &ann.cookie, &statement).status, 401);
    assert_eq!(post(second.listener, "/", &ticket("ann"), &statement).message().status(), Some(0));
    assert_eq!(ann.call(&statement).status(), Some(0));
}
