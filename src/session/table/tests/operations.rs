//! Operations: who owns them, what they count for, when they are forgotten.

use super::*;
use crate::ids::{Access, Identity, Transport};

#[test]
fn an_operation_minted_twice_ends_with_the_later_session() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_session(2, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.insert_operation(11, 2, 0);
    fixture.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    assert_eq!(fixture.operation_owner(11), Some(0));
    fixture.table.remove_session(&handle(2).guid, SessionEnd::Closed);
    assert_eq!((fixture.operation_owner(11), fixture.counted()), (None, (0, 0)));
}

#[test]
fn open_operations_fill_the_table_and_closed_ones_make_room() {
    let fixture = Fixture::new(1);
    fixture.insert_session(1, 0).unwrap();
    for number in 11..=14 {
        fixture.insert_operation(number, 1, 0);
    }
    fixture.insert_operation(15, 1, 0);
    assert_eq!(fixture.operation_owner(15), None);
    assert_eq!(fixture.counted(), (1, 4), "what is not kept does not count");
    fixture.table.close_operation(&handle(12).guid, OperationEnd::Closed);
    fixture.table.close_operation(&handle(11).guid, OperationEnd::Closed);
    fixture.insert_operation(15, 1, 0);
    assert_eq!(fixture.operation_owner(15), Some(0));
    assert_eq!(fixture.operation_owner(12), None, "closed first, forgotten first");
    assert_eq!(fixture.operation_owner(11), Some(0));
}

#[test]
fn a_closed_operation_stays_resolvable_and_counts_no_more() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    assert!(!fixture.open.is_empty());
    fixture.table.close_operation(&handle(11).guid, OperationEnd::Closed);
    fixture.table.close_operation(&handle(11).guid, OperationEnd::Closed);
    assert_eq!(fixture.operation_owner(11), Some(0));
    assert!(fixture.table.is_operation(&handle(11)));
    assert!(fixture.open.is_empty());
    assert_eq!(fixture.counted(), (1, 0));
    assert_eq!(fixture.closed_guids(), 1, "closing twice is remembered once");
    fixture.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    assert_eq!(fixture.operation_owner(11), Some(0), "impala-shell may still ask for its profile");
}

#[test]
fn the_oldest_closed_operation_is_forgotten_at_the_bound() {
    let mut fixture = Fixture::new(8);
    fixture.table.closed_capacity = 2;
    fixture.insert_session(1, 0).unwrap();
    for number in [13, 11, 12] {
        fixture.insert_operation(number, 1, 0);
        fixture.table.close_operation(&handle(number).guid, OperationEnd::Closed);
    }
    assert_eq!([11, 12, 13].map(|number| fixture.operation_owner(number)), [Some(0), Some(0), None]);
    assert_eq!(fixture.closed_guids(), 2);
}

#[test]
fn the_bound_on_closed_operations_forgets_no_open_one() {
    let mut fixture = Fixture::new(8);
    fixture.table.closed_capacity = 1;
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.table.close_operation(&handle(11).guid, OperationEnd::Closed);
    // The same guid once more, now open, while the closed one is still queued.
    fixture.insert_operation(11, 1, 0);
    fixture.insert_operation(12, 1, 0);
    fixture.table.close_operation(&handle(12).guid, OperationEnd::Closed);
    assert_eq!(fixture.operation_owner(11), Some(0));
}

#[test]
fn a_session_takes_its_operations_along_and_gives_the_counts_back() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_session(2, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.insert_operation(12, 1, 0);
    fixture.insert_operation(21, 2, 0);
    assert_eq!(fixture.counted(), (2, 3));
    fixture.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    assert_eq!([11, 12, 21].map(|number| fixture.operation_owner(number)), [None, None, Some(0)]);
    assert_eq!(fixture.counted(), (1, 1));
    fixture.table.remove_session(&handle(2).guid, SessionEnd::Closed);
    assert_eq!(fixture.counted(), (0, 0));
    assert!(fixture.open.is_empty());
}

#[test]
fn an_operation_whose_session_is_gone_is_not_kept() {
    let fixture = Fixture::new(8);
    fixture.insert_operation(11, 1, 0);
    assert_eq!((fixture.operation_owner(11), fixture.counted()), (None, (0, 0)));
    assert!(fixture.open.is_empty());
}

#[test]
fn to_close_an_operation_costs_no_more_where_its_session_has_many() {
    const MANY: u32 = 40_000;
    let fixture = Fixture::new(20_000);
    fixture.insert_session(1, 0).unwrap();
    let owner = &fixture.cluster.coordinators()[0];
    let guids: Vec<Guid> = (0..MANY).map(|number| u128::from(number).to_be_bytes()).collect();
    for &guid in &guids {
        fixture.table.insert_operation(NewOperation {
            kind: OperationKind::Statement,
            now: clock::now(),
            guid,
            secret: None,
            coordinator: owner.id,
            session: handle(1).guid,
            has_result_set: true,
            running: None,
            open: fixture.open.count(),
            counted: owner.count_operation(),
        });
    }
    let begun = clock::now();
    for guid in &guids {
        fixture.table.close_operation(guid, OperationEnd::Closed);
    }
    assert!(fixture.open.is_empty());
    // A look through the others at each close takes more than twenty seconds in this build, a look-up a tenth
    // of one.
    let lasted = clock::now() - begun;
    assert!(lasted < Duration::from_secs(3), "{lasted:?}");
}

#[test]
fn running_ends_while_the_operation_stays_open() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.table.finish(&handle(11).guid);
    assert_eq!(fixture.counted(), (1, 1), "its rows remain");
    fixture.table.end_running(&handle(11).guid, OperationEnd::Finished);
    assert_eq!(fixture.counted(), (1, 0));
    assert!(!fixture.open.is_empty());
}

#[test]
fn what_is_open_on_a_coordinator_is_told_by_whose_it_is_and_how_a_call_names_it() {
    let fixture = Fixture::new(8);
    let session = |number, coordinator, access: &Access| {
        let coordinator = fixture.cluster.coordinator(CoordinatorId(coordinator)).unwrap();
        let Handle { guid, secret } = handle(number);
        let new = NewSession {
            guid,
            secret: Some(secret),
            coordinator: coordinator.id,
            access: access.clone(),
            count: coordinator.count_session(),
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        };
        fixture.table.insert_session(new).unwrap();
    };
    let [ann, bob] = ["ann", "bob"]
        .map(|user| Access { identity: Identity::Plain(user.into()), transport: Transport::Sasl });
    for (number, coordinator, access) in [(1, 0, &ann), (2, 0, &bob), (3, 0, &ann), (4, 1, &ann)] {
        session(number, coordinator, access);
    }
    for (number, session, coordinator) in [(11, 1, 0), (12, 1, 0), (13, 2, 0), (14, 3, 0), (15, 4, 1)] {
        fixture.insert_operation(number, session, coordinator);
    }
    fixture.table.close_operation(&handle(12).guid, OperationEnd::Closed);
    let query = handle(16).guid;
    let owner = fixture.cluster.coordinator(CoordinatorId(0)).unwrap();
    fixture.table.insert_operation(NewOperation {
        kind: OperationKind::Statement,
        now: clock::now(),
        guid: query,
        secret: None,
        coordinator: owner.id,
        session: handle(2).guid,
        has_result_set: true,
        running: None,
        open: fixture.open.count(),
        counted: owner.count_operation(),
    });
    let of = |access: &Access, operations: &[Named]| OpenOf {
        access: access.clone(),
        operations: operations.to_vec(),
    };
    let operation = |number| Named::Operation(handle(number));
    assert_eq!(
        fixture.table.open_on(CoordinatorId(0)),
        [
            of(&ann, &[operation(11), operation(14)]),
            of(&bob, &[operation(13)]),
            of(&bob, &[Named::Query(query)])
        ]
    );
    assert_eq!(fixture.table.open_on(CoordinatorId(1)), [of(&ann, &[operation(15)])]);
}
