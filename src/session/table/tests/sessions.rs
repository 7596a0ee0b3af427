//! Sessions: who owns them, who may name them, when they are forgotten.

use super::*;
use crate::ids::Access;

#[test]
fn a_session_and_an_operation_are_found_by_their_guids_alone() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_session(2, 1).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.insert_operation(12, 2, 1);
    assert_eq!((fixture.session_owner(1), fixture.session_owner(2)), (Some(0), Some(1)));
    assert_eq!((fixture.operation_owner(11), fixture.operation_owner(12)), (Some(0), Some(1)));
    assert_eq!((fixture.session_owner(11), fixture.operation_owner(1)), (None, None));
}

#[test]
fn a_guessed_secret_is_nobodys() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    assert!(fixture.table.is_session(&handle(1)) && fixture.table.is_operation(&handle(11)));
    assert!(!fixture.table.is_session(&guessed(handle(1))));
    assert!(!fixture.table.is_operation(&guessed(handle(11))));
    assert!(!fixture.table.is_session(&handle(2)) && !fixture.table.is_operation(&handle(2)));
}

#[test]
fn what_has_no_secret_is_not_told_by_any() {
    let fixture = Fixture::new(8);
    let count = fixture.cluster.coordinators()[0].count_session();
    let guid = handle(1).guid;
    let beeswax = NewSession {
        guid,
        secret: None,
        coordinator: CoordinatorId(0),
        count,
        access: Access::ANONYMOUS,
        tenancy: None,
        idle_timeout: IdleTimeout::default(),
        now: clock::now(),
    };
    fixture.table.insert_session(beeswax).unwrap();
    assert!(!fixture.table.is_session(&handle(1)));
    assert!(!fixture.table.is_session(&Handle { guid, secret: [0; 16] }));
}

#[test]
fn another_coordinators_guid_is_not_overwritten() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    assert_eq!(fixture.insert_session(1, 1), Err(NotKept::Taken));
    assert_eq!(fixture.session_owner(1), Some(0));
    fixture.insert_session(2, 1).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.insert_operation(11, 2, 1);
    assert_eq!(fixture.operation_owner(11), Some(0));
    assert_eq!((fixture.load(0).running_operations, fixture.load(1).running_operations), (1, 0));
    fixture.table.remove_session(&handle(2).guid, SessionEnd::Closed);
    assert_eq!(fixture.operation_owner(11), Some(0), "it is not the second session's");
}

#[test]
fn a_beeswax_session_is_neither_displaced_by_a_minted_guid_nor_displaces_one() {
    let fixture = Fixture::new(8);
    let beeswax = |number| {
        let (guid, coordinator) = (handle(number).guid, CoordinatorId(0));
        let count = fixture.cluster.coordinators()[0].count_session();
        fixture.table.insert_session(NewSession {
            guid,
            secret: None,
            coordinator,
            count,
            access: Access::ANONYMOUS,
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        })
    };
    beeswax(1).unwrap();
    assert_eq!(fixture.insert_session(1, 0), Err(NotKept::Taken));
    assert_eq!(beeswax(1), Err(NotKept::Taken));
    assert!(!fixture.table.is_session(&handle(1)));
    fixture.insert_session(2, 0).unwrap();
    assert_eq!(beeswax(2), Err(NotKept::Taken));
    assert!(fixture.table.is_session(&handle(2)));
}

#[test]
fn a_session_minted_twice_by_one_coordinator_begins_anew() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.insert_session(1, 0).unwrap();
    assert_eq!(fixture.operation_owner(11), None);
    assert_eq!(fixture.counted(), (1, 0));
}

#[test]
fn a_full_table_takes_no_further_session_until_one_leaves() {
    let fixture = Fixture::new(2);
    fixture.insert_session(1, 0).unwrap();
    assert!(!fixture.table.is_full());
    fixture.insert_session(2, 0).unwrap();
    assert!(fixture.table.is_full());
    assert_eq!(fixture.insert_session(3, 0), Err(NotKept::Full));
    assert_eq!(fixture.counted(), (2, 0), "what is not kept does not count");
    fixture.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    assert_eq!(fixture.insert_session(3, 0), Ok(()));
}

#[test]
fn a_detached_session_is_forgotten_after_its_time_and_not_before() {
    let fixture = Fixture::new(8);
    let start = clock::now();
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    assert!(fixture.table.attach(&handle(1).guid).is_some());
    assert!(fixture.table.attach(&handle(1).guid).is_some());
    fixture.table.detach(&handle(1).guid);
    assert_eq!(fixture.table.forget_detached(start), 0);
    assert_eq!(fixture.table.forget_detached(start + 10 * DETACHED_FOR), 0, "one is still attached");
    let left = start + 10 * DETACHED_FOR;
    fixture.table.detach(&handle(1).guid);
    assert_eq!(fixture.table.forget_detached(left), 0);
    assert_eq!(fixture.table.forget_detached(left + DETACHED_FOR * 59 / 60), 0);
    assert_eq!(fixture.session_owner(1), Some(0));
    assert_eq!(fixture.table.forget_detached(left + DETACHED_FOR), 1);
    assert_eq!((fixture.session_owner(1), fixture.operation_owner(11)), (None, None));
    assert_eq!(fixture.counted(), (0, 0));
}

#[test]
fn a_session_that_somebody_came_back_to_has_its_whole_time_again() {
    let fixture = Fixture::new(8);
    let start = clock::now();
    fixture.insert_session(1, 0).unwrap();
    assert_eq!(fixture.table.forget_detached(start), 0);
    assert!(fixture.table.attach(&handle(1).guid).is_some());
    assert_eq!(fixture.table.forget_detached(start + 2 * DETACHED_FOR), 0);
    fixture.table.detach(&handle(1).guid);
    assert_eq!(fixture.table.forget_detached(start + 2 * DETACHED_FOR), 0);
    assert_eq!(fixture.table.forget_detached(start + 3 * DETACHED_FOR), 1);
}

#[test]
fn nobody_attaches_to_what_is_not_known() {
    let fixture = Fixture::new(8);
    assert!(fixture.table.attach(&handle(1).guid).is_none());
    fixture.table.detach(&handle(1).guid);
}

#[test]
fn what_a_look_up_reads_of_an_entry_fits_into_one_cache_line() {
    assert!(size_of::<(Guid, Session)>() <= 64, "{}", size_of::<(Guid, Session)>());
    assert!(size_of::<(Guid, Operation)>() <= 64, "{}", size_of::<(Guid, Operation)>());
}
