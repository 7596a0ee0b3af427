//! A coordinator that answers all it gets with a failure is no favourite because it has no sessions; and a
//! client whose opens or logins fail wherever they go decides nothing about those of others.

use hs2router::fake::sasl::{BAD, COMPLETE};

use super::router;
use crate::support::message::{Message, Value, open_session};
use crate::support::script::{Act, Script, WRONG};
use crate::support::talk::Talk;

#[test]
fn a_coordinator_that_answers_every_open_with_an_error_gets_few_of_them() {
    let failing = Script::calls(|call| Act::Reply(call.message.failed("no space left on device")));
    let good = [Script::sound(), Script::sound()];
    let router = router(&[failing.address(), good[0].address(), good[1].address()]);
    let mut client = Talk::connect(router.listener(0));
    let failed = (0..40).filter(|_| client.call(&open_session()).status() != Some(0)).count();
    assert_eq!(failed, failing.count("OpenSession"), "an error is the client's, as it came");
    assert!((1..=3).contains(&failed), "{failed} of 40 opens failed");
}

#[test]
fn a_coordinator_that_closes_after_every_login_gets_few_of_them() {
    let closing = Script::logins(|_| Act::Close);
    let good = [Script::sound(), Script::sound()];
    let router = router(&[closing.address(), good[0].address(), good[1].address()]);
    let mut clients = Vec::new();
    let mut failed = 0;
    for _ in 0..40 {
        let (client, status, _) = Talk::log_in(router.listener(0), "u1", "p1");
        match status {
            COMPLETE => clients.push(client),
            BAD => failed += 1,
            other => panic!("status {other}"),
        }
    }
    assert!((1..=5).contains(&failed), "{failed} of 40 logins failed");
}

/// An open for this database.
fn open_of(database: &str) -> Message {
    let options = Value::Map(vec![(Value::text("use:database"), Value::text(database))]);
    Message::call("OpenSession", vec![(1, Value::Struct(vec![(1, Value::I32(5)), (4, options)]))])
}

/// A sound coordinator that has one database; how Hive and Spark answer who wants another one
/// (`SessionManager.openSession`).
fn with_one_database() -> Script {
    Script::calls(|call| {
        if call.message.name == "OpenSession" && call.message != open_of("default") {
            Act::Reply(call.message.failed("Failed to open new session: Database 'other' not found"))
        } else {
            Act::Ordinary
        }
    })
}

/// How many sessions each has opened.
fn opened(scripts: &[Script]) -> Vec<usize> {
    let of = |script: &Script| script.got().iter().filter(|call| **call == open_of("default")).count();
    scripts.iter().map(of).collect()
}

#[test]
fn a_client_whose_opens_fail_everywhere_moves_no_session_of_others() {
    let scripts = [(), (), ()].map(|()| with_one_database());
    let router = router(&[scripts[0].address(), scripts[1].address(), scripts[2].address()]);
    let mut client = Talk::connect(router.listener(0));
    for open in 0..1000 {
        // The same again and again, and others in between.
        let database = if open % 2 == 0 { "other".to_owned() } else { format!("other {open}") };
        assert_eq!(client.call(&open_of(&database)).status(), Some(3));
    }
    let mut client = Talk::connect(router.listener(0));
    for _ in 0..60 {
        assert_eq!(client.call(&open_of("default")).status(), Some(0));
    }
    assert_eq!(opened(&scripts), [20, 20, 20]);
}

#[test]
fn a_client_that_guesses_passwords_moves_no_session_of_others() {
    let scripts = [(), (), ()].map(|()| Script::sound());
    let router = router(&[scripts[0].address(), scripts[1].address(), scripts[2].address()]);
    for _ in 0..200 {
        assert_eq!(Talk::log_in(router.listener(0), "u1", WRONG).1, BAD);
    }
    let clients: Vec<_> = (0..30)
        .map(|_| {
            let mut client = Talk::connect_sasl(router.listener(0));
            assert_eq!(client.call(&open_of("default")).status(), Some(0));
            client
        })
        .collect();
    assert_eq!(opened(&scripts), [10, 10, 10]);
    drop(clients);
}

#[test]
fn an_open_that_failed_is_made_elsewhere_when_its_client_makes_it_again() {
    let failing = Script::calls(|call| Act::Reply(call.message.failed("no space left on device")));
    let good = Script::sound();
    let router = router(&[failing.address(), good.address()]);
    for attempt in 0..20 {
        // Each for another user, who is asked for a password first: the coordinator that took it is not the
        // one to open.
        let (mut client, status, _) = Talk::log_in(router.listener(0), &format!("u{attempt}"), "p1");
        assert_eq!(status, COMPLETE);
        if client.call(&open_session()).status() != Some(0) {
            assert_eq!(client.call(&open_session()).status(), Some(0), "the same coordinator again");
        }
    }
    assert!(failing.count("OpenSession") <= 2, "{} opens failed", failing.count("OpenSession"));
}
