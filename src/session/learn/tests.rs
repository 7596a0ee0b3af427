//! What replies teach the table.

mod beeswax;
mod gone;
mod running;

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
use crate::wire::verdict::verdict;

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
        learn(&self.call(connection_session, request, reply), reply, running, self.flavor, &self.table);
    }

    fn call<'a>(&'a self, connection_session: Option<Guid>, request: &'a Facts, reply: &Facts) -> Call<'a> {
        let method = lookup(request.name.as_bytes());
        Call {
            method,
            request,
            verdict: verdict(method, reply, self.flavor.family()),
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
        let call = Call { in_doubt: true, ..self.call(connection_session, request, reply) };
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
