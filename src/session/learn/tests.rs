use std::time::Duration;

use super::*;
use crate::clock;
use crate::ids::Access;
use crate::session::idle::IdleTimeout;
use crate::session::messages::{
    call, cluster, failed, guessed, handle, minted, query_id, reply, statement, succeeded, thrown,
    with_handle, with_query_id, with_two_handles,
};
use crate::session::table::{NewSession, Settings};
use crate::wire::facts::Handle;
use crate::wire::method::lookup;

const SESSION: u8 = 1;
const OPERATION: u8 = 2;

/// A coordinator with one session, whose operations are learnt.
struct Fixture {
    flavor: Flavor,
    coordinator: Arc<Coordinator>,
    table: Table,
    open: OpenOperations,
}

impl Fixture {
    fn new(flavor: Flavor) -> Self {
        let table = Table::new(Settings { capacity: 8, detached_for: Duration::from_mins(1) });
        let coordinator = Arc::clone(&cluster(1).coordinators()[0]);
        let fixture = Self { flavor, coordinator, table, open: OpenOperations::default() };
        let coordinator = fixture.coordinator();
        let Handle { guid, secret } = handle(SESSION);
        let count = coordinator.count_session();
        let session = NewSession {
            guid,
            secret: Some(secret),
            coordinator: coordinator.id,
            count,
            access: Access::ANONYMOUS,
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        };
        fixture.table.insert_session(session).unwrap();
        fixture
    }

    fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }

    fn learn(&self, request: &Facts, reply: &Facts) {
        self.learn_counted(request, reply, None);
    }

    fn learn_counted(&self, request: &Facts, reply: &Facts, running: Option<RunningCount>) {
        self.learn_on(Some(handle(SESSION).guid), request, reply, running);
    }

    /// On the connection of a session.
    fn learn_on(
        &self,
        connection_session: Option<Guid>,
        request: &Facts,
        reply: &Facts,
        running: Option<RunningCount>,
    ) {
        learn(&self.call(connection_session, request), reply, running, self.flavor, &self.table);
    }

    fn call<'a>(&'a self, connection_session: Option<Guid>, request: &'a Facts) -> Call<'a> {
        Call {
            method: lookup(request.name.as_bytes()),
            request,
            coordinator: self.coordinator(),
            connection_session,
            open: &self.open,
            in_doubt: false,
            effect: &Effect::Nothing,
            now: clock::now(),
        }
    }

    /// What was read may answer another call.
    fn learn_in_doubt(&self, connection_session: Option<Guid>, request: &Facts, reply: &Facts) {
        let call = Call { in_doubt: true, ..self.call(connection_session, request) };
        learn(&call, reply, None, self.flavor, &self.table);
    }

    /// A statement that was counted while it was under way.
    fn execute(&self, run_async: Option<bool>, has_result_set: Option<bool>) {
        let request = statement(handle(SESSION), run_async);
        let reply = minted("ExecuteStatement", handle(OPERATION), has_result_set);
        self.learn_counted(&request, &reply, Some(self.coordinator().count_running()));
    }

    /// The same in Beeswax.
    fn query(&self) {
        let request = call("query", |arguments| arguments.structure(1, |query| query.string(1, b"select 1")));
        let id = query_id(handle(OPERATION));
        let reply = reply("query", |result| result.structure(0, |query| query.string(1, id.as_bytes())));
        self.learn_counted(&request, &reply, Some(self.coordinator().count_running()));
    }

    fn fetched(&self, more: bool) {
        let rows = succeeded("FetchResults", |response| response.bool(2, more));
        self.learn(&with_handle("FetchResults", handle(OPERATION)), &rows);
    }

    fn polled(&self, state: i32) {
        let reply = succeeded("GetOperationStatus", |response| response.i32(2, state));
        self.learn(&with_handle("GetOperationStatus", handle(OPERATION)), &reply);
    }

    fn about_query(&self, method: &str, reply: &Facts) {
        self.learn(&with_query_id(method, &query_id(handle(OPERATION))), reply);
    }

    fn running(&self) -> u32 {
        self.coordinator().load().running_operations
    }

    fn knows_session(&self) -> bool {
        self.table.session_owner(&handle(SESSION).guid).is_some()
    }

    fn knows_operation(&self) -> bool {
        self.table.operation_owner(&handle(OPERATION).guid).is_some()
    }
}

/// A running impala operation with rows.
fn running_on_impala() -> Fixture {
    let fixture = Fixture::new(Flavor::Impala);
    fixture.execute(None, Some(true));
    assert!(fixture.knows_operation());
    assert_eq!(fixture.running(), 1);
    fixture
}

fn querying() -> Fixture {
    let fixture = Fixture::new(Flavor::Impala);
    fixture.query();
    assert!(fixture.knows_operation());
    assert_eq!(fixture.running(), 1);
    fixture
}

#[test]
fn on_impala_finished_still_runs_until_no_rows_remain() {
    let fixture = running_on_impala();
    fixture.polled(1);
    fixture.polled(2);
    fixture.fetched(true);
    assert_eq!(fixture.running(), 1);
    fixture.fetched(false);
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty(), "open until it is closed");
}

#[test]
fn on_impala_a_statement_without_rows_ends_when_it_has_finished() {
    let fixture = Fixture::new(Flavor::Impala);
    fixture.execute(None, Some(false));
    for state in [0, 1, 6, 7] {
        fixture.polled(state);
        assert_eq!(fixture.running(), 1, "state {state}");
    }
    fixture.polled(2);
    assert_eq!(fixture.running(), 0);
}

#[test]
fn impala_ignores_run_async() {
    for run_async in [None, Some(false), Some(true)] {
        let fixture = Fixture::new(Flavor::Impala);
        fixture.execute(run_async, Some(true));
        assert_eq!(fixture.running(), 1, "{run_async:?}");
    }
}

#[test]
fn states_that_end_an_operation_end_it_on_every_flavor() {
    for flavor in [Flavor::Impala, Flavor::Hive, Flavor::Spark] {
        for state in [3, 4, 5, 8] {
            let fixture = Fixture::new(flavor);
            fixture.execute(Some(true), Some(true));
            fixture.polled(1);
            assert_eq!(fixture.running(), 1, "{flavor:?}");
            fixture.polled(state);
            assert_eq!(fixture.running(), 0, "{flavor:?} {state}");
        }
    }
}

#[test]
fn elsewhere_an_asynchronous_statement_ends_when_it_has_finished_whatever_a_fetch_says() {
    for flavor in [Flavor::Hive, Flavor::Spark] {
        let fixture = Fixture::new(flavor);
        fixture.execute(Some(true), Some(true));
        fixture.fetched(false);
        assert_eq!(fixture.running(), 1, "{flavor:?} says of every fetch that no rows remain");
        fixture.polled(2);
        assert_eq!(fixture.running(), 0, "{flavor:?}");
    }
}

#[test]
fn elsewhere_a_synchronous_statement_has_ended_with_its_reply() {
    for flavor in [Flavor::Hive, Flavor::Spark] {
        for run_async in [None, Some(false)] {
            let fixture = Fixture::new(flavor);
            fixture.execute(run_async, Some(true));
            assert_eq!(fixture.running(), 0, "{flavor:?} {run_async:?}");
            assert!(fixture.knows_operation() && !fixture.open.is_empty());
        }
    }
}

#[test]
fn metadata_calls_mint_operations_that_never_count_as_running() {
    for method in ["GetTables", "GetSchemas", "GetColumns", "GetTypeInfo"] {
        let fixture = Fixture::new(Flavor::Impala);
        let running = Some(fixture.coordinator().count_running());
        let reply = minted(method, handle(OPERATION), Some(true));
        fixture.learn_counted(&with_handle(method, handle(SESSION)), &reply, running);
        assert!(fixture.knows_operation(), "{method}");
        assert_eq!(fixture.running(), 0, "{method}");
    }
}

#[test]
fn a_statement_that_failed_mints_nothing_and_counts_no_more() {
    let fixture = Fixture::new(Flavor::Impala);
    let request = statement(handle(SESSION), None);
    // A handle that looks alive: the status comes first.
    let reply = reply("ExecuteStatement", |result| {
        result.structure(0, |response| {
            response.structure(1, |status| status.i32(1, 3));
            response.structure(2, |operation| {
                operation.structure(1, |identifier| {
                    identifier.string(1, &[OPERATION; 16]);
                    identifier.string(2, &[9; 16]);
                });
            });
        });
    });
    assert!(reply.handle().is_some());
    fixture.learn_counted(&request, &reply, Some(fixture.coordinator().count_running()));
    assert!(!fixture.knows_operation());
    assert_eq!(fixture.running(), 0);
}

#[test]
fn a_cancelled_operation_runs_no_more_and_stays_open() {
    let fixture = running_on_impala();
    let reply = succeeded("CancelOperation", |_| {});
    fixture.learn(&with_handle("CancelOperation", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty());
}

#[test]
fn a_cancel_that_failed_ends_nothing() {
    let fixture = running_on_impala();
    let reply = failed("CancelOperation", "not yours");
    fixture.learn(&with_handle("CancelOperation", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 1);
}

#[test]
fn a_failed_fetch_ends_its_operation_only_for_who_knows_the_secret() {
    let fixture = running_on_impala();
    let reply = failed("FetchResults", "Memory limit exceeded");
    fixture.learn(&with_handle("FetchResults", guessed(handle(OPERATION))), &reply);
    assert_eq!(fixture.running(), 1);
    fixture.learn(&with_handle("FetchResults", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty());
}

#[test]
fn a_failed_poll_says_nothing_of_the_operation() {
    let fixture = running_on_impala();
    let reply = failed("GetOperationStatus", "try again");
    fixture.learn(&with_handle("GetOperationStatus", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 1);
}

#[test]
fn a_closed_operation_is_still_known() {
    for method in ["CloseOperation", "CloseImpalaOperation"] {
        let fixture = running_on_impala();
        fixture.learn(&with_handle(method, handle(OPERATION)), &succeeded(method, |_| {}));
        assert!(fixture.knows_operation() && fixture.open.is_empty(), "{method}");
        assert_eq!(fixture.running(), 0, "{method}");
    }
}

#[test]
fn a_closed_session_is_gone_with_its_operations() {
    let fixture = running_on_impala();
    let reply = succeeded("CloseSession", |_| {});
    fixture.learn(&with_handle("CloseSession", handle(SESSION)), &reply);
    assert!(!fixture.knows_session() && !fixture.knows_operation());
    assert_eq!((fixture.running(), fixture.coordinator().load().open_sessions), (0, 0));
}

#[test]
fn a_session_that_its_coordinator_does_not_know_is_gone() {
    for (flavor, words) in [
        (Flavor::Impala, "Invalid session id: 1:2"),
        (Flavor::Hive, "Invalid SessionHandle: x"),
        (Flavor::Spark, "Invalid SessionHandle: x"),
    ] {
        for method in ["ExecuteStatement", "GetTables", "CloseSession", "GetInfo", "PingImpalaHS2Service"] {
            let fixture = Fixture::new(flavor);
            fixture.execute(Some(true), Some(true));
            assert!(fixture.knows_operation() && fixture.running() == 1);
            fixture.learn(&with_handle(method, handle(SESSION)), &failed(method, words));
            assert!(!fixture.knows_session() && !fixture.knows_operation(), "{method}: {words}");
            assert_eq!(fixture.running(), 0);
        }
    }
}

#[test]
fn the_words_of_other_servers_teach_nothing() {
    for (flavor, words) in [
        (Flavor::Impala, "Invalid SessionHandle: x"),
        (Flavor::Impala, "Session does not exist!"),
        (Flavor::Hive, "Invalid session id: 1:2"),
        (Flavor::Spark, "Invalid session id: 1:2"),
    ] {
        for method in ["ExecuteStatement", "GetTables", "CloseSession", "GetInfo"] {
            let fixture = Fixture::new(flavor);
            fixture.learn(&with_handle(method, handle(SESSION)), &failed(method, words));
            assert!(fixture.knows_session(), "{flavor}: {method}: {words}");
        }
    }
}

#[test]
fn what_may_answer_another_call_teaches_nothing_of_what_its_client_does_not_know() {
    let close = |fixture: &Fixture, session| {
        let request = with_handle("CloseSession", session);
        fixture.learn_in_doubt(None, &request, &succeeded("CloseSession", |_| {}));
    };
    let fixture = running_on_impala();
    close(&fixture, guessed(handle(SESSION)));
    let of_operation = with_handle("CloseOperation", guessed(handle(OPERATION)));
    fixture.learn_in_doubt(None, &of_operation, &succeeded("CloseOperation", |_| {}));
    assert!(fixture.knows_session() && fixture.running() == 1);
    close(&fixture, handle(SESSION));
    assert!(!fixture.knows_session());

    let fixture = querying();
    let (request, closed) = (with_query_id("close", &query_id(handle(OPERATION))), reply("close", |_| {}));
    fixture.learn_in_doubt(Some(handle(9).guid), &request, &closed);
    assert_eq!(fixture.running(), 1);
    fixture.learn_in_doubt(Some(handle(SESSION).guid), &request, &closed);
    assert_eq!(fixture.running(), 0);
}

#[test]
fn a_profile_tells_that_its_session_is_gone_to_who_knows_the_secret() {
    let fixture = running_on_impala();
    let reply = failed("GetRuntimeProfile", "Invalid session id: 1:2");
    let ask = |session| with_two_handles("GetRuntimeProfile", handle(OPERATION), session);
    fixture.learn(&ask(guessed(handle(SESSION))), &reply);
    assert!(fixture.knows_session());
    fixture.learn(&ask(handle(SESSION)), &reply);
    assert!(!fixture.knows_session() && !fixture.knows_operation());
}

#[test]
fn an_answer_to_a_guessed_secret_removes_nothing() {
    for method in ["ExecuteStatement", "GetTables", "CloseSession", "GetInfo"] {
        let fixture = running_on_impala();
        let reply = failed(method, "Invalid session id: 1:2");
        fixture.learn(&with_handle(method, guessed(handle(SESSION))), &reply);
        assert!(fixture.knows_session() && fixture.knows_operation(), "{method}");
    }
    for method in ["GetOperationStatus", "FetchResults", "CloseOperation", "CancelOperation", "GetLog"] {
        for words in ["Invalid or unknown query handle: 1:2", "Invalid OperationHandle: x"] {
            let fixture = running_on_impala();
            fixture.learn(&with_handle(method, guessed(handle(OPERATION))), &failed(method, words));
            assert_eq!(fixture.running(), 1, "{method}");
            assert!(!fixture.open.is_empty(), "{method}");
        }
    }
}

#[test]
fn an_operation_that_its_coordinator_does_not_know_is_closed() {
    for words in ["Query 1:2 failed:\nInvalid or unknown query handle: 1:2.", "Invalid query handle: 1:2"] {
        let fixture = running_on_impala();
        let reply = failed("GetOperationStatus", words);
        fixture.learn(&with_handle("GetOperationStatus", handle(OPERATION)), &reply);
        assert_eq!(fixture.running(), 0);
        assert!(fixture.open.is_empty() && fixture.knows_operation());
    }
}

#[test]
fn a_coordinator_that_shuts_down_takes_nothing_along() {
    let fixture = running_on_impala();
    let words = "Server is being shut down: soon";
    fixture.learn(&with_handle("ExecuteStatement", handle(SESSION)), &failed("ExecuteStatement", words));
    fixture.learn(&with_handle("GetInfo", handle(SESSION)), &failed("GetInfo", words));
    assert!(fixture.knows_session());
    assert_eq!(fixture.running(), 1);
}

#[test]
fn a_profile_leaves_the_operation_as_it_is() {
    let fixture = running_on_impala();
    let request = with_two_handles("GetRuntimeProfile", handle(OPERATION), handle(SESSION));
    fixture.learn(&request, &succeeded("GetRuntimeProfile", |_| {}));
    assert!(fixture.knows_session() && !fixture.open.is_empty());
    assert_eq!(fixture.running(), 1);
}

#[test]
fn a_beeswax_query_is_known_by_its_id_and_runs_until_no_rows_remain() {
    let fixture = querying();
    let state = |number| reply("get_state", |result| result.i32(0, number));
    for number in [0, 1, 2, 3, 4] {
        fixture.about_query("get_state", &state(number));
        assert_eq!(fixture.running(), 1, "state {number}");
    }
    let rows = |more| reply("fetch", |result| result.structure(0, |results| results.bool(5, more)));
    fixture.about_query("fetch", &rows(true));
    assert_eq!(fixture.running(), 1);
    fixture.about_query("fetch", &rows(false));
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty());
}

#[test]
fn a_beeswax_query_ends_by_an_exception_a_failed_fetch_a_cancel_or_a_close() {
    let nothing = |method| reply(method, |_| {});
    let state = reply("get_state", |result| result.i32(0, 5));
    let ends = [
        ("get_state", state),
        ("fetch", thrown("fetch", "Memory limit exceeded")),
        ("Cancel", nothing("Cancel")),
        ("close", nothing("close")),
        ("CloseInsert", nothing("CloseInsert")),
    ];
    for (method, reply) in ends {
        let fixture = querying();
        fixture.about_query(method, &reply);
        assert_eq!(fixture.running(), 0, "{method}");
        assert!(fixture.knows_operation(), "{method}");
        assert_eq!(fixture.open.is_empty(), method.starts_with(['c', 'C']) && method != "Cancel", "{method}");
    }
}

#[test]
fn a_beeswax_query_that_its_coordinator_does_not_know_is_closed() {
    let fixture = querying();
    fixture.about_query("get_state", &thrown("get_state", "Invalid or unknown query handle: 1:2"));
    assert_eq!(fixture.running(), 0);
    assert!(fixture.open.is_empty());
}

/// Calls that name a query id, each with the two refusals that could be taken for the query's end.
fn refusals() -> Vec<(Facts, Facts)> {
    let id = query_id(handle(OPERATION));
    let methods = ["close", "get_state", "fetch", "get_log", "Cancel", "CloseInsert"];
    let words =
        ["Invalid or unknown query handle: 1:2.", "Query 1:2 failed:\nInvalid or unknown query handle: 1:2."];
    let refused = methods.into_iter().flat_map(|method| words.map(|words| (method, words)));
    refused.map(|(method, words)| (with_query_id(method, &id), thrown(method, words))).collect()
}

#[test]
fn what_somebody_else_is_told_of_a_beeswax_query_ends_nothing() {
    for (request, refusal) in refusals() {
        let fixture = querying();
        for session in [None, Some(handle(7).guid)] {
            fixture.learn_on(session, &request, &refusal, None);
        }
        assert_eq!(fixture.running(), 1, "{:?}", request.name);
        assert!(!fixture.open.is_empty(), "{:?}", request.name);
    }
}

#[test]
fn an_hs2_operation_is_not_ended_by_who_knows_its_query_id_only() {
    let id = query_id(handle(OPERATION));
    let mut answers = refusals();
    answers.extend(
        ["close", "Cancel", "CloseInsert"].map(|method| (with_query_id(method, &id), reply(method, |_| {}))),
    );
    answers.push((with_query_id("get_state", &id), reply("get_state", |result| result.i32(0, 5))));
    for (request, answer) in answers {
        let fixture = running_on_impala();
        for session in [None, Some(handle(7).guid), Some(handle(SESSION).guid)] {
            fixture.learn_on(session, &request, &answer, None);
        }
        assert_eq!(fixture.running(), 1, "{:?}", request.name);
        assert!(!fixture.open.is_empty(), "{:?}", request.name);
    }
}

#[test]
fn somebody_elses_cancel_or_close_that_succeeds_ends_a_beeswax_query() {
    for method in ["Cancel", "close"] {
        let fixture = querying();
        let request = with_query_id(method, &query_id(handle(OPERATION)));
        fixture.learn_on(Some(handle(7).guid), &request, &reply(method, |_| {}), None);
        assert_eq!(fixture.running(), 0, "{method}");
    }
}

#[test]
fn a_beeswax_query_ends_with_its_connections_session() {
    let fixture = querying();
    fixture.table.remove_session(&handle(SESSION).guid);
    assert!(!fixture.knows_operation() && fixture.open.is_empty());
    assert_eq!(fixture.running(), 0);
}
