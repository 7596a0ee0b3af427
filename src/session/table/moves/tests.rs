use std::time::Duration;

use super::*;
use crate::clock;
use crate::cluster::Cluster;
use crate::ids::{Access, Credential, Proof, Transport};
use crate::session::activity::InUse;
use crate::session::idle::IdleTimeout;
use crate::session::messages::{cluster, guessed, handle};
use crate::session::state::{State, Why};
use crate::session::table::life::NotLive;
use crate::session::table::mobile::MOST_LEFTOVERS;
use crate::session::table::session::Usage;
use crate::session::table::tests::Told;
use crate::session::table::{
    NewOperation, NewSession, OpenOperations, OperationKind, Remaining, SessionEnd, Settings,
};
use crate::wire::hs2::open::Open;

const COOLDOWN: Duration = Duration::from_secs(10);

fn user(name: &str) -> Identity {
    Identity::Plain(name.into())
}

struct Fixture {
    cluster: Cluster,
    table: Arc<Table>,
    open: OpenOperations,
    told: Told,
}

fn id(coordinator: u32) -> CoordinatorId {
    CoordinatorId(coordinator)
}

fn left(coordinator: u32, known_as: u8) -> Leftover {
    Leftover { coordinator: id(coordinator), handle: handle(known_as) }
}

fn leaves(now: Instant) -> Cause {
    Cause::Leaves { now, cooldown: COOLDOWN }
}

fn request() -> Vec<u8> {
    Open { protocol: Some(5), ..Open::default() }.write().to_vec()
}

impl Fixture {
    /// Session 1 of ann on coordinator 0.
    fn new() -> Self {
        let (table, told) =
            (Table::new(Settings { capacity: 100, detached_for: Duration::from_mins(1) }), Told::default());
        let table = Arc::new(table.with_history(Box::new(told.clone())));
        let this = Self { cluster: cluster(6), table, open: OpenOperations::default(), told };
        this.insert_session();
        this
    }

    /// Session 1, as when it was new; if there was one, it is another.
    fn insert_session(&self) {
        let (session, coordinator) = (handle(1), id(0));
        let count = self.cluster.coordinator(coordinator).unwrap().count_session();
        let new = NewSession {
            guid: session.guid,
            secret: Some(session.secret),
            coordinator,
            count,
            access: Access { identity: user("ann"), transport: Transport::Sasl },
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        };
        self.table.insert_session(new).unwrap();
        let state = State::opened(Some(&request()));
        self.table.note_movable(&session.guid, Movable { state, incarnation: 7 });
    }

    fn insert_operation(&self, number: u8, coordinator: u32) {
        let owner = self.cluster.coordinator(id(coordinator)).unwrap();
        self.table.insert_operation(NewOperation {
            kind: OperationKind::Statement,
            now: clock::now(),
            guid: handle(number).guid,
            secret: Some(handle(number).secret),
            coordinator: id(coordinator),
            session: handle(1).guid,
            has_result_set: true,
            running: None,
            open: self.open.count(),
            counted: owner.count_operation(),
        });
    }

    fn done(&self, effect: &Effect, operation: u8, now: Instant) {
        let operation = Some(handle(operation).guid);
        let done = Done { effect, coordinator: id(0), operation, now };
        self.table.note_effect(&handle(1).guid, &done);
    }

    fn depart(&self, cause: Cause) -> Result<Departure, Pinned> {
        self.table.depart(&handle(1).guid, &user("ann"), self.owner().unwrap_or_else(|| id(0)), cause)
    }

    fn arrival(&self, coordinator: u32, known_as: u8) -> Arrival {
        let count = self.cluster.coordinator(id(coordinator)).unwrap().count_session();
        Arrival {
            coordinator: id(coordinator),
            handle: handle(known_as),
            incarnation: 8,
            count,
            tenancy: None,
            idle_timeout: None,
            now: clock::now(),
        }
    }

    /// Moves the session; the handles that are forgotten.
    fn go(&self, coordinator: u32, known_as: u8) -> Vec<Leftover> {
        self.depart(Cause::Lost).unwrap().arrive(self.arrival(coordinator, known_as)).unwrap()
    }

    fn owner(&self) -> Option<CoordinatorId> {
        self.table.session_owner(&handle(1).guid)
    }

    fn sessions(&self) -> Vec<u32> {
        self.cluster.coordinators().iter().map(|one| one.load().open_sessions).collect()
    }
}

#[test]
fn a_session_that_moved_is_its_new_coordinators_and_counts_there() {
    let fleet = Fixture::new();
    assert_eq!(fleet.sessions()[..2], [1, 0]);
    let departure = fleet.depart(leaves(clock::now())).unwrap();
    assert_eq!((departure.from, &*departure.request), (id(0), &*request()));
    assert_eq!(departure.arrive(fleet.arrival(1, 2)), Some(Vec::new()));
    assert_eq!(fleet.owner(), Some(id(1)));
    assert_eq!(fleet.table.leftovers(&handle(1).guid), [left(0, 1)]);
    assert_eq!(fleet.sessions()[..2], [0, 1]);
    assert_eq!(fleet.table.handle_at(&handle(1), &user("ann"), id(1)), Some(handle(2)));
    assert_eq!(
        fleet.table.handle_at(&handle(1), &user("ann"), id(0)),
        Some(handle(1)),
        "for its old profiles"
    );
    assert_eq!(fleet.table.handle_at(&handle(1), &user("ann"), id(2)), None);
}

#[test]
fn nobody_else_comes_into_a_session_that_moved() {
    let fleet = Fixture::new();
    fleet.go(1, 2);
    let credential = |as_whom: Option<&str>| {
        let credential = Credential { proof: Proof::Lasting([1, 2]), do_as: as_whom.map(Into::into) };
        Identity::Credential(Arc::new(credential))
    };
    for (handle, identity) in [
        (guessed(handle(1)), user("ann")),
        (handle(1), user("bob")),
        (handle(1), Identity::Anonymous),
        (handle(1), credential(None)),
        (handle(1), credential(Some("ann"))),
        (handle(2), user("ann")),
    ] {
        assert_eq!(fleet.table.handle_at(&handle, &identity, id(1)), None);
        assert!(matches!(fleet.table.hold(&handle, &identity), Holding::AsItCame));
    }
    for identity in [user("bob"), Identity::Anonymous, credential(None)] {
        let departed = fleet.table.depart(&handle(1).guid, &identity, id(1), Cause::Lost);
        assert_eq!(departed.unwrap_err(), Pinned::Immovable);
    }
}

#[test]
fn a_departure_that_comes_to_nothing_leaves_the_session_where_it_was() {
    let fleet = Fixture::new();
    let departure = fleet.depart(Cause::Lost).unwrap();
    assert!(matches!(fleet.table.hold(&handle(1), &user("ann")), Holding::Moving));
    assert_eq!(fleet.depart(Cause::Lost).unwrap_err(), Pinned::Moving);
    drop(departure);
    assert!(matches!(fleet.table.hold(&handle(1), &user("ann")), Holding::Held(_)));
    assert_eq!(fleet.owner(), Some(id(0)));
}

#[test]
fn guards_of_a_session_say_nothing_of_another_that_has_its_guid_since() {
    let fleet = Fixture::new();
    let Holding::Held(former) = fleet.table.hold(&handle(1), &user("ann")) else { panic!("it moves") };
    let (first, second) = (fleet.depart(Cause::Lost).unwrap(), fleet.arrival(1, 2));
    fleet.insert_session();
    let Holding::Held(held) = fleet.table.hold(&handle(1), &user("ann")) else {
        panic!("the former one moves")
    };
    drop(former);
    assert_eq!(fleet.depart(leaves(clock::now())).unwrap_err(), Pinned::CallInFlight);
    drop(held);
    let departure = fleet.depart(Cause::Lost).unwrap();
    assert_eq!(first.arrive(second), None);
    assert_eq!((fleet.owner(), &fleet.sessions()[..2]), (Some(id(0)), &[1, 0][..]));
    assert!(fleet.table.is_moving(&handle(1).guid), "one departure does not end another");
    drop(departure);
}

#[test]
fn a_session_leaves_a_coordinator_once() {
    let fleet = Fixture::new();
    fleet.go(1, 2);
    let again = fleet.table.depart(&handle(1).guid, &user("ann"), id(0), Cause::Lost);
    assert_eq!(again.unwrap_err(), Pinned::Moved);
}

#[test]
fn a_session_that_ended_on_its_way_does_not_arrive() {
    let fleet = Fixture::new();
    let departure = fleet.depart(Cause::Lost).unwrap();
    fleet.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    assert_eq!(departure.arrive(fleet.arrival(1, 2)), None);
    assert_eq!(fleet.sessions()[..2], [0, 0]);
}

#[test]
fn a_session_that_is_gone_is_remembered_until_it_is_closed_where_it_was() {
    let fleet = Fixture::new();
    let (guid, grace) = (handle(1).guid, Duration::from_secs(30));
    let activity = fleet.table.attach(&guid).unwrap();
    let call = InUse::begin(Arc::clone(&activity), clock::now).unwrap();
    fleet.go(1, 2);
    fleet.insert_operation(3, 1);
    for _ in 0..2 {
        fleet.table.remove_session(&guid, SessionEnd::Closed);
        assert_eq!(fleet.table.not_live(&handle(1)), Some(NotLive::Gone));
    }
    assert_eq!(fleet.table.not_live(&guessed(handle(1))), None);
    assert_eq!((fleet.table.operation_owner(&handle(3).guid), &fleet.sessions()[..2]), (None, &[0, 0][..]));
    assert!(InUse::begin(activity, clock::now).is_none());
    drop(call);
    assert_eq!(fleet.depart(Cause::Lost).unwrap_err(), Pinned::Immovable);
    let now = clock::now();
    assert_eq!(fleet.table.to_reap(now, grace), [guid]);
    drop(fleet.table.reap(&guid, now, grace).unwrap());
    let reaping = fleet.table.reap(&guid, now, grace).unwrap();
    assert!(fleet.table.reap(&guid, now, grace).is_none(), "it is being closed");
    let places: Vec<_> = reaping.targets.iter().map(|place| (place.coordinator, place.handle)).collect();
    assert_eq!(places, [(id(0), handle(1))]);
    reaping.closed(&reaping.targets[0]);
    assert_eq!(fleet.owner(), None);
}

#[test]
fn what_a_late_statement_opened_where_the_session_was_goes_with_it() {
    let fleet = Fixture::new();
    let guid = handle(1).guid;
    fleet.go(1, 2);
    fleet.table.remove_session(&guid, SessionEnd::Closed);
    // It was sent before the session moved; the coordinator answers only now.
    fleet.insert_operation(3, 0);
    fleet.table.note_leftover_closed(&guid, &left(0, 1));
    assert_eq!((fleet.owner(), fleet.table.operation_owner(&handle(3).guid)), (None, None));
    assert_eq!(fleet.cluster.coordinators()[0].open_operations(), 0);
    assert!(fleet.open.is_empty());
}

#[test]
fn a_session_that_could_be_closed_only_where_it_was_goes_on_where_it_is() {
    let fleet = Fixture::new();
    fleet.go(1, 2);
    fleet.table.note_leftover_closed(&handle(1).guid, &left(0, 1));
    assert_eq!(fleet.table.handle_at(&handle(1), &user("ann"), id(1)), Some(handle(2)));
    fleet.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    assert_eq!(fleet.owner(), None);
}

#[test]
fn a_call_in_flight_pins_a_session_unless_its_coordinator_is_lost() {
    let fleet = Fixture::new();
    let (now, calls) = (
        clock::now(),
        [fleet.table.hold(&handle(1), &user("ann")), fleet.table.hold(&handle(1), &user("ann"))],
    );
    assert!(calls.iter().all(|call| matches!(call, Holding::Held(call) if !call.moved)));
    assert_eq!(fleet.depart(leaves(now)).unwrap_err(), Pinned::CallInFlight);
    drop(fleet.depart(Cause::Lost).unwrap());
    drop(calls);
    assert!(fleet.depart(leaves(now)).unwrap().arrive(fleet.arrival(1, 2)).is_some());
    assert!(matches!(fleet.table.hold(&handle(1), &user("ann")), Holding::Held(call) if call.moved));
}

#[test]
fn an_open_operation_pins_a_session_and_is_given_up_with_a_lost_coordinator() {
    let fleet = Fixture::new();
    fleet.insert_operation(3, 0);
    assert_eq!(fleet.depart(leaves(clock::now())).unwrap_err(), Pinned::OpenOperation);
    fleet.go(1, 2);
    assert_eq!(fleet.cluster.coordinators()[0].open_operations(), 0);
    assert_eq!(
        fleet.table.operation_owner(&handle(3).guid),
        Some(id(0)),
        "its calls shall be told of the loss"
    );
    assert!(fleet.depart(leaves(clock::now())).is_ok());
}

#[test]
fn changed_data_pins_a_session_for_a_while_after_the_operation_was_closed() {
    let (fleet, now) = (Fixture::new(), clock::now());
    fleet.insert_operation(3, 0);
    fleet.done(&Effect::Changes, 3, now);
    let (closed, soon) =
        (now + Duration::from_hours(1), COOLDOWN.checked_sub(Duration::from_millis(1)).unwrap());
    fleet.table.note_closing(&handle(3).guid, closed);
    fleet.table.close_operation(&handle(3).guid, OperationEnd::Closed);
    assert_eq!(fleet.depart(leaves(closed + soon)).unwrap_err(), Pinned::ChangedData);
    drop(fleet.depart(Cause::Lost).unwrap());
    assert!(fleet.depart(leaves(closed + COOLDOWN)).is_ok());
}

#[test]
fn operations_that_only_read_do_not_prolong_that() {
    let (fleet, now) = (Fixture::new(), clock::now());
    fleet.done(&Effect::Changes, 3, now);
    fleet.insert_operation(4, 0);
    fleet.done(&Effect::Nothing, 4, now);
    fleet.table.note_closing(&handle(4).guid, now + COOLDOWN);
    fleet.table.close_operation(&handle(4).guid, OperationEnd::Closed);
    assert!(fleet.depart(leaves(now + COOLDOWN)).is_ok());
}

#[test]
fn what_statements_set_goes_along() {
    let fleet = Fixture::new();
    fleet.done(&Effect::Set { option: "mem_limit".into(), value: "2g".into() }, 3, clock::now());
    let departure = fleet.depart(Cause::Lost).unwrap();
    assert_eq!(Open::read(&departure.request).unwrap().configuration, [("mem_limit".into(), "2g".into())]);
}

#[test]
fn a_session_of_unknown_state_stays_even_where_all_is_lost() {
    let fleet = Fixture::new();
    fleet.done(&Effect::Unclear, 3, clock::now());
    assert_eq!(fleet.depart(Cause::Lost).unwrap_err(), Pinned::Unknown(Why::Statement));
}

#[test]
fn a_set_that_succeeds_where_the_session_no_longer_is_makes_its_state_unknown() {
    let fleet = Fixture::new();
    fleet.go(1, 2);
    fleet.done(&Effect::Use("demo".into()), 3, clock::now());
    assert_eq!(fleet.depart(Cause::Lost).unwrap_err(), Pinned::Unknown(Why::Statement));
}

#[test]
fn the_handles_of_the_last_coordinators_are_remembered_and_no_more() {
    let fleet = Fixture::new();
    let mut forgotten = Vec::new();
    for (coordinator, known_as) in [(1, 2), (2, 3), (1, 4), (3, 5), (4, 6), (5, 7)] {
        forgotten.extend(fleet.go(coordinator, known_as));
    }
    assert_eq!(forgotten, [left(1, 2), left(0, 1), left(2, 3)]);
    let known: Vec<_> = (0..6).map(|at| fleet.table.handle_at(&handle(1), &user("ann"), id(at))).collect();
    let expected = [None, None, None, Some(5), Some(6), Some(7)];
    assert_eq!(
        known[3..],
        expected[3..].iter().map(|known: &Option<u8>| known.map(handle)).collect::<Vec<_>>()
    );
    assert_eq!(known.iter().flatten().count(), MOST_LEFTOVERS + 1);
    assert_eq!(known[1], Some(handle(4)), "the newer one of two");
}

#[test]
fn a_drain_is_told_whom_it_waits_for() {
    let fleet = Fixture::new();
    let now = clock::now();
    let waiting = |most| fleet.table.remaining(id(0), leaves(now), most);
    let session = handle(1).guid;
    assert_eq!(waiting(5), [Remaining { session, open_operations: 0, pinned: None }]);
    fleet.insert_operation(3, 0);
    let pinned = Some(Pinned::OpenOperation);
    assert_eq!(waiting(5), [Remaining { session, open_operations: 1, pinned }]);
    assert_eq!(waiting(0), []);
    assert_eq!(fleet.table.remaining(id(1), leaves(now), 5), []);
}

#[test]
fn a_plain_session_is_small() {
    let shared = size_of::<Activity>() + 2 * size_of::<usize>();
    let boxed = size_of::<Usage>() + size_of::<Mobile>() + request().len() + shared;
    let entry = size_of::<Guid>() + size_of::<Session>();
    assert!(entry + boxed <= 408, "{entry} + {boxed} bytes");
}

#[test]
fn a_session_that_moved_is_one_session_with_all_the_coordinators_that_it_was_on() {
    let fleet = Fixture::new();
    fleet.insert_operation(3, 0);
    for (coordinator, known_as) in [(1, 2), (0, 5), (2, 6)] {
        fleet.go(coordinator, known_as);
    }
    assert_eq!((fleet.told.sessions(), fleet.told.operations()), (vec![], vec![OperationEnd::Finished]));
    fleet.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    // Its leftovers are remembered, but it has ended.
    let leftovers = fleet.table.leftovers(&handle(1).guid);
    for leftover in &leftovers {
        fleet.table.note_leftover_closed(&handle(1).guid, leftover);
    }
    let told = fleet.told.sessions.lock();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].coordinator, &*told[0].earlier), (id(2), &[id(0), id(1)][..]));
}
