//! Coordinators come and go.

use proptest::prelude::*;

use super::*;

#[test]
fn settings_that_no_cluster_can_have_are_refused() {
    let mut twice = settings(PolicyName::LeastLoaded, &[1, 1]);
    twice.coordinators[1].name = twice.coordinators[0].name.clone();
    let name = CoordinatorName("c0".into());
    assert_eq!(Cluster::new(twice).unwrap_err(), SettingsError::DuplicateName { name: name.clone() });
    let weightless = settings(PolicyName::LeastLoaded, &[0]);
    assert_eq!(Cluster::new(weightless).unwrap_err(), SettingsError::ZeroWeight { name });
    for cost in [-0.1, f64::NAN, f64::INFINITY] {
        let mut costly = settings(PolicyName::LeastLoaded, &[1]);
        costly.idle_session_cost = cost;
        assert!(matches!(Cluster::new(costly), Err(SettingsError::IdleSessionCost { .. })), "{cost}");
    }
}

#[test]
fn coordinators_are_found_by_id_and_by_name() {
    let cluster = least_loaded(&[1, 1]);
    assert_eq!(cluster.coordinator(CoordinatorId(1)).unwrap().name.to_string(), "c1");
    assert_eq!(cluster.named("c1").unwrap().id, CoordinatorId(1));
    assert!(cluster.coordinator(CoordinatorId(2)).is_none());
    assert!(cluster.named("c2").is_none());
}

fn another(name: &str) -> CoordinatorSettings {
    let one = settings(PolicyName::LeastLoaded, &[1]).coordinators.remove(0);
    CoordinatorSettings { name: CoordinatorName(name.into()), ..one }
}

/// The ids of those that are picked within a few rounds.
fn picked(cluster: &Cluster, rng: &mut StdRng) -> Vec<u32> {
    let all = order(cluster, clock::now(), rng);
    let mut ids = ids(&all);
    ids.sort_unstable();
    ids
}

#[test]
fn a_cluster_still_serves_what_the_coordinators_offered_that_are_gone_for_the_moment() {
    let cluster =
        Cluster::new(Settings { coordinators: Vec::new(), ..settings(PolicyName::LeastLoaded, &[1]) });
    let cluster = cluster.unwrap();
    assert!(!cluster.serves(Hs2));
    let (one, ()) = cluster.add(another("c1"), |_| ()).unwrap();
    let offered = Service::ALL.map(|service| one.ports.of(service).is_some());
    cluster.remove(one.id).unwrap();
    assert_eq!(Service::ALL.map(|service| cluster.serves(service)), offered);
    assert!(cluster.serves(Hs2) && cluster.size() == 0);
}

#[test]
fn a_coordinator_is_picked_from_when_it_comes_until_it_goes() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let (cluster, mut rng) = (cluster(policy, &[1, 1]), rng());
        assert_eq!(picked(&cluster, &mut rng), [0, 1], "{policy}");
        let (third, ()) = cluster.add(another("c2"), |_| ()).unwrap();
        assert_eq!((third.id, picked(&cluster, &mut rng)), (CoordinatorId(2), vec![0, 1, 2]), "{policy}");
        assert_eq!(cluster.remove(CoordinatorId(0)).unwrap().id, CoordinatorId(0));
        assert_eq!(picked(&cluster, &mut rng), [1, 2], "{policy}");
        assert!(cluster.remove(CoordinatorId(0)).is_none() && cluster.named("c0").is_none());
        cluster.remove(CoordinatorId(1)).unwrap();
        cluster.remove(CoordinatorId(2)).unwrap();
        assert!(picked(&cluster, &mut rng).is_empty(), "{policy}");
        let nobody = cluster.pick_and_reserve(&ANYWHERE, clock::now(), &mut rng);
        assert_eq!(nobody.unwrap_err(), NoPick::Nobody);
    }
}

#[test]
fn an_id_is_given_once_although_the_name_is_given_again() {
    let cluster = least_loaded(&[1]);
    let taken = cluster.add(another("c0"), |_| ()).unwrap_err();
    assert_eq!(taken, SettingsError::DuplicateName { name: CoordinatorName("c0".into()) });
    for id in 1..5 {
        cluster.remove(CoordinatorId(id - 1)).unwrap();
        assert_eq!(cluster.add(another("c0"), |_| ()).unwrap().0.id, CoordinatorId(id));
    }
    assert_eq!(cluster.coordinators().len(), 1);
}

#[test]
fn what_is_counted_for_a_coordinator_that_has_gone_is_counted_to_its_end() {
    let (cluster, now, mut rng) = (least_loaded(&[1, 1]), clock::now(), rng());
    let (session, open) =
        (open_one(&cluster, now, &mut rng), cluster.pick_and_reserve(&ANYWHERE, now, &mut rng));
    let gone = Arc::clone(session.coordinator());
    cluster.remove(gone.id).unwrap();
    assert_eq!(picked(&cluster, &mut rng), [1 - gone.id.0]);
    drop((session, open));
    assert_eq!((gone.load(), gone.is_empty()), (Load::default(), true));
    assert_eq!(picked(&cluster, &mut rng), [1 - gone.id.0]);
}

#[test]
fn a_coordinator_that_retires_is_drained_for_good() {
    let cluster = least_loaded(&[1]);
    let (one, now) = (&cluster.coordinators()[0], clock::now());
    one.retire(Some(HOUR), Duration::ZERO, now);
    one.resume();
    assert_eq!((one.state(), one.drain_under_way().unwrap().deadline), (AdminState::Drain, now + HOUR));
    one.drain(Some(2 * HOUR), Duration::ZERO, now);
    assert_eq!(one.drain_under_way().unwrap().deadline, now + 2 * HOUR, "another deadline may be set");
}

#[test]
fn everybody_gets_a_turn_again_when_somebody_has_come() {
    let (cluster, now, mut rng) = (cluster(PolicyName::RoundRobin, &[5, 1]), clock::now(), rng());
    for _ in 0..4 {
        let _session = open_one(&cluster, now, &mut rng);
    }
    cluster.add(another("c2"), |_| ()).unwrap();
    let mut turns = [0; 3];
    for _ in 0..70 {
        turns[open_one(&cluster, now, &mut rng).coordinator().id.0 as usize] += 1;
    }
    assert_eq!(turns, [50, 10, 10]);
}

#[derive(Clone, Debug)]
enum Event {
    Comes,
    Goes(usize),
    Runs(usize),
    Ends(usize),
    Opens,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Comes),
        1 => any::<usize>().prop_map(Event::Goes),
        4 => any::<usize>().prop_map(Event::Runs),
        2 => any::<usize>().prop_map(Event::Ends),
        4 => Just(Event::Opens),
    ]
}

proptest! {
    #[test]
    fn the_least_loaded_of_those_that_are_there_is_picked(
        events in prop::collection::vec(event(), 0..150),
        seed in any::<u64>(),
    ) {
        let (cluster, now, mut rng) = (least_loaded(&[1; 2]), clock::now(), StdRng::seed_from_u64(seed));
        let (mut came, mut running, mut sessions) = (2, Vec::new(), Vec::new());
        for event in events {
            let all = cluster.coordinators();
            match event {
                Event::Comes => {
                    cluster.add(another(&format!("c{came}")), |_| ()).unwrap();
                    came += 1;
                }
                Event::Goes(_) | Event::Runs(_) if all.is_empty() => {}
                Event::Goes(at) => drop(cluster.remove(all[at % all.len()].id)),
                Event::Runs(at) => running.push(all[at % all.len()].count_running()),
                Event::Ends(_) if running.is_empty() => {}
                Event::Ends(at) => drop(running.swap_remove(at % running.len())),
                Event::Opens => match cluster.pick_and_reserve(&ANYWHERE, now, &mut rng) {
                    Err(none) => prop_assert_eq!((none, all.len()), (NoPick::Nobody, 0)),
                    Ok(Reserved { candidate, opening }) => {
                        let session = opening.into_session();
                        let score = |one: &Coordinator| {
                            let Load { open_sessions, running_operations, .. } = one.load();
                            // Counted since.
                            let own = u32::from(one.id == candidate.id);
                            f64::from(running_operations) + 0.1 * f64::from(open_sessions - own)
                        };
                        let least = all.iter().map(|one| score(one)).fold(f64::INFINITY, f64::min);
                        let one = cluster.coordinator(candidate.id).unwrap();
                        prop_assert!((score(&one) - least).abs() < 1e-6);
                        sessions.push(session);
                    }
                },
            }
        }
    }
}
