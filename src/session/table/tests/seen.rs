//! What people see of sessions and operations.

use std::sync::Arc;

use super::*;

fn cause(now: Instant) -> Cause {
    Cause::Leaves { now, cooldown: Duration::ZERO }
}

/// Guids of all sessions that are shown, sorted.
fn shown(table: &Table) -> Vec<Guid> {
    let (mut shown, now) = (Vec::new(), clock::now());
    table.see_sessions(cause(now), now, |seen| shown.push(seen.guid));
    shown.sort_unstable();
    shown
}

#[test]
fn every_session_is_shown_once_with_what_is_open_in_it() {
    let fixture = Fixture::new(8);
    (1..=3).for_each(|number| fixture.insert_session(number, 0).unwrap());
    fixture.insert_operation(11, 2, 0);
    assert_eq!(shown(&fixture.table), [1, 2, 3].map(|number| handle(number).guid));
    let now = clock::now();
    let open = |number| {
        fixture.table.see_session(&handle(number).guid, cause(now), now, |seen| seen.open_operations)
    };
    assert_eq!((open(1), open(2), open(9)), (Some(0), Some(1), None));
}

#[test]
fn where_the_last_connection_came_from_is_shown() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    let (guid, now) = (handle(1).guid, clock::now());
    let client =
        || fixture.table.see_session(&guid, cause(now), now, |seen| seen.origin.map(|origin| origin.client));
    assert_eq!(client(), Some(None));
    for address in [[10, 0, 0, 1], [10, 0, 0, 2]] {
        let origin = Arc::new(Origin { client: address.into(), listener: "0.0.0.0:21050".into() });
        fixture.table.note_origin(&guid, &origin);
        assert_eq!(client(), Some(Some(address.into())));
    }
}

#[test]
fn an_operation_is_shown_as_far_as_it_has_come_until_it_is_closed() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    let guid = handle(11).guid;
    let progress = || fixture.table.seen_operations().first().map(|seen| (seen.session, seen.progress));
    assert_eq!(progress(), Some((Some(handle(1).guid), Progress::Running)));
    fixture.table.end_running(&guid, OperationEnd::Finished);
    assert_eq!(progress(), Some((Some(handle(1).guid), Progress::Ended)));
    fixture.table.close_operation(&guid, OperationEnd::Closed);
    assert_eq!(progress(), None);
}

#[test]
fn an_operation_whose_process_has_ended_is_shown_as_lost() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.table.note_process_ended(CoordinatorId(0), |_, _| true);
    assert_eq!(fixture.table.seen_operations()[0].progress, Progress::Lost);
}
