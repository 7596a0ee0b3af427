//! Statements that run for a while: their logs, their ids and their end, from more connections than one.

use std::net::SocketAddr;

use hs2router::fake::client::{Hs2Client, check, texts};
use hs2router::idl::t_c_l_i_service as cli;
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TOperationState, TTCLIServiceSyncClient as _};

use super::calls::{at_last, await_idle, close, connect, ended, fetched, router, rows, sleep};
use crate::support::clients::Login;
use crate::support::hive::{self, Hive};
use crate::support::router::SELDOM;

/// `FetchResults` of an operation's log (`fetchType` 1), as beeline, `PyHive` and impyla poll it.
fn log(client: &mut Hs2Client, operation: &TOperationHandle, from: cli::TFetchOrientation) -> Vec<String> {
    let request = cli::TFetchResultsReq::new(operation.clone(), from, 1000, Some(1));
    let answer = client.service().fetch_results(request).unwrap();
    check(&answer.status).unwrap();
    answer.results.as_ref().map(texts).unwrap_or_default().concat()
}

/// A line without what differs from run to run.
fn shape(line: &str) -> String {
    let words = line.split("queryId=").next().unwrap_or_default();
    words.chars().filter(|one| !one.is_ascii_digit()).collect()
}

/// What a client sees of a statement that runs for some seconds.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    state: TOperationState,
    rows: Vec<Vec<String>>,
    log: Vec<String>,
    /// Whether the owner's connection and a second one saw the same log and the same id.
    agree: bool,
    after_close: String,
}

fn watch(door: SocketAddr) -> Seen {
    let (mut owner, mut second) = (connect(door), connect(door));
    let session = owner.open(&[]).unwrap();
    let named = cli::TSetClientInfoReq::new(
        session.clone(),
        Some([("ApplicationName".to_owned(), "tests".to_owned())].into()),
    );
    check(&second.service().set_client_info(named).unwrap().status).unwrap();
    let operation = owner.execute(&session, &sleep(3000)).unwrap();
    let mut lines = Vec::new();
    let runs =
        |client: &mut Hs2Client| client.status(&operation).unwrap().0 == TOperationState::RUNNING_STATE;
    assert!(at_last(|| runs(&mut second)), "it runs");
    assert!(at_last(|| {
        lines.extend(log(&mut owner, &operation, cli::TFetchOrientation::FETCH_NEXT));
        !lines.is_empty()
    }));
    let ask = |client: &mut Hs2Client| {
        client.service().get_query_id(cli::TGetQueryIdReq::new(operation.clone())).unwrap().query_id
    };
    let ids = [ask(&mut owner), ask(&mut second)];
    let state = ended(&mut second, &operation).unwrap();
    lines.extend(log(&mut second, &operation, cli::TFetchOrientation::FETCH_NEXT));
    let whole = log(&mut owner, &operation, cli::TFetchOrientation::FETCH_FIRST);
    let found = fetched(&mut second, &operation).unwrap();
    close(&mut second, &operation).unwrap();
    let request = cli::TGetOperationStatusReq::new(operation.clone(), None);
    let status = owner.service().get_operation_status(request).unwrap().status;
    owner.close_session(&session).unwrap();
    Seen {
        state,
        rows: found,
        agree: ids[0] == ids[1] && ids[0].contains('_') && lines == whole,
        log: whole.iter().map(|line| shape(line)).collect(),
        after_close: status
            .error_message
            .unwrap_or_default()
            .split(':')
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

#[test]
fn logs_ids_and_rows_of_a_statement_that_runs_are_the_same_as_without_the_router_from_any_connection() {
    let Some(pair) = hive::pair(Login::NoSasl) else { return };
    let router = router(&pair.each_ref().map(Hive::address), SELDOM);
    let direct = watch(pair[0].address());
    assert_eq!(direct.rows, [["slept", "null"]]);
    assert!(direct.agree, "{direct:?}");
    assert_eq!(direct.after_close, "Invalid OperationHandle");
    assert!(direct.log.iter().any(|line| line.contains("Compiling command(")), "{:?}", direct.log);
    for _ in pair {
        assert_eq!(watch(router.listener(0)), direct);
    }
    await_idle(&router);
}

#[test]
fn a_statement_is_cancelled_from_another_connection_while_it_runs() {
    let Some(pair) = hive::pair(Login::NoSasl) else { return };
    let router = router(&pair.each_ref().map(Hive::address), SELDOM);
    for door in [pair[0].address(), router.listener(0), router.listener(0)] {
        let (mut owner, mut second) = (connect(door), connect(door));
        let session = owner.open(&[]).unwrap();
        let operation = owner.execute(&session, &sleep(600_000)).unwrap();
        let runs =
            |client: &mut Hs2Client| client.status(&operation).unwrap().0 == TOperationState::RUNNING_STATE;
        assert!(at_last(|| runs(&mut owner)), "it runs");
        second.cancel(&operation).unwrap();
        assert_eq!(ended(&mut owner, &operation).unwrap(), TOperationState::CANCELED_STATE);
        close(&mut owner, &operation).unwrap();
        assert_eq!(rows(&mut second, &session, "select 'on'").unwrap(), [["on"]], "the session goes on");
        owner.close_session(&session).unwrap();
    }
    await_idle(&router);
}
