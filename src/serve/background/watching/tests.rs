use hyper::StatusCode;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

#[test]
fn intervals_differ_by_a_tenth_at_most() {
    let mut rng = StdRng::seed_from_u64(3);
    let all: Vec<_> = (0..1000).map(|_| jittered(Duration::from_secs(10), &mut rng)).collect();
    let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
    assert!(*least >= Duration::from_secs(9) && *most <= Duration::from_secs(11), "{least:?} {most:?}");
    assert!(*most > *least + Duration::from_millis(1500));
}

#[test]
fn a_port_of_impala_may_be_silent_while_its_web_port_answers_or_two_log_in() {
    let speaks = crate::net::probe::Speaks::Sasl;
    let silent = Err(ProbeError::Silent { speaks, allowed: Duration::from_secs(1), is_encrypted: false });
    let timed_out = Err(WebError::TimedOut(Duration::from_secs(1)));
    let unauthorized = Err(WebError::Status(StatusCode::UNAUTHORIZED));
    for answers in [Ok(()), unauthorized] {
        assert!(may_be_busy(Some(&silent), 0, &answers, Some(false)));
    }
    assert!(!may_be_busy(Some(&silent), 9, &timed_out, Some(true)), "its process answers nothing");
    for (healthy, web_answers) in [(&Ok(()), None), (&timed_out, Some(false))] {
        assert!(may_be_busy(Some(&silent), 2, healthy, web_answers));
        assert!(!may_be_busy(Some(&silent), 1, healthy, web_answers), "the other thread is free");
    }
    assert!(!may_be_busy(Some(&Ok(Passed::Answered)), 9, &Ok(()), Some(true)));
    assert!(!may_be_busy(None, 9, &Ok(()), None));
}

#[test]
fn only_a_web_port_that_says_so_speaks_against_a_coordinator() {
    let status = |status| Err(WebError::Status(status));
    let connected = || Ok(Passed::Connected);
    let bad = finding(Some(&connected()), &status(StatusCode::SERVICE_UNAVAILABLE), false);
    assert_eq!(bad, Some(Finding::Failed("/healthz: 503 Service Unavailable".into())));
    assert_eq!(finding(Some(&connected()), &status(StatusCode::UNAUTHORIZED), true), Some(Finding::Passed));
    let silent = Err(WebError::TimedOut(Duration::from_secs(1)));
    assert_eq!(finding(Some(&connected()), &silent, false), Some(Finding::Passed));
    assert!(
        matches!(finding(Some(&connected()), &silent, true), Some(Finding::Failed(_))),
        "it answered before"
    );
    assert_eq!(finding(None, &Ok(()), true), None, "there was no room to ask");
    assert_eq!(finding(None, &status(StatusCode::SERVICE_UNAVAILABLE), false), bad);
}
