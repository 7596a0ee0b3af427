//! A real server is taken out of the fleet and put back: new sessions go elsewhere, those that it has end as
//! they would have.

use std::thread;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::client::{self, CallError, Hs2Client, texts};
use hs2router::idl::t_c_l_i_service::{
    TCloseOperationReq, TOperationHandle, TOperationState, TSessionHandle, TTCLIServiceSyncClient as _,
};

use crate::support::clients::Login;
use crate::support::router::{TestRouter, eventually};
use crate::support::spark::{self, WHO_ARE_YOU};

/// A statement that is still under way when the next sessions have been opened.
const LONG: &str = "SELECT java_method('java.lang.Thread', 'sleep', bigint(15000)), 'done' AS done";
/// How long any statement may take: servers are slow where many tests run.
const PATIENCE: Duration = Duration::from_mins(2);

fn connect(router: &TestRouter, login: Login) -> Hs2Client {
    let login = match login {
        Login::NoSasl => client::Login::NoSasl,
        Login::Plain | Login::Ldap { .. } => client::Login::plain(login.user(), login.password()),
    };
    Hs2Client::connect(router.listener(0), &login).unwrap()
}

/// Waits until a statement has ended, then takes its first value and closes it.
fn finish(client: &mut Hs2Client, operation: TOperationHandle) -> String {
    let deadline = clock::now() + PATIENCE;
    loop {
        match client.status(&operation).unwrap() {
            (TOperationState::FINISHED_STATE, _) => break,
            (TOperationState::ERROR_STATE, message) => panic!("{message:?}"),
            (state, _) => assert!(clock::now() < deadline, "{state:?} for {PATIENCE:?}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
    let (rows, _) = client.fetch(&operation, 10).unwrap();
    let last = rows.iter().flat_map(texts).flatten().last().unwrap_or_default();
    let closed = client.service().close_operation(TCloseOperationReq::new(operation));
    client::check(&closed.map_err(CallError::from).unwrap().status).unwrap();
    last
}

fn query(client: &mut Hs2Client, session: &TSessionHandle, statement: &str) -> String {
    let operation = client.execute(session, statement).unwrap();
    finish(client, operation)
}

/// A client with a session, and the server that it is on.
fn arrive(router: &TestRouter, login: Login) -> (Hs2Client, TSessionHandle, String) {
    let mut client = connect(router, login);
    let session = client.open(&[]).unwrap();
    let home = query(&mut client, &session, WHO_ARE_YOU);
    (client, session, home)
}

fn is_running(client: &mut Hs2Client, operation: &TOperationHandle) -> bool {
    let (state, _) = client.status(operation).unwrap();
    [TOperationState::INITIALIZED_STATE, TOperationState::PENDING_STATE, TOperationState::RUNNING_STATE]
        .contains(&state)
}

fn drain_one_of_two(login: Login) {
    let Some([first, second]) = spark::pair(login) else { return };
    let router = TestRouter::of("spark", &[first.address(), second.address()]);
    let coordinators = &router.router().fleets()[0].cluster.coordinators();
    let sessions = || coordinators.iter().map(|one| one.load().open_sessions).collect::<Vec<_>>();
    let mut one = arrive(&router, login);
    let drained = sessions().iter().position(|sessions| *sessions == 1).unwrap();
    let mut other = arrive(&router, login);
    assert_ne!(one.2, other.2, "each server has one");
    // The server that stays has more to do: a new session would go to the other one.
    let _busy = [(); 2].map(|()| other.0.execute(&other.1, LONG).unwrap());
    let (client, session, home) = (&mut one.0, &one.1, &one.2);
    query(client, session, "CREATE TEMPORARY VIEW mine AS SELECT 42 AS answer");
    let long = client.execute(session, LONG).unwrap();

    coordinators[drained].drain(None, Duration::from_hours(1), clock::now());
    let newcomers = [(); 2].map(|()| {
        let mut newcomer = connect(&router, login);
        let session = newcomer.open(&[]).unwrap();
        (newcomer, session)
    });
    assert!(is_running(client, &long), "it is under way while the server drains");
    for (mut newcomer, session) in newcomers {
        let there = query(&mut newcomer, &session, WHO_ARE_YOU);
        assert_ne!(there, *home, "a new session is on the server that drains");
    }
    let again = client.open(&[]).unwrap();
    assert_ne!(
        query(client, &again, WHO_ARE_YOU),
        *home,
        "the connection of an old session makes no difference"
    );
    assert_eq!(finish(client, long), "done");
    assert_eq!(
        query(client, session, "SELECT answer FROM mine"),
        "42",
        "the old session goes on where it was"
    );
    assert_eq!(query(client, session, WHO_ARE_YOU), *home);
    client.close_session(session).unwrap();
    assert!(eventually(|| sessions()[drained] == 0), "{:?}", sessions());

    coordinators[drained].resume();
    assert_eq!(arrive(&router, login).2, *home, "it is the emptier one");
}

#[test]
fn a_server_that_drains_gets_no_new_session_and_old_ones_finish_without_sasl() {
    drain_one_of_two(Login::NoSasl);
}

#[test]
fn a_server_that_drains_gets_no_new_session_and_old_ones_finish_with_plain() {
    drain_one_of_two(Login::Plain);
}
