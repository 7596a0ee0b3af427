//! What probes and a coordinator's own words do to its turn.

use super::*;

#[test]
fn an_ejected_coordinator_is_picked_only_when_nobody_else_is_left() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1; 4]);
        let (now, mut rng) = (clock::now(), rng());
        eject(&cluster, 1, now);
        let _sessions: Vec<_> = (0..30).map(|_| open_one(&cluster, now, &mut rng)).collect();
        assert_eq!(open_sessions(&cluster), [10, 0, 10, 10], "{policy}");
        let tried = [CoordinatorId(0), CoordinatorId(2), CoordinatorId(3)];
        let last = cluster.pick_and_reserve(&Wanted::anywhere_but(&tried, Hs2), now, &mut rng).unwrap();
        assert_eq!(last.candidate.id, CoordinatorId(1));
        assert_eq!(last.candidate.reason.standing, Standing::Ejected);
    }
}

#[test]
fn when_most_look_bad_all_are_used() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    for place in 0..2 {
        eject(&cluster, place, now);
    }
    assert_eq!(order(&cluster, now, &mut rng)[2].reason.standing, Standing::Ejected, "half is enough");
    eject(&cluster, 2, now);
    let _sessions: Vec<_> = (0..40).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [10; 4]);
}

#[test]
fn one_that_people_took_out_gets_nothing_until_they_restore_it() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1; 3]);
        let (now, mut rng) = (clock::now(), rng());
        let out = &cluster.coordinators()[0];
        out.eject(now);
        out.eject(now + HOUR);
        assert_eq!(out.ejected_since(), Some(now), "{policy}");
        out.note_probe(Hs2, health::Finding::Passed, now);
        let mut sessions: Vec<_> = (0..10).map(|_| open_one(&cluster, now, &mut rng)).collect();
        assert_eq!(open_sessions(&cluster), [0, 5, 5], "{policy}");
        // Not even if no other is fit, or left.
        eject(&cluster, 1, now);
        eject(&cluster, 2, now);
        sessions.extend((0..10).map(|_| open_one(&cluster, now, &mut rng)));
        assert_eq!(open_sessions(&cluster), [0, 10, 10], "{policy}");
        let others = [CoordinatorId(1), CoordinatorId(2)];
        let none = cluster.pick_and_reserve(&Wanted::anywhere_but(&others, Hs2), now, &mut rng);
        assert!(matches!(none, Err(NoPick::Nobody)), "{policy}");
        assert!(cluster.why_nobody().contains("ejected by an operator"));
        assert!(out.restore(now) && !out.restore(now));
        assert_eq!(out.share(Hs2, now).percent(), 5, "{policy}: it begins slowly");
        let next = cluster.pick_and_reserve(&Wanted::anywhere_but(&others, Hs2), now, &mut rng).unwrap();
        assert_eq!(next.candidate.id, CoordinatorId(0), "{policy}");
    }
}

#[test]
fn a_panic_does_not_overrule_what_a_coordinator_says_of_itself() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    for coordinator in &cluster.coordinators()[..3] {
        let quiescing = Report { quiescing: Some(true), ..Report::default() };
        coordinator.note_report(quiescing, Own::default(), now, now);
    }
    let _sessions: Vec<_> = (0..8).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [0, 0, 0, 8]);
}

#[test]
fn a_returned_coordinator_gets_its_share_gradually() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1; 4]);
        let (now, mut rng) = (clock::now(), rng());
        eject(&cluster, 0, now);
        let mut sessions: Vec<_> = (0..90).map(|_| open_one(&cluster, now, &mut rng)).collect();
        let back = now + Duration::from_secs(2);
        cluster.coordinators()[0].note_probe(Hs2, health::Finding::Passed, back);
        sessions.extend((0..30).map(|_| open_one(&cluster, back, &mut rng)));
        let first = open_sessions(&cluster)[0];
        assert!((1..=3).contains(&first), "{policy}: {first} of 120 at first");
        let half = back + HEALTH.slow_start / 2;
        sessions.extend((0..30).map(|_| open_one(&cluster, half, &mut rng)));
        let second = open_sessions(&cluster)[0];
        assert!(second > first && second < 25, "{policy}: {second} of 150 at half time");
        let full = back + HEALTH.slow_start;
        let percent = |now| cluster.coordinators()[0].share(Hs2, now).percent();
        assert_eq!((percent(half), percent(full)), (50, 100));
    }
}
