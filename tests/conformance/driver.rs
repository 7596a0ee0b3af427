//! What the checks do again and again.

use std::fmt::Debug;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::Id;
use hs2router::fake::client::{self, Hs2Client};
use hs2router::idl::t_c_l_i_service::{
    TCloseOperationReq, TExecuteStatementReq, TFetchOrientation, TFetchResultsReq, TFetchResultsResp,
    TGetOperationStatusReq, TGetOperationStatusResp, THandleIdentifier, TOperationHandle, TOperationState,
    TRowSet, TSessionHandle, TStatus, TStatusCode, TTCLIServiceSyncClient,
};

use crate::target::Target;

/// How long a statement, or anything that happens by itself, may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// An ended call's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) sql_state: Option<String>,
}

/// The error in a status, which must be one.
pub(crate) fn refused(status: &TStatus) -> Refused {
    assert_eq!(status.status_code, TStatusCode::ERROR_STATUS, "{status:?}");
    Refused { message: status.error_message.clone().unwrap_or_default(), sql_state: status.sql_state.clone() }
}

/// A status without an error.
pub(crate) fn succeeded(status: &TStatus) {
    let good = [TStatusCode::SUCCESS_STATUS, TStatusCode::SUCCESS_WITH_INFO_STATUS];
    assert!(good.contains(&status.status_code), "{status:?}");
}

/// The printed form of a handle (Impala: `debug-util.cc` `PrintId`).
pub(crate) fn printed(handle: &THandleIdentifier) -> String {
    Id(handle.guid.clone().try_into().expect("16 bytes")).to_string()
}

/// `handle` with a secret that is not its own.
pub(crate) fn forged(handle: &THandleIdentifier) -> THandleIdentifier {
    let mut secret = handle.secret.clone();
    secret[0] ^= 1;
    THandleIdentifier::new(handle.guid.clone(), secret)
}

/// A handle that nobody gave out.
pub(crate) fn unheard_of() -> THandleIdentifier {
    THandleIdentifier::new(rand::random::<[u8; 16]>().to_vec(), rand::random::<[u8; 16]>().to_vec())
}

/// Starts a statement and leaves it.
pub(crate) fn begin(client: &mut Hs2Client, session: &TSessionHandle, sql: &str) -> TOperationHandle {
    let request = TExecuteStatementReq::new(session.clone(), sql.to_owned(), None, true, None);
    let response = client.service().execute_statement(request).unwrap();
    succeeded(&response.status);
    response.operation_handle.unwrap()
}

/// Asks for an operation's state.
pub(crate) fn status(client: &mut Hs2Client, operation: &TOperationHandle) -> TGetOperationStatusResp {
    client.service().get_operation_status(TGetOperationStatusReq::new(operation.clone(), None)).unwrap()
}

/// Asks until the operation is over, and returns how it ended.
pub(crate) fn ended(client: &mut Hs2Client, operation: &TOperationHandle) -> TGetOperationStatusResp {
    let going =
        [TOperationState::INITIALIZED_STATE, TOperationState::PENDING_STATE, TOperationState::RUNNING_STATE];
    let mut last = None;
    eventually("the operation ends", || {
        let response = status(client, operation);
        succeeded(&response.status);
        let over = !going.contains(&response.operation_state.unwrap());
        last = Some(response);
        over
    });
    last.unwrap()
}

/// Starts a statement and waits until it is finished.
pub(crate) fn run(client: &mut Hs2Client, session: &TSessionHandle, sql: &str) -> TOperationHandle {
    let operation = begin(client, session, sql);
    let end = ended(client, &operation);
    assert_eq!(end.operation_state, Some(TOperationState::FINISHED_STATE), "{end:?}");
    operation
}

/// One fetch, whatever comes of it.
pub(crate) fn try_fetch(
    client: &mut Hs2Client,
    operation: &TOperationHandle,
    count: i64,
) -> TFetchResultsResp {
    let orientation = TFetchOrientation::FETCH_NEXT;
    let request = TFetchResultsReq::new(operation.clone(), orientation, count, None);
    client.service().fetch_results(request).unwrap()
}

/// One fetch that brings a row set.
pub(crate) fn fetch(client: &mut Hs2Client, operation: &TOperationHandle, count: i64) -> (TRowSet, bool) {
    let response = try_fetch(client, operation, count);
    succeeded(&response.status);
    (response.results.unwrap(), response.has_more_rows.unwrap_or(false))
}

/// All rows as text: until a fetch is empty, which is right for every server.
pub(crate) fn all_rows(client: &mut Hs2Client, operation: &TOperationHandle) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    loop {
        let (set, _) = fetch(client, operation, 10_000);
        let next = client::texts(&set);
        if next.is_empty() {
            return rows;
        }
        rows.extend(next);
    }
}

/// Closes an operation in the way that every server knows.
pub(crate) fn close(client: &mut Hs2Client, operation: &TOperationHandle) -> TStatus {
    client.service().close_operation(TCloseOperationReq::new(operation.clone())).unwrap().status
}

/// Runs a statement to the end and returns its rows.
pub(crate) fn ask(client: &mut Hs2Client, session: &TSessionHandle, sql: &str) -> Vec<Vec<String>> {
    let operation = run(client, session, sql);
    let rows = all_rows(client, &operation);
    succeeded(&close(client, &operation));
    rows
}

/// Ends a connection and waits until the other side has ended it too.
pub(crate) fn hang_up(stream: &std::net::TcpStream) {
    use std::io::Read;
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // Over HTTP the end of the last reply's body may be there still.
    let mut rest = Vec::new();
    { stream }.read_to_end(&mut rest).unwrap();
    assert!([&b""[..], b"0\r\n\r\n", b"\r\n0\r\n\r\n"].contains(&rest.as_slice()), "{rest:?}");
}

/// Looks again until it is so, for what the server does in its own time.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = clock::now() + PATIENCE;
    while !is_so() {
        assert!(clock::now() < deadline, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::yield_now();
    }
}

/// The error of a call that its server could not answer: over HTTP it says 500, else it ends the connection.
pub(crate) fn assert_unanswered(error: &thrift::TransportError, target: &Target) {
    use thrift::TransportErrorKind as Kind;
    let expected = if target.http().is_some() { Kind::Unknown } else { Kind::EndOfFile };
    assert_eq!(error.kind, expected, "{error}");
}

/// The exception of a method that declares none.
pub(crate) fn application_error<T: Debug>(result: thrift::Result<T>) -> thrift::ApplicationError {
    match result {
        Err(thrift::Error::Application(error)) => error,
        other => panic!("no application error: {other:?}"),
    }
}
