//! Opens that fail shift load off the coordinator whose fault that is.

use super::*;

/// Opens that the first coordinator answers with a failure, as it answers all; the others open a session.
fn failed_by_the_first(cluster: &Cluster, opens: usize, step: Duration) -> usize {
    let (mut now, mut rng, mut sessions, mut failed) = (clock::now(), rng(), Vec::new(), 0);
    for _ in 0..opens {
        let opening = cluster.pick_and_reserve(&ANYWHERE, now, &mut rng).unwrap().opening;
        if opening.coordinator().id == CoordinatorId(0) {
            opening.coordinator().note_failed(Hs2, Step::Open, now);
            failed += 1;
        } else {
            sessions.push(opening.into_session());
        }
        now += step;
    }
    failed
}

#[test]
fn a_coordinator_that_fails_every_open_is_tried_about_once_in_a_half_life_however_busy_the_others_are() {
    for (opens, step) in [(600, Duration::from_millis(100)), (60, Duration::from_secs(1))] {
        let cluster = least_loaded(&[1; 4]);
        let failed = failed_by_the_first(&cluster, opens, step);
        assert!((1..=6).contains(&failed), "{failed} of {opens} opens within a minute failed");
    }
}

#[test]
fn opens_that_fail_everywhere_shift_no_load() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    let mut failed = [0; 4];
    let mut sessions = Vec::new();
    for _ in 0..200 {
        let opening = cluster.pick_and_reserve(&ANYWHERE, now, &mut rng).unwrap().opening;
        failed[opening.coordinator().id.0 as usize] += 1;
        opening.coordinator().note_failed(Hs2, Step::Open, now);
        drop(opening);
        sessions.push(open_one(&cluster, now, &mut rng));
    }
    assert_eq!(failed.iter().sum::<u32>(), 200);
    assert!(failed.iter().all(|failed| (45..=55).contains(failed)), "{failed:?}");
    assert!(
        open_sessions(&cluster).iter().all(|sessions| (40..=60).contains(sessions)),
        "{:?}",
        open_sessions(&cluster)
    );
}

#[test]
fn a_failure_never_keeps_a_session_from_the_only_coordinator() {
    let cluster = least_loaded(&[1]);
    let now = clock::now();
    for _ in 0..1000 {
        cluster.coordinators()[0].note_failed(Hs2, Step::Open, now);
    }
    assert_eq!(cluster.coordinators()[0].standing(Hs2, now), Standing::Ready);
    assert_eq!(order(&cluster, now, &mut rng()).len(), 1);
}
