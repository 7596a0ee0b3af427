//! What the tests of real `HiveServer2`s ask them, directly or through the router.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use hs2router::clock;
use hs2router::cluster::Load;
use hs2router::fake::client::{CallError, Hs2Client, Login, check, texts};
use hs2router::idl::t_c_l_i_service as cli;
use hs2router::idl::t_c_l_i_service::{
    TOperationHandle, TOperationState, TSessionHandle, TTCLIServiceSyncClient as _,
};

use crate::support::hive::{Hive, WHO_ARE_YOU};
use crate::support::router::TestRouter;

/// How long anything may take, on a machine that is busy with other tests and servers.
const DEADLINE: Duration = Duration::from_mins(2);
/// How often it is asked whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// Coordinators are watched closely.
pub(super) const OFTEN: &str = "probe = { interval = \"1s\", timeout = \"1s\" }\nslow_start = \"0s\"";

/// A statement that keeps its server busy for so long.
pub(super) fn sleep(ms: u32) -> String {
    format!("select 'slept', reflect('java.lang.Thread', 'sleep', bigint({ms}))")
}

/// A router of flavor hive in front of `c1`, `c2`, …, with these keys for the cluster.
pub(super) fn router(servers: &[SocketAddr], keys: &str) -> TestRouter {
    let lines = servers.iter().enumerate().map(|(place, at)| {
        format!("{{ name = \"c{}\", host = \"127.0.0.1\", hs2 = {} }}", place + 1, at.port())
    });
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"test\"\nflavor = \"hive\"\n{keys}\ncoordinators = [{}]\n",
        lines.collect::<Vec<_>>().join(", ")
    ))
}

pub(super) fn connect(at: SocketAddr) -> Hs2Client {
    Hs2Client::connect(at, &Login::NoSasl).unwrap()
}

/// A session on this server, with its connection; those that are opened elsewhere meanwhile end here.
pub(super) fn session_on(router: &TestRouter, server: &Hive) -> (Hs2Client, TSessionHandle) {
    let mut elsewhere = Vec::new();
    for _ in 0..8 {
        let mut client = connect(router.listener(0));
        let session = client.open(&[]).unwrap();
        if has(server.address(), &session) {
            return (client, session);
        }
        elsewhere.push(client);
    }
    panic!("it gets no session");
}

/// Whether something becomes true in the time that a real server may take.
pub(super) fn at_last(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = clock::now() + DEADLINE;
    while !condition() {
        if clock::now() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// Waits until an operation has ended, and how.
pub(super) fn ended(
    client: &mut Hs2Client,
    operation: &TOperationHandle,
) -> Result<TOperationState, CallError> {
    let deadline = clock::now() + DEADLINE;
    loop {
        let (state, _) = client.status(operation)?;
        let runs = [
            TOperationState::INITIALIZED_STATE,
            TOperationState::PENDING_STATE,
            TOperationState::RUNNING_STATE,
        ];
        if !runs.contains(&state) {
            return Ok(state);
        }
        assert!(clock::now() < deadline, "it still runs");
        thread::sleep(POLL);
    }
}

/// All rows of an operation that has ended. Hive never says that there are more (`hasMoreRows` is always
/// false).
pub(super) fn fetched(
    client: &mut Hs2Client,
    operation: &TOperationHandle,
) -> Result<Vec<Vec<String>>, CallError> {
    let mut rows = Vec::new();
    loop {
        let (set, _) = client.fetch(operation, 1000)?;
        let more = set.as_ref().map(texts).unwrap_or_default();
        if more.is_empty() {
            return Ok(rows);
        }
        rows.extend(more);
    }
}

/// `CloseOperation`.
pub(super) fn close(client: &mut Hs2Client, operation: &TOperationHandle) -> Result<(), CallError> {
    let request = cli::TCloseOperationReq::new(operation.clone());
    check(&client.service().close_operation(request)?.status)
}

/// Runs a statement to its end: its rows.
pub(super) fn rows(
    client: &mut Hs2Client,
    session: &TSessionHandle,
    statement: &str,
) -> Result<Vec<Vec<String>>, CallError> {
    let operation = client.execute(session, statement)?;
    let state = ended(client, &operation)?;
    assert_eq!(state, TOperationState::FINISHED_STATE, "{statement}");
    let rows = if operation.has_result_set { fetched(client, &operation)? } else { Vec::new() };
    close(client, &operation)?;
    Ok(rows)
}

/// Which server runs a session's statements.
pub(super) fn home(client: &mut Hs2Client, session: &TSessionHandle) -> Result<String, CallError> {
    rows(client, session, WHO_ARE_YOU).map(|rows| rows.concat().concat())
}

/// Whether a server has a session, asked of it directly.
///
/// # Panics
///
/// When it says anything else than that it has it or not.
pub(super) fn has(server: SocketAddr, session: &TSessionHandle) -> bool {
    let mut client = connect(server);
    let answer = client.service().get_type_info(cli::TGetTypeInfoReq::new(session.clone())).unwrap();
    match check(&answer.status) {
        // Closing the session closes its operations, too, and may come in between.
        Ok(()) => close(&mut client, &answer.operation_handle.unwrap()).is_ok(),
        Err(CallError::Refused { message, .. }) if message.starts_with("Invalid SessionHandle") => false,
        // It is being closed.
        Err(CallError::Refused { message, .. }) if message.contains("getSessionState()\" is null") => false,
        Err(CallError::Refused { message, .. }) if message.starts_with("Operation does not exist") => false,
        Err(error) => panic!("{error}"),
    }
}

/// Waits until the router counts nothing on any coordinator.
pub(super) fn await_idle(router: &TestRouter) {
    let coordinators = &router.router().fleets()[0].cluster.coordinators();
    let loads = || coordinators.iter().map(|one| one.load()).collect::<Vec<_>>();
    assert!(at_last(|| loads().iter().all(|load| *load == Load::default())), "still counted: {:?}", loads());
}
