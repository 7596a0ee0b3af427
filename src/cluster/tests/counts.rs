//! What is counted is counted once, and no longer than it lasts.

use proptest::prelude::*;

use super::*;

#[test]
fn an_open_that_becomes_a_session_is_counted_once() {
    let cluster = least_loaded(&[1]);
    let opening = cluster.coordinators()[0].begin_open();
    assert_eq!(cluster.coordinators()[0].load(), Load { opens_in_progress: 1, ..Load::default() });
    let session = opening.into_session();
    assert_eq!(cluster.coordinators()[0].load(), Load { open_sessions: 1, ..Load::default() });
    assert_eq!(session.coordinator().id, CoordinatorId(0));
}

#[test]
fn an_operation_of_ours_is_not_taken_for_one_of_others() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    let figures = Figures { registered: 2, ..Figures::default() };
    let in_flight = coordinator.count_running();
    let ended_but_open = coordinator.count_operation();
    coordinator.note_report(report(figures), coordinator.own(), now, now);
    assert_eq!(coordinator.others().operations, 0);
    let counted = coordinator.count_operation();
    let minted = in_flight.minted();
    assert_eq!(coordinator.own().registered, 2);
    drop((minted, counted, ended_but_open));
    assert_eq!(coordinator.own(), Own::default());
}

#[derive(Clone, Debug)]
enum Step {
    Open(usize),
    Session(usize),
    Run(usize),
    Promote(usize),
    EndOpen(usize),
    EndSession(usize),
    EndRun(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<usize>().prop_map(Step::Open),
        any::<usize>().prop_map(Step::Session),
        any::<usize>().prop_map(Step::Run),
        any::<usize>().prop_map(Step::Promote),
        any::<usize>().prop_map(Step::EndOpen),
        any::<usize>().prop_map(Step::EndSession),
        any::<usize>().prop_map(Step::EndRun),
    ]
}

fn take<T>(held: &mut Vec<T>, at: usize) -> Option<T> {
    (!held.is_empty()).then(|| held.swap_remove(at % held.len()))
}

proptest! {
    #[test]
    fn counts_agree_with_the_guards_and_return_to_zero(steps in prop::collection::vec(step(), 0..200)) {
        let cluster = least_loaded(&[1; 3]);
        let all = cluster.coordinators();
        let at = |place: usize| &all[place % 3];
        let (mut opens, mut sessions, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Open(place) => opens.push(at(place).begin_open()),
                Step::Session(place) => sessions.push(at(place).count_session()),
                Step::Run(place) => runs.push(at(place).count_running()),
                Step::Promote(place) => sessions.extend(take(&mut opens, place).map(Opening::into_session)),
                Step::EndOpen(place) => drop(take(&mut opens, place)),
                Step::EndSession(place) => drop(take(&mut sessions, place)),
                Step::EndRun(place) => drop(take(&mut runs, place)),
            }
            let mut expected = [Load::default(); 3];
            for open in &opens {
                expected[open.coordinator().id.0 as usize].opens_in_progress += 1;
            }
            for session in &sessions {
                expected[session.coordinator().id.0 as usize].open_sessions += 1;
            }
            for run in &runs {
                expected[run.coordinator().id.0 as usize].running_operations += 1;
            }
            let counted: Vec<_> = cluster.coordinators().iter().map(|c| c.load()).collect();
            prop_assert_eq!(&counted[..], &expected[..]);
        }
        drop((opens, sessions, runs));
        for coordinator in cluster.coordinators().iter() {
            prop_assert_eq!(coordinator.load(), Load::default());
        }
    }
}
