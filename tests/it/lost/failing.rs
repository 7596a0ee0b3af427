//! A coordinator that answers all it gets with a failure is no favourite because it has no sessions.

use super::router;
use crate::support::script::{Act, Script};
use crate::support::talk::{BAD, COMPLETE, Framing, Talk};
use crate::support::thrift::open_session;

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
    let closing = Script::raw(|stream, _| {
        let mut talk = Talk::over(stream, Framing::None);
        // The router's own probes do not log in.
        let _gone = talk.sasl_message().and_then(|_| talk.sasl_message());
    });
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
    // Two refusals in a row may be two wrong passwords.
    assert!((1..=5).contains(&failed), "{failed} of 40 logins failed");
}
