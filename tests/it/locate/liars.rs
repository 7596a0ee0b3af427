//! A coordinator that says that it has whatever handle it is asked for, beside two that know what they say.

use std::net::SocketAddr;
use std::time::Duration;

use hs2router::fake::client::{CallError, Hs2Client, Login};
use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TSessionHandle};

use super::{PING, STATUS, lookups};
use crate::support::fleet::id;
use crate::support::router::TestRouter;
use crate::support::script::{Act, Script};

/// Two sound coordinators, and one that answers every question with a success and refuses everything else.
struct Three {
    sound: [Coordinator; 2],
    liar: Script,
}

impl Three {
    fn start() -> Self {
        let sound = [(); 2].map(|()| Coordinator::start(Settings::default()).unwrap());
        let liar = Script::calls(|call| match call.message.name.as_str() {
            PING | STATUS => Act::Ordinary,
            "FetchResults" => Act::Reply(call.message.failed("Invalid or unknown query handle: 1:2.\n")),
            _ => Act::Reply(call.message.failed("Invalid session id: 1:2\n")),
        });
        Self { sound, liar }
    }

    /// The one that lies is the first that is asked.
    fn router(&self) -> TestRouter {
        let [one, other] = &self.sound;
        TestRouter::of("impala", &[self.liar.address(), one.hs2(), other.hs2()])
    }

    /// Sessions on the sound ones, each with an operation.
    fn sessions(&self) -> Vec<(TSessionHandle, TOperationHandle)> {
        let open = |place: usize| {
            let mut client = connect(self.sound[place % 2].hs2());
            let session = client.open(&[]).unwrap();
            let operation = client.execute(&session, "select * from rows(5)").unwrap();
            (session, operation)
        };
        (0..20).map(open).collect()
    }
}

fn connect(address: SocketAddr) -> Hs2Client {
    Hs2Client::connect(address, &Login::NoSasl).unwrap()
}

fn works(client: &mut Hs2Client, session: &TSessionHandle) -> Result<(), CallError> {
    let operation = client.execute(session, "select 1")?;
    client.close(&operation).map(drop)
}

#[test]
fn no_session_fails_because_a_coordinator_says_yes_to_every_question() {
    let three = Three::start();
    let (sessions, router) = (three.sessions(), three.router());
    let failed: Vec<_> = sessions
        .iter()
        .filter_map(|(session, _)| works(&mut connect(router.listener(0)), session).err())
        .collect();
    assert!(failed.is_empty(), "{} of 20: {:?}", failed.len(), failed[0]);
    let liars = three.liar.count("ExecuteStatement");
    assert_eq!(liars, 0, "who says yes to a handle that nobody has is not believed");
    assert_eq!(lookups(&router, "found"), 20, "each was asked for once");
    let known = &router.router().fleets()[0].table;
    assert!(sessions.iter().all(|(session, _)| known.was_located(&id(&session.session_id).0)));
}

#[test]
fn no_operation_fails_because_a_coordinator_says_yes_to_every_question() {
    let three = Three::start();
    let (sessions, router) = (three.sessions(), three.router());
    for (_, operation) in &sessions {
        let fetched = connect(router.listener(0)).fetch(operation, 10);
        assert!(fetched.is_ok(), "{fetched:?}");
    }
}

#[test]
fn who_was_found_and_has_it_not_is_forgotten_and_the_others_are_asked() {
    let three = Three::start();
    let (sessions, router) = (three.sessions(), three.router());
    // Longer than a call that was found waits for the other answers.
    for sound in &three.sound {
        sound.faults().always(PING, Fault::Delay(Duration::from_millis(400)));
        sound.faults().always(STATUS, Fault::Delay(Duration::from_millis(400)));
    }
    for (session, operation) in sessions.iter().take(4) {
        let fetched = connect(router.listener(0)).fetch(operation, 10);
        assert!(fetched.is_ok(), "{fetched:?}");
        let mut client = connect(router.listener(0));
        works(&mut client, session).unwrap();
        let wrong = three.liar.count("ExecuteStatement");
        works(&mut client, session).unwrap();
        works(&mut connect(router.listener(0)), session).unwrap();
        assert_eq!(three.liar.count("ExecuteStatement"), wrong, "the owner is known");
        client.close_session(session).unwrap();
    }
    assert!(three.liar.count("ExecuteStatement") > 0, "it was believed for want of others");
    assert!(three.liar.count("FetchResults") > 0);
}

#[test]
fn a_session_that_its_owner_has_ended_is_told_so_after_the_others_were_asked_once() {
    let three = Three::start();
    let (sessions, router) = (three.sessions(), three.router());
    let (session, _) = &sessions[0];
    let mut client = connect(router.listener(0));
    works(&mut client, session).unwrap();
    connect(three.sound[0].hs2()).close_session(session).unwrap();
    let ended = works(&mut client, session);
    let Err(CallError::Refused { message, .. }) = ended else { panic!("it is gone: {ended:?}") };
    assert!(message.starts_with("Invalid session id: "), "{message}");
    assert_eq!(router.router().fleets()[0].table.sessions(), 0);
}
