use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::cluster::{Cluster, Load};
use crate::session::messages::{cluster, guessed, handle};

const DETACHED_FOR: Duration = Duration::from_mins(1);

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

    fn insert_session(&self, number: u8, coordinator: u32) -> Result<(), NotKept> {
        let coordinator = CoordinatorId(coordinator);
        let count = self.cluster.coordinator(coordinator).unwrap().count_session();
        let handle = handle(number);
        self.table.insert_session(NewSession {
            guid: handle.guid,
            secret: Some(handle.secret),
            coordinator,
            count,
            identity: Identity::Anonymous { framed: false },
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        })
    }

    /// An operation that runs and has rows.
    fn insert_operation(&self, number: u8, session: u8, coordinator: u32) {
        let coordinator = CoordinatorId(coordinator);
        let owner = self.cluster.coordinator(coordinator).unwrap();
        let (counted, running) = (owner.count_operation(), owner.count_running().minted());
        let minted = handle(number);
        self.table.insert_operation(NewOperation {
            guid: minted.guid,
            secret: Some(minted.secret),
            coordinator,
            session: handle(session).guid,
            has_result_set: true,
            running: Some(running),
            open: self.open.count(),
            counted,
        });
    }

    fn operation_owner(&self, number: u8) -> Option<u32> {
        self.table.operation_owner(&handle(number).guid).map(|id| id.0)
    }

    fn session_owner(&self, number: u8) -> Option<u32> {
        self.table.session_owner(&handle(number).guid).map(|id| id.0)
    }

    fn load(&self, coordinator: u32) -> Load {
        self.cluster.coordinator(CoordinatorId(coordinator)).unwrap().load()
    }

    /// Sessions and running operations, on all coordinators.
    fn counted(&self) -> (usize, usize) {
        let all = self.cluster.coordinators();
        let loads = all.iter().map(|coordinator| coordinator.load());
        loads.fold((0, 0), |(sessions, running), load| {
            (sessions + load.open_sessions as usize, running + load.running_operations as usize)
        })
    }

    fn closed_guids(&self) -> usize {
        self.table.closed.lock().len()
    }
}

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
        identity: Identity::Anonymous { framed: false },
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
    fixture.table.remove_session(&handle(2).guid);
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
            identity: Identity::Anonymous { framed: false },
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
fn an_operation_minted_twice_ends_with_the_later_session() {
    let fixture = Fixture::new(8);
    fixture.insert_session(1, 0).unwrap();
    fixture.insert_session(2, 0).unwrap();
    fixture.insert_operation(11, 1, 0);
    fixture.insert_operation(11, 2, 0);
    fixture.table.remove_session(&handle(1).guid);
    assert_eq!(fixture.operation_owner(11), Some(0));
    fixture.table.remove_session(&handle(2).guid);
    assert_eq!((fixture.operation_owner(11), fixture.counted()), (None, (0, 0)));
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
    fixture.table.remove_session(&handle(1).guid);
    assert_eq!(fixture.insert_session(3, 0), Ok(()));
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
    fixture.table.close_operation(&handle(12).guid);
    fixture.table.close_operation(&handle(11).guid);
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
    fixture.table.close_operation(&handle(11).guid);
    fixture.table.close_operation(&handle(11).guid);
    assert_eq!(fixture.operation_owner(11), Some(0));
    assert!(fixture.table.is_operation(&handle(11)));
    assert!(fixture.open.is_empty());
    assert_eq!(fixture.counted(), (1, 0));
    assert_eq!(fixture.closed_guids(), 1, "closing twice is remembered once");
    fixture.table.remove_session(&handle(1).guid);
    assert_eq!(fixture.operation_owner(11), Some(0), "impala-shell may still ask for its profile");
}

#[test]
fn the_oldest_closed_operation_is_forgotten_at_the_bound() {
    let mut fixture = Fixture::new(8);
    fixture.table.closed_capacity = 2;
    fixture.insert_session(1, 0).unwrap();
    for number in [13, 11, 12] {
        fixture.insert_operation(number, 1, 0);
        fixture.table.close_operation(&handle(number).guid);
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
    fixture.table.close_operation(&handle(11).guid);
    // The same guid once more, now open, while the closed one is still queued.
    fixture.insert_operation(11, 1, 0);
    fixture.insert_operation(12, 1, 0);
    fixture.table.close_operation(&handle(12).guid);
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
    fixture.table.remove_session(&handle(1).guid);
    assert_eq!([11, 12, 21].map(|number| fixture.operation_owner(number)), [None, None, Some(0)]);
    assert_eq!(fixture.counted(), (1, 1));
    fixture.table.remove_session(&handle(2).guid);
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
        fixture.table.close_operation(guid);
    }
    assert!(fixture.open.is_empty());
    // A look through the others at each close takes more than twenty seconds in this build, a look-up a tenth of one.
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
    fixture.table.end_running(&handle(11).guid);
    assert_eq!(fixture.counted(), (1, 0));
    assert!(!fixture.open.is_empty());
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

/// What may happen to a table.
#[derive(Clone, Debug)]
enum Event {
    Open { session: u8, coordinator: u32 },
    Mint { operation: u8, session: u8, coordinator: u32 },
    EndRunning { operation: u8 },
    CloseOperation { operation: u8 },
    CloseSession { session: u8 },
    ForgetAll,
}

fn any_event() -> impl Strategy<Value = Event> {
    let (session, operation, coordinator) = (0..5_u8, 100..112_u8, 0..2_u32);
    prop_oneof![
        (session.clone(), coordinator.clone())
            .prop_map(|(session, coordinator)| Event::Open { session, coordinator }),
        (operation.clone(), session.clone(), coordinator).prop_map(|(operation, session, coordinator)| {
            Event::Mint { operation, session, coordinator }
        }),
        operation.clone().prop_map(|operation| Event::EndRunning { operation }),
        operation.prop_map(|operation| Event::CloseOperation { operation }),
        session.prop_map(|session| Event::CloseSession { session }),
        Just(Event::ForgetAll),
    ]
}

/// The same rules without shards, indices or guards; large enough that nothing closed is forgotten.
#[derive(Default)]
struct Model {
    sessions: BTreeMap<u8, u32>,
    /// Coordinator, session while it is open, whether it runs.
    operations: BTreeMap<u8, (u32, Option<u8>, bool)>,
}

impl Model {
    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Open { session, coordinator } => {
                let owner = self.sessions.get(&session).copied();
                if owner.is_none_or(|owner| owner == coordinator) {
                    self.close_session(session);
                    self.sessions.insert(session, coordinator);
                }
            }
            Event::Mint { operation, session, coordinator } => {
                if self.operations.get(&operation).is_some_and(|(owner, ..)| *owner != coordinator) {
                    return;
                }
                self.operations.remove(&operation);
                if self.sessions.contains_key(&session) {
                    self.operations.insert(operation, (coordinator, Some(session), true));
                }
            }
            Event::EndRunning { operation } => {
                self.operations.entry(operation).and_modify(|(_, _, running)| *running = false);
            }
            Event::CloseOperation { operation } => {
                self.operations.entry(operation).and_modify(|(_, session, running)| {
                    (*session, *running) = (None, false);
                });
            }
            Event::CloseSession { session } => self.close_session(session),
            Event::ForgetAll => {
                let sessions: Vec<_> = self.sessions.keys().copied().collect();
                for session in sessions {
                    self.close_session(session);
                }
            }
        }
    }

    fn close_session(&mut self, session: u8) {
        self.sessions.remove(&session);
        self.operations.retain(|_, (_, listed, _)| *listed != Some(session));
    }
}

fn apply(fixture: &Fixture, event: &Event) {
    match *event {
        Event::Open { session, coordinator } => drop(fixture.insert_session(session, coordinator)),
        Event::Mint { operation, session, coordinator } => {
            fixture.insert_operation(operation, session, coordinator);
        }
        Event::EndRunning { operation } => fixture.table.end_running(&handle(operation).guid),
        Event::CloseOperation { operation } => fixture.table.close_operation(&handle(operation).guid),
        Event::CloseSession { session } => fixture.table.remove_session(&handle(session).guid),
        Event::ForgetAll => {
            let now = clock::now();
            fixture.table.forget_detached(now);
            fixture.table.forget_detached(now + DETACHED_FOR);
        }
    }
}

proptest! {
    #[test]
    fn any_events_leave_the_table_as_a_plain_model_and_no_count_behind(
        events in prop::collection::vec(any_event(), 0..80),
    ) {
        let (fixture, mut model) = (Fixture::new(64), Model::default());
        for event in &events {
            apply(&fixture, event);
            model.apply(event);
            for session in 0..5 {
                prop_assert_eq!(fixture.session_owner(session), model.sessions.get(&session).copied());
            }
            for operation in 100..112 {
                let owner = model.operations.get(&operation).map(|(owner, ..)| *owner);
                prop_assert_eq!(fixture.operation_owner(operation), owner);
            }
            let running = model.operations.values().filter(|(_, _, running)| *running).count();
            prop_assert_eq!(fixture.counted(), (model.sessions.len(), running));
            prop_assert_eq!(fixture.table.sessions(), model.sessions.len());
            prop_assert_eq!(fixture.table.operations(), model.operations.len());
            let open = model.operations.values().any(|(_, session, _)| session.is_some());
            prop_assert_eq!(fixture.open.is_empty(), !open);
        }
        for session in 0..5 {
            fixture.table.remove_session(&handle(session).guid);
        }
        prop_assert_eq!(fixture.counted(), (0, 0));
        prop_assert!(fixture.open.is_empty());
    }
}

#[test]
fn what_a_look_up_reads_of_an_entry_fits_into_one_cache_line() {
    assert!(size_of::<(Guid, Session)>() <= 64, "{}", size_of::<(Guid, Session)>());
    assert!(size_of::<(Guid, Operation)>() <= 64, "{}", size_of::<(Guid, Operation)>());
}

#[test]
fn what_is_open_on_a_coordinator_is_told_by_whose_it_is_and_how_a_call_names_it() {
    let fixture = Fixture::new(8);
    let session = |number, coordinator, identity: &Identity| {
        let coordinator = fixture.cluster.coordinator(CoordinatorId(coordinator)).unwrap();
        let Handle { guid, secret } = handle(number);
        let new = NewSession {
            guid,
            secret: Some(secret),
            coordinator: coordinator.id,
            identity: identity.clone(),
            count: coordinator.count_session(),
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        };
        fixture.table.insert_session(new).unwrap();
    };
    let [ann, bob] = ["ann", "bob"].map(|user| Identity::Plain(user.into()));
    for (number, coordinator, identity) in [(1, 0, &ann), (2, 0, &bob), (3, 0, &ann), (4, 1, &ann)] {
        session(number, coordinator, identity);
    }
    for (number, session, coordinator) in [(11, 1, 0), (12, 1, 0), (13, 2, 0), (14, 3, 0), (15, 4, 1)] {
        fixture.insert_operation(number, session, coordinator);
    }
    fixture.table.close_operation(&handle(12).guid);
    let query = handle(16).guid;
    let owner = fixture.cluster.coordinator(CoordinatorId(0)).unwrap();
    fixture.table.insert_operation(NewOperation {
        guid: query,
        secret: None,
        coordinator: owner.id,
        session: handle(2).guid,
        has_result_set: true,
        running: None,
        open: fixture.open.count(),
        counted: owner.count_operation(),
    });
    let of = |identity: &Identity, operations: &[Named]| OpenOf {
        identity: identity.clone(),
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
