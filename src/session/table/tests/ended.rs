//! What is told of sessions and operations that end.

use std::net::IpAddr;

use super::*;

/// A table whose ends are told of.
fn told_of() -> (Fixture, Told) {
    let (fixture, told) = (Fixture::new(8), Told::default());
    let Fixture { cluster, table, open } = fixture;
    let table = table.with_history(Box::new(told.clone()));
    (Fixture { cluster, table, open }, told)
}

#[test]
fn a_session_that_ends_is_told_of_once_with_what_was_open_in_it() {
    let (fixture, told) = told_of();
    fixture.insert_session(1, 1).unwrap();
    let origin = Origin { client: IpAddr::from([10, 0, 0, 1]), listener: "a listener".into() };
    fixture.table.note_origin(&handle(1).guid, &Arc::new(origin.clone()));
    fixture.insert_operation(11, 1, 1);
    for _ in 0..2 {
        fixture.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    }
    let whose = Whose { access: Access::ANONYMOUS, origin: Some(Arc::new(origin)) };
    let (sessions, operations) = (told.sessions.lock(), told.operations.lock());
    assert_eq!((sessions.len(), operations.len()), (1, 1));
    let (session, operation) = (&sessions[0], &operations[0]);
    assert_eq!(
        (session.guid, session.coordinator, session.end),
        (handle(1).guid, CoordinatorId(1), SessionEnd::Closed)
    );
    assert_eq!((&session.whose, session.is_beeswax, session.is_located), (&whose, false, false));
    assert!(session.earlier.is_empty());
    assert_eq!((operation.guid, operation.session), (handle(11).guid, Some(handle(1).guid)));
    assert_eq!((operation.coordinator, operation.whose.as_ref()), (CoordinatorId(1), Some(&whose)));
    assert_eq!((operation.end, operation.kind), (OperationEnd::SessionEnded, OperationKind::Statement));
}

#[test]
fn each_way_to_end_has_its_own_word() {
    let (fixture, told) = told_of();
    let now = clock::now();
    fixture.insert_session(1, 0).unwrap();
    fixture.table.end_with_link(&handle(1).guid);
    assert_eq!(told.sessions(), [SessionEnd::Disconnected]);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_session(1, 0).unwrap();
    assert_eq!(told.sessions(), [SessionEnd::Gone], "its coordinator has minted its guid again");
    fixture.insert_operation(11, 1, 0);
    fixture.table.forget_detached(now);
    fixture.table.forget_detached(now + DETACHED_FOR);
    assert_eq!(told.sessions(), [SessionEnd::Forgotten]);
    assert_eq!(told.operations(), [OperationEnd::SessionEnded]);
    fixture.insert_session(2, 0).unwrap();
    fixture.insert_operation(12, 2, 0);
    fixture.table.tell_left_open();
    assert_eq!(
        (told.sessions(), told.operations()),
        (vec![SessionEnd::LeftOpen], vec![OperationEnd::LeftOpen])
    );
}

/// Something that is seen of an operation.
type Happens = fn(&Table, &Guid);

fn cancelled_after_it_failed(table: &Table, operation: &Guid) {
    table.end_running(operation, OperationEnd::Failed);
    table.end_running(operation, OperationEnd::Cancelled);
}

fn failed_in_a_fetch(table: &Table, operation: &Guid) {
    table.finish(operation);
    table.end_running(operation, OperationEnd::Failed);
}

fn lost(table: &Table, _: &Guid) {
    assert_eq!(table.note_process_ended(CoordinatorId(0), |_, _| true), 1);
}

#[test]
fn what_was_seen_of_an_operations_end_comes_before_who_closed_it() {
    let (fixture, told) = told_of();
    fixture.insert_session(1, 0).unwrap();
    let guid = handle(11).guid;
    let ends: [(Happens, OperationEnd); 6] = [
        (|_, _| {}, OperationEnd::Closed),
        (Table::finish, OperationEnd::Finished),
        (|table, guid| table.end_running(guid, OperationEnd::Cancelled), OperationEnd::Cancelled),
        (cancelled_after_it_failed, OperationEnd::Failed),
        (failed_in_a_fetch, OperationEnd::Failed),
        (lost, OperationEnd::Lost),
    ];
    for (happens, end) in ends {
        fixture.insert_operation(11, 1, 0);
        happens(&fixture.table, &guid);
        assert_eq!(told.operations(), [], "it is open");
        for _ in 0..2 {
            fixture.table.close_operation(&guid, OperationEnd::Closed);
        }
        assert_eq!(told.operations(), [end]);
    }
}

#[test]
fn an_operation_that_was_located_is_told_of_when_it_is_not_there_and_when_it_is_forgotten() {
    let (fixture, told) = told_of();
    let (now, owner) = (clock::now(), fixture.cluster.coordinators()[0].clone());
    let located = |number| LocatedOperation {
        handle: handle(number),
        coordinator: owner.id,
        running: None,
        open: fixture.open.count(),
        counted: owner.count_operation(),
    };
    for number in [1, 2] {
        fixture.table.insert_located_operation(located(number), now);
    }
    fixture.table.forget_operation(&handle(1));
    assert_eq!(told.operations(), [OperationEnd::Gone]);
    fixture.table.forget_detached(now + DETACHED_FOR);
    let operations = told.operations.lock();
    assert_eq!(
        operations.iter().map(|one| (one.guid, one.end)).collect::<Vec<_>>(),
        [(handle(2).guid, OperationEnd::Forgotten)]
    );
    assert!(operations[0].whose.is_none() && operations[0].session.is_none());
}
