//! Lives of sessions at random: whatever happens in whatever order, what a session is and what it counts for
//! agree.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::cluster::room::{AddressShare, Limits, Room};
use crate::session::activity::{Activity, Hold, InUse};
use crate::session::idle::IdleTimeout;
use crate::session::state::State;
use crate::session::table::mobile::MOST_LEFTOVERS;
use crate::session::table::session::Attachment;
use crate::wire::hs2::open::Open;

const SESSIONS: u8 = 3;
const COORDINATORS: u32 = 6;
const GRACE: Duration = Duration::from_secs(20);
const IDLE_TIMEOUT: Duration = Duration::from_secs(40);
const ACCESS: Access = Access::ANONYMOUS;

#[derive(Clone, Debug)]
enum Event {
    Open { coordinator: u32, shares: bool, moves: bool },
    Attach,
    Detach,
    BeginCall,
    EndCall(Index),
    Hold,
    Release(Index),
    Depart { coordinator_lost: bool },
    Arrive { which: Index, coordinator: u32 },
    GiveUpMove(Index),
    Reap,
    CloseTarget { which: Index, target: Index },
    GiveUpReaping(Index),
    CloseLeftover(Index),
    Remove,
    Mint { operation: u8 },
    CloseOperation { operation: u8 },
    EndProcess { coordinator: u32 },
    CountAgain,
    Pass { seconds: u64 },
}

fn any_event() -> impl Strategy<Value = Event> {
    let (index, coordinator, operation) = (any::<Index>, 0..COORDINATORS, 100..106_u8);
    let open = (coordinator.clone(), any::<bool>(), any::<bool>());
    prop_oneof![
        4 => open.prop_map(|(coordinator, shares, moves)| Event::Open { coordinator, shares, moves }),
        2 => Just(Event::Attach),
        2 => Just(Event::Detach),
        2 => Just(Event::BeginCall),
        2 => index().prop_map(Event::EndCall),
        2 => Just(Event::Hold),
        2 => index().prop_map(Event::Release),
        4 => any::<bool>().prop_map(|coordinator_lost| Event::Depart { coordinator_lost }),
        4 => (index(), coordinator.clone())
            .prop_map(|(which, coordinator)| Event::Arrive { which, coordinator }),
        1 => index().prop_map(Event::GiveUpMove),
        4 => Just(Event::Reap),
        4 => (index(), index()).prop_map(|(which, target)| Event::CloseTarget { which, target }),
        2 => index().prop_map(Event::GiveUpReaping),
        2 => index().prop_map(Event::CloseLeftover),
        1 => Just(Event::Remove),
        2 => operation.clone().prop_map(|operation| Event::Mint { operation }),
        2 => operation.prop_map(|operation| Event::CloseOperation { operation }),
        1 => coordinator.prop_map(|coordinator| Event::EndProcess { coordinator }),
        1 => Just(Event::CountAgain),
        3 => (1..50_u64).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

/// A table, and all guards that it has handed out and that have not ended.
struct World {
    cluster: Cluster,
    table: Arc<Table>,
    room: Room<()>,
    now: Instant,
    open: OpenOperations,
    /// The next number of a handle that a coordinator mints.
    minted: u8,
    calls: Vec<InUse<Box<dyn Fn() -> Instant>>>,
    holds: Vec<Hold>,
    departures: Vec<(u8, Departure)>,
    reapings: Vec<Reaping>,
    /// Every session that there was, and how many connections are attached to it.
    attached: Vec<(Arc<Activity>, u32)>,
}

fn take<T>(from: &mut Vec<T>, which: Index) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(which.index(from.len())))
}

impl World {
    fn new() -> Self {
        let settings = Settings { capacity: 100, detached_for: DETACHED_FOR };
        Self {
            cluster: cluster(COORDINATORS),
            table: Arc::new(Table::new(settings)),
            room: Room::new(Limits { threads: None, reserve: 0, address_share: AddressShare::ALL }),
            now: clock::now(),
            open: OpenOperations::default(),
            minted: 10,
            calls: Vec::new(),
            holds: Vec::new(),
            departures: Vec::new(),
            reapings: Vec::new(),
            attached: Vec::new(),
        }
    }

    fn insert(&mut self, number: u8, coordinator: u32, shares: bool, moves: bool) {
        let owner = &self.cluster.coordinators()[coordinator as usize];
        let Handle { guid, secret } = handle(number);
        let new = NewSession {
            guid,
            secret: Some(secret),
            coordinator: owner.id,
            access: ACCESS,
            count: owner.count_session(),
            tenancy: shares.then(|| self.room.begin_session(&ACCESS)),
            idle_timeout: IdleTimeout::opened(Some(IDLE_TIMEOUT), None),
            now: self.now,
        };
        if self.table.insert_session(new).is_ok() {
            self.attached.push((self.table.activity(&guid).unwrap(), 0));
            if moves {
                let state = State::opened(Some(&Open { protocol: Some(5), ..Open::default() }.write()));
                self.table.note_movable(&guid, Movable { state, incarnation: 0 });
            }
        }
    }

    fn mint(&self, operation: u8, number: u8) {
        let Some(owner) = self.table.session_owner(&handle(number).guid) else { return };
        let owner = self.cluster.coordinator(owner).unwrap();
        self.table.insert_operation(NewOperation {
            kind: OperationKind::Statement,
            now: clock::now(),
            guid: handle(operation).guid,
            secret: Some(handle(operation).secret),
            coordinator: owner.id,
            session: handle(number).guid,
            has_result_set: true,
            running: Some(owner.count_running().minted()),
            open: self.open.count(),
            counted: owner.count_operation(),
        });
    }

    /// What connections do with a session.
    fn use_session(&mut self, number: u8, event: &Event) {
        let guid = handle(number).guid;
        let activity = self.table.activity(&guid);
        let known = self
            .attached
            .iter_mut()
            .find(|(known, _)| activity.as_ref().is_some_and(|activity| Arc::ptr_eq(known, activity)));
        match *event {
            Event::Attach => {
                let attached = self.table.attach(&guid).is_some();
                assert_eq!(attached, known.is_some());
                if let Some((_, connections)) = known {
                    *connections += 1;
                }
            }
            Event::Detach => {
                self.table.detach(&guid);
                if let Some((_, connections)) = known {
                    *connections = connections.saturating_sub(1);
                }
            }
            Event::BeginCall => {
                let now = self.now;
                let clock: Box<dyn Fn() -> Instant> = Box::new(move || now);
                self.calls.extend(activity.and_then(|activity| InUse::begin(activity, clock)));
            }
            Event::EndCall(which) => drop(take(&mut self.calls, which)),
            Event::Hold => match self.table.hold(&handle(number), &ACCESS.identity) {
                Holding::Held(hold) => self.holds.push(hold),
                Holding::Moving => assert!(self.table.is_moving(&guid)),
                Holding::AsItCame => {}
            },
            Event::Release(which) => drop(take(&mut self.holds, which)),
            Event::Mint { operation } => self.mint(operation, number),
            Event::CloseOperation { operation } => {
                self.table.close_operation(&handle(operation).guid, OperationEnd::Closed);
            }
            _ => self.look_after(number, event),
        }
    }

    /// What the router does with a session.
    fn look_after(&mut self, number: u8, event: &Event) {
        let guid = handle(number).guid;
        match *event {
            Event::Open { coordinator, shares, moves } => self.insert(number, coordinator, shares, moves),
            Event::Depart { coordinator_lost } => {
                let leaves = Cause::Leaves { now: self.now, cooldown: Duration::ZERO };
                let cause = if coordinator_lost { Cause::Lost } else { leaves };
                let from = self.table.session_owner(&guid).unwrap_or(CoordinatorId(0));
                let departure = self.table.depart(&guid, &ACCESS.identity, from, cause);
                self.departures.extend(departure.ok().map(|departure| (number, departure)));
            }
            Event::Arrive { which, coordinator } => self.arrive(which, coordinator),
            Event::GiveUpMove(which) => drop(take(&mut self.departures, which)),
            Event::Reap => self.reapings.extend(self.table.reap(&guid, self.now, GRACE)),
            Event::CloseTarget { which, target } if !self.reapings.is_empty() => {
                let reaping = &self.reapings[which.index(self.reapings.len())];
                reaping.closed(&reaping.targets[target.index(reaping.targets.len())]);
            }
            Event::GiveUpReaping(which) => drop(take(&mut self.reapings, which)),
            Event::CloseLeftover(which) => {
                let mut leftovers = self.table.leftovers(&guid);
                if let Some(leftover) = take(&mut leftovers, which) {
                    self.table.note_leftover_closed(&guid, &leftover);
                }
            }
            Event::Remove => self.table.remove_session(&guid, SessionEnd::Closed),
            Event::EndProcess { coordinator } => {
                self.table.note_process_ended(CoordinatorId(coordinator), |_, _| true);
            }
            Event::CountAgain => {
                if let Some(owner) = self.table.session_owner(&guid) {
                    self.table.count_again(&guid, &self.cluster.coordinator(owner).unwrap());
                }
            }
            Event::Pass { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.table.forget_detached(self.now);
            }
            _ => {}
        }
    }

    fn arrive(&mut self, which: Index, coordinator: u32) {
        let Some((number, departure)) = take(&mut self.departures, which) else { return };
        if departure.from == CoordinatorId(coordinator) {
            return;
        }
        self.minted = self.minted.wrapping_add(1);
        let owner = &self.cluster.coordinators()[coordinator as usize];
        let arrival = Arrival {
            coordinator: owner.id,
            handle: handle(self.minted),
            incarnation: 0,
            count: owner.count_session(),
            tenancy: None,
            idle_timeout: Some(IDLE_TIMEOUT),
            now: self.now,
        };
        if departure.arrive(arrival).is_some() {
            assert_eq!(self.table.session_owner(&handle(number).guid), Some(owner.id));
            let there = self.table.handle_at(&handle(number), &ACCESS.identity, owner.id);
            assert_eq!(there, Some(handle(self.minted)));
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (mut sessions, mut operations) = ([0; COORDINATORS as usize], [0; COORDINATORS as usize]);
        for session in &self.table.sessions {
            sessions[session.coordinator.0 as usize] += u32::from(session.usage.life.is_counted());
            self.check_session(&session)?;
        }
        for operation in &self.table.operations {
            let counts = operation.open.as_ref().is_some_and(|open| open.load.is_some());
            operations[operation.coordinator.0 as usize] += u32::from(counts);
        }
        let owners = self.cluster.coordinators();
        prop_assert_eq!(&*owners.iter().map(|one| one.load().open_sessions).collect::<Vec<_>>(), sessions);
        prop_assert_eq!(&*owners.iter().map(|one| one.open_operations()).collect::<Vec<_>>(), operations);
        Ok(())
    }

    fn check_session(&self, session: &Session) -> Result<(), TestCaseError> {
        let usage = &session.usage;
        let connections = self.attached.iter().find(|(activity, _)| session.is(activity)).unwrap().1;
        match usage.attachment {
            Attachment::Attached(known) => prop_assert_eq!(known.get(), connections),
            Attachment::Detached(_) => prop_assert_eq!(connections, 0),
        }
        let is_live = usage.life.not_live().is_none();
        let begins = InUse::begin(Arc::clone(&usage.activity), || session.usage.activity.last()).is_some();
        prop_assert_eq!(begins, is_live, "calls begin in a live session, and in no other");
        prop_assert_eq!(usage.activity.is_counted(), usage.life.is_counted());

        let departures = self.departures.iter().filter(|(_, departure)| departure.is_of(session)).count();
        prop_assert!(departures <= 1, "it is on its way once");
        prop_assert_eq!(usage.life.is_moving(), departures == 1 && is_live);
        let reapings = self.reapings.iter().filter(|reaping| reaping.is_of(session)).count();
        prop_assert!(reapings <= 1, "it is closed once at a time");
        prop_assert!(reapings == 0 || !usage.life.is_moving(), "what is closed does not move");

        let mut places: Vec<_> = usage.life.leftovers().iter().map(|one| one.coordinator).collect();
        prop_assert!(places.len() <= MOST_LEFTOVERS);
        places.push(session.coordinator);
        places.sort_unstable();
        let all = places.len();
        places.dedup();
        prop_assert_eq!(places.len(), all, "it is once on a coordinator");
        if usage.life.not_live() == Some(NotLive::Gone) {
            prop_assert!(all > 1, "what is gone and has no leftovers is forgotten");
        }
        let is_open = |guid| self.table.operations.get(guid).is_some_and(|known| known.open.is_some());
        prop_assert!(usage.operations.iter().all(is_open), "only open operations are listed");
        Ok(())
    }

    /// All guards end, and all sessions.
    fn end(&mut self) -> Result<(), TestCaseError> {
        self.calls.clear();
        self.holds.clear();
        self.departures.clear();
        self.reapings.clear();
        self.check()?;
        for number in 0..SESSIONS {
            let guid = handle(number).guid;
            self.table.remove_session(&guid, SessionEnd::Closed);
            for leftover in self.table.leftovers(&guid) {
                self.table.note_leftover_closed(&guid, &leftover);
            }
        }
        self.check()?;
        prop_assert_eq!(self.table.sessions(), 0);
        prop_assert!(self.open.is_empty());
        for owner in self.cluster.coordinators().iter() {
            prop_assert_eq!((owner.load(), owner.open_operations()), (Load::default(), 0));
        }
        prop_assert!(self.attached.iter().all(|(activity, _)| !activity.is_held()));
        prop_assert!(self.attached.iter().all(|(activity, _)| Arc::strong_count(activity) == 1));
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_to_sessions_they_are_what_they_count_for(
        events in prop::collection::vec((0..SESSIONS, any_event()), 0..120),
    ) {
        let mut world = World::new();
        for (number, event) in &events {
            world.use_session(*number, event);
            world.check()?;
        }
        world.end()?;
    }
}
