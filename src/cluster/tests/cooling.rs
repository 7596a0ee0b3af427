//! Who is tried last, for how long, and what ends that.

use super::*;

#[test]
fn a_coordinator_whose_dial_failed_is_tried_last_but_tried() {
    let cluster = least_loaded(&[1, 1, 1]);
    let (now, mut rng) = (clock::now(), rng());
    cluster.coordinators()[1].note_dial_failed(Hs2, now);
    let _busy = [cluster.coordinators()[0].count_running(), cluster.coordinators()[2].count_running()];
    let picked = order(&cluster, now, &mut rng);
    assert_eq!(picked.len(), 3);
    assert_eq!(picked[2].id, CoordinatorId(1));
    assert_eq!(picked[2].reason.standing, Standing::Cooling(Cause::DialFailed));
    assert_eq!(picked[2].reason.to_string(), "load 0.00, tried last: last dial failed");
    assert_eq!(order(&cluster, now + Duration::from_secs(1), &mut rng)[0].id, CoordinatorId(1));
}

#[test]
fn a_back_off_doubles_from_one_second_to_thirty() {
    let cluster = least_loaded(&[1]);
    let coordinator = &cluster.coordinators()[0];
    let mut now = clock::now();
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        coordinator.note_dial_failed(Hs2, now);
        let pause = Duration::from_secs(seconds);
        let almost = now + pause.saturating_sub(Duration::from_millis(1));
        assert_eq!(coordinator.standing(Hs2, almost), Standing::Cooling(Cause::DialFailed));
        now += pause;
        assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
    }
    coordinator.note_dialed(Hs2);
    coordinator.note_dial_failed(Hs2, now);
    assert_eq!(coordinator.standing(Hs2, now + Duration::from_secs(1)), Standing::Ready);
}

#[test]
fn fifty_failures_together_are_one_failure() {
    let cluster = least_loaded(&[1]);
    let now = clock::now();
    for _ in 0..50 {
        cluster.coordinators()[0].note_dial_failed(Hs2, now);
    }
    assert_eq!(cluster.coordinators()[0].standing(Hs2, now + Duration::from_secs(1)), Standing::Ready);
}

#[test]
fn a_dial_that_succeeds_does_not_disprove_a_shutdown() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    coordinator.note_dial_failed(Hs2, now);
    coordinator.note_shutting_down(now);
    coordinator.note_dialed(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Cooling(Cause::ShuttingDown));
    coordinator.note_opened(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
}

#[test]
fn a_dial_that_fails_on_one_port_says_nothing_of_the_others() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    coordinator.note_dial_failed(Service::Beeswax, now);
    assert_eq!(coordinator.standing(Service::Beeswax, now), Standing::Cooling(Cause::DialFailed));
    assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
    coordinator.note_dialed(Hs2);
    coordinator.note_opened(Hs2);
    assert_eq!(coordinator.standing(Service::Beeswax, now), Standing::Cooling(Cause::DialFailed));
}

#[test]
fn a_dial_that_succeeds_disproves_neither_a_lost_open_nor_a_login_without_verdict() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    coordinator.note_open_lost(Hs2, now);
    coordinator.note_login_unanswered(Hs2, now);
    coordinator.note_dialed(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Cooling(Cause::LoginUnanswered));
    coordinator.note_logged_in(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Cooling(Cause::OpenLost));
    coordinator.note_opened(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
}

#[test]
fn cooling_coordinators_lose_no_turns_to_each_other() {
    let cluster = cluster(PolicyName::RoundRobin, &[1, 1, 1]);
    let (now, mut rng) = (clock::now(), rng());
    cluster.coordinators()[2].note_dial_failed(Hs2, now);
    let _sessions: Vec<_> = (0..10).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [5, 5, 0]);
    let later = now + Duration::from_secs(1);
    let _more: Vec<_> = (0..9).map(|_| open_one(&cluster, later, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [8, 8, 3]);
}
