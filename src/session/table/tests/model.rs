//! Sessions and operations that come and go, beside a model that has neither shards nor guards.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
        Event::EndRunning { operation } => {
            fixture.table.end_running(&handle(operation).guid, OperationEnd::Finished);
        }
        Event::CloseOperation { operation } => {
            fixture.table.close_operation(&handle(operation).guid, OperationEnd::Closed);
        }
        Event::CloseSession { session } => {
            fixture.table.remove_session(&handle(session).guid, SessionEnd::Closed);
        }
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
            fixture.table.remove_session(&handle(session).guid, SessionEnd::Closed);
        }
        prop_assert_eq!(fixture.counted(), (0, 0));
        prop_assert!(fixture.open.is_empty());
    }
}
