//! Sessions and operations that were located.

use super::*;
use crate::ids::Access;
use crate::session::table::store::OPERATIONS_PER_SESSION;

const OWNER: CoordinatorId = CoordinatorId(1);
const SESSION: u8 = 1;
const OPERATION: u8 = 2;

struct Fixture {
    cluster: Cluster,
    table: Table,
    open: OpenOperations,
}

impl Fixture {
    fn new(capacity: usize) -> Self {
        let table = Table::new(Settings { capacity, detached_for: DETACHED_FOR });
        Self { cluster: cluster(2), table, open: OpenOperations::default() }
    }

    fn session(&self, number: u8, coordinator: CoordinatorId) -> NewSession {
        let Handle { guid, secret } = handle(number);
        let count = self.cluster.coordinator(coordinator).unwrap().count_session();
        NewSession {
            guid,
            secret: Some(secret),
            coordinator,
            access: Access::ANONYMOUS,
            count,
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        }
    }

    /// An operation that still runs.
    fn find_operation(&self, number: u8, now: Instant) {
        let owner = self.cluster.coordinator(OWNER).unwrap();
        let found = LocatedOperation {
            handle: handle(number),
            coordinator: OWNER,
            running: Some(owner.count_running().minted()),
            open: self.open.count(),
            counted: owner.count_operation(),
        };
        self.table.insert_located_operation(found, now);
    }

    fn knows_operation(&self, number: u8) -> bool {
        self.table.operation_owner(&handle(number).guid) == Some(OWNER)
    }

    fn load(&self) -> Load {
        self.cluster.coordinator(OWNER).unwrap().load()
    }
}

#[test]
fn a_found_session_is_routed_and_counted_like_any_and_says_that_it_was_found() {
    let fixture = Fixture::new(8);
    fixture.table.insert_located_session(fixture.session(SESSION, OWNER)).unwrap();
    let guid = handle(SESSION).guid;
    assert_eq!(fixture.table.session_owner(&guid), Some(OWNER));
    assert!(
        fixture.table.is_session(&handle(SESSION)) && !fixture.table.is_session(&guessed(handle(SESSION)))
    );
    assert!(fixture.table.was_located(&guid));
    assert_eq!(fixture.load().open_sessions, 1);
    fixture.table.remove_session(&guid, SessionEnd::Closed);
    assert_eq!(fixture.load().open_sessions, 0);
    fixture.table.insert_session(fixture.session(SESSION, OWNER)).unwrap();
    assert!(!fixture.table.was_located(&guid), "one that was opened here is known through and through");
}

#[test]
fn finding_a_session_that_is_known_by_now_changes_nothing() {
    let fixture = Fixture::new(8);
    fixture.table.insert_session(fixture.session(SESSION, OWNER)).unwrap();
    let owner = fixture.cluster.coordinator(OWNER).unwrap();
    let open_in_it = || NewOperation {
        kind: OperationKind::Statement,
        now: clock::now(),
        guid: handle(OPERATION).guid,
        secret: None,
        coordinator: OWNER,
        session: handle(SESSION).guid,
        has_result_set: true,
        running: None,
        open: fixture.open.count(),
        counted: owner.count_operation(),
    };
    fixture.table.insert_operation(open_in_it());
    assert_eq!(fixture.table.insert_located_session(fixture.session(SESSION, OWNER)), Ok(()));
    assert!(!fixture.table.was_located(&handle(SESSION).guid));
    assert!(fixture.knows_operation(OPERATION), "what is open in it stays");
    assert_eq!(fixture.load().open_sessions, 1);
    let elsewhere = fixture.session(SESSION, CoordinatorId(0));
    assert_eq!(fixture.table.insert_located_session(elsewhere), Err(NotKept::Taken));
}

#[test]
fn a_full_table_takes_no_found_session() {
    let fixture = Fixture::new(1);
    fixture.table.insert_located_session(fixture.session(SESSION, OWNER)).unwrap();
    assert_eq!(fixture.table.insert_located_session(fixture.session(9, OWNER)), Err(NotKept::Full));
}

#[test]
fn a_found_operation_counts_until_it_ends_and_is_closed() {
    let (fixture, now) = (Fixture::new(8), clock::now());
    fixture.find_operation(OPERATION, now);
    let guid = handle(OPERATION).guid;
    assert!(fixture.knows_operation(OPERATION) && fixture.table.is_operation(&handle(OPERATION)));
    assert_eq!((fixture.load().running_operations, fixture.open.is_empty()), (1, false));
    fixture.table.finish(&guid);
    assert_eq!(fixture.load().running_operations, 1, "it may have rows");
    fixture.table.end_running(&guid, OperationEnd::Finished);
    assert_eq!((fixture.load().running_operations, fixture.open.is_empty()), (0, false));
    fixture.table.close_operation(&guid, OperationEnd::Closed);
    assert!(fixture.open.is_empty() && fixture.knows_operation(OPERATION), "its profile may be asked for");
    fixture.table.forget_detached(now + DETACHED_FOR);
    assert!(fixture.knows_operation(OPERATION), "it is forgotten as every closed one");
}

#[test]
fn a_found_operation_is_forgotten_when_a_session_without_connections_would_be() {
    let (fixture, now) = (Fixture::new(8), clock::now());
    fixture.find_operation(OPERATION, now);
    fixture.table.forget_detached(now + DETACHED_FOR / 2);
    assert!(fixture.knows_operation(OPERATION));
    fixture.table.forget_detached(now + DETACHED_FOR);
    assert!(!fixture.knows_operation(OPERATION));
    assert_eq!((fixture.load(), fixture.open.is_empty()), (Load::default(), true));
}

#[test]
fn however_many_operations_are_found_the_table_is_bounded() {
    let (fixture, now) = (Fixture::new(8), clock::now());
    for number in 0..200 {
        fixture.find_operation(number, now);
        if number % 2 == 0 {
            fixture.table.close_operation(&handle(number).guid, OperationEnd::Closed);
        }
        assert!(fixture.table.operations() <= 8 * OPERATIONS_PER_SESSION);
        assert!(fixture.table.located.lock().0.len() <= 8 * OPERATIONS_PER_SESSION + 1);
    }
}
