use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::clock;
use crate::cluster::tests::least_loaded;
use crate::cluster::{SessionCount, Wanted};
use crate::ids::Service::Hs2;

/// What clients want and coordinators do.
struct Scene {
    cluster: Cluster,
    now: Instant,
    rng: StdRng,
    sessions: Vec<SessionCount>,
}

impl Scene {
    fn of(coordinators: usize, seed: u64) -> Self {
        let cluster = least_loaded(&vec![1; coordinators]);
        Self { cluster, now: clock::now(), rng: StdRng::seed_from_u64(seed), sessions: Vec::new() }
    }

    /// Somebody wants a session: the coordinator that is asked for it, and whether it was opened.
    fn open(&mut self, what: &str, opens: impl Fn(CoordinatorId) -> bool) -> (CoordinatorId, bool) {
        let demand = self.cluster.demand(Hs2, Step::Open, what);
        let wanted = Wanted { demand: Some(demand), ..Wanted::anywhere_but(&[], Hs2) };
        let picked = self.cluster.pick_and_reserve(&wanted, self.now, &mut self.rng).unwrap();
        let coordinator = std::sync::Arc::clone(picked.opening.coordinator());
        let done = opens(coordinator.id);
        if done {
            coordinator.note_opened(Hs2);
            self.cluster.note_done(demand, &coordinator, self.now);
            self.sessions.push(picked.opening.into_session());
        } else {
            self.cluster.note_failed(demand, &coordinator, self.now);
        }
        (coordinator.id, done)
    }

    /// How many sessions each coordinator has.
    fn spread(&self) -> Vec<u32> {
        self.cluster.coordinators().iter().map(|one| one.load().open_sessions).collect()
    }

    fn failures(&self, coordinator: usize) -> f64 {
        self.cluster.coordinators()[coordinator].outlook(Hs2, self.now).failures
    }
}

fn never(_: CoordinatorId) -> bool {
    false
}

fn always(_: CoordinatorId) -> bool {
    true
}

/// The first coordinator fails at all it gets.
fn all_but_the_first(coordinator: CoordinatorId) -> bool {
    coordinator != CoordinatorId(0)
}

#[test]
fn a_thousand_opens_that_fail_everywhere_leave_those_that_do_not_where_they_would_be() {
    for coordinators in [2, 3, 4] {
        let mut scene = Scene::of(coordinators, 7);
        for _ in 0..1000 {
            scene.open("a database that is not there", never);
        }
        for _ in 0..20 * coordinators {
            scene.open("what is there", always);
        }
        assert_eq!(scene.spread(), vec![20; coordinators]);
    }
}

proptest! {
    #[test]
    fn opens_that_fail_whatever_they_are_move_no_session_of_others(
        coordinators in 1_usize..6,
        // Which of the bad demands fails, or that a good one comes; and how many milliseconds later.
        opens in vec((prop::option::of(0_u8..5), 0_u64..20_000), 0..200),
        seed in any::<u64>(),
    ) {
        let mut scene = Scene::of(coordinators, seed);
        for (bad, later) in opens {
            scene.now += Duration::from_millis(later);
            match bad {
                Some(bad) => _ = scene.open(&format!("bad {bad}"), never),
                None => _ = scene.open("good", always),
            }
            let spread = scene.spread();
            let (least, most) = (spread.iter().min().unwrap(), spread.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{spread:?}");
            for coordinator in 0..coordinators {
                prop_assert!(scene.failures(coordinator) <= 0.0);
            }
        }
    }

    #[test]
    fn whoever_fails_at_an_open_is_not_asked_for_the_same_while_another_is_ready(
        coordinators in 2_usize..6,
        seed in any::<u64>(),
    ) {
        let mut scene = Scene::of(coordinators, seed);
        let mut asked: Vec<_> = (0..coordinators).map(|_| scene.open("bad", never).0.0).collect();
        asked.sort_unstable();
        prop_assert_eq!(asked, (0..).take(coordinators).collect::<Vec<u32>>());
        // Nor is one that is not ready asked in its place.
        let mut scene = Scene::of(coordinators, seed);
        let (failed, _) = scene.open("bad", never);
        for other in scene.cluster.coordinators().iter().filter(|other| other.id != failed) {
            other.note_dial_failed(Hs2, scene.now);
        }
        prop_assert_eq!(scene.open("bad", never).0, failed);
    }
}

#[test]
fn a_coordinator_that_fails_at_all_opens_of_everybody_gets_few_of_them() {
    // Clients that each open again and again, and clients that try again only when it failed.
    for (clients, step) in [(1, 100), (20, 100), (20, 1000), (600, 100)] {
        let (mut scene, mut failed) = (Scene::of(4, 7), 0);
        for open in 0..600 {
            let client = format!("client {}", open % clients);
            let (_, mut done) = scene.open(&client, all_but_the_first);
            while !done {
                failed += 1;
                done = scene.open(&client, all_but_the_first).1;
            }
            scene.now += Duration::from_millis(step);
        }
        // Once in a half-life, at most.
        let most = 2 + 600 * step / 30_000;
        assert!((1..=most).contains(&failed), "{failed} of 600 opens failed, of {clients} clients");
        assert_eq!(scene.spread()[0], 0);
    }
}

#[test]
fn two_of_three_that_fail_at_all_are_not_asked_in_turn() {
    let mut scene = Scene::of(3, 7);
    // The one that works has the most to do.
    let busy: Vec<_> = (0..50).map(|_| scene.cluster.coordinators()[2].count_running()).collect();
    let done: Vec<_> = (0..20).map(|_| scene.open("the same", |one| one == CoordinatorId(2)).1).collect();
    assert_eq!(done.iter().filter(|done| !**done).count(), 2, "{done:?}");
    drop(busy);
}

#[test]
fn a_failure_counts_once_another_has_done_the_same_unless_the_one_that_failed_has_done_others() {
    let mut scene = Scene::of(2, 7);
    let (failed, _) = scene.open("this", never);
    let place = failed.0 as usize;
    assert!(scene.failures(place) <= 0.0);
    scene.open("that", always);
    scene.open("this", always);
    let counts = scene.failures(place);
    let (failed, _) = scene.open("another", never);
    let place = failed.0 as usize;
    scene.cluster.coordinators()[place].note_opened(Hs2);
    scene.open("another", always);
    assert!(scene.failures(place) <= 0.0, "it opens sessions for others");
    assert!(counts <= 1.0);
    let mut scene = Scene::of(2, 7);
    let place = scene.open("this", never).0.0 as usize;
    scene.open("this", always);
    assert!((scene.failures(place) - 1.0).abs() < 1e-9);
    scene.cluster.coordinators()[place].note_opened(Hs2);
    assert!(scene.failures(place) <= 0.0, "it does open sessions");
}

#[test]
fn what_fails_everywhere_and_is_done_later_speaks_against_nobody() {
    let mut scene = Scene::of(3, 7);
    for _ in 0..3 {
        scene.open("this", never);
    }
    scene.open("this", always);
    assert!((0..3).all(|place| scene.failures(place) <= 0.0), "it was not there before");
}

#[test]
fn wrong_passwords_keep_no_session_away_from_whoever_judged_them() {
    let mut scene = Scene::of(4, 7);
    for guess in 0..100 {
        let demand = scene.cluster.demand(Hs2, Step::Login, format!("guess {guess}"));
        scene.cluster.note_failed(demand, &scene.cluster.coordinators()[0], scene.now);
    }
    for _ in 0..40 {
        scene.open("what is there", always);
    }
    assert_eq!(scene.spread(), [10; 4]);
}

#[test]
fn what_is_remembered_is_bounded_and_forgotten() {
    let scene = Scene::of(40, 7);
    let cluster = &scene.cluster;
    let demand = |number: usize| cluster.demand(Hs2, Step::Open, number);
    for coordinator in cluster.coordinators().iter() {
        cluster.note_failed(demand(0), coordinator, scene.now);
    }
    assert_eq!(cluster.failed_at(demand(0)).len(), MOST_FAILED);
    for number in 1..3 * MOST {
        cluster.note_failed(demand(number), &cluster.coordinators()[0], scene.now);
        if number % 2 == 0 {
            cluster.note_done(demand(number), &cluster.coordinators()[1], scene.now);
        }
        let demands = cluster.demands.lock();
        assert!(demands.known.len() <= MOST && demands.order.len() <= MOST);
    }
    let last = demand(3 * MOST - 1);
    assert_eq!(cluster.failed_at(demand(0)), []);
    assert_eq!(cluster.failed_at(last), [CoordinatorId(0)]);
    cluster.note_failed(demand(0), &cluster.coordinators()[0], scene.now + KEEP);
    assert_eq!(cluster.failed_at(last), []);
    assert_eq!(cluster.demands.lock().order.len(), 1);
}
