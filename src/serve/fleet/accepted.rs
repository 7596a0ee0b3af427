//! Which credentials coordinators have accepted lately. One that comes over HTTP proves nothing by itself, and
//! could be invented for each request; so bounds count it for its address until a coordinator has answered
//! a call with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ids::Credential;

/// How long a credential counts as accepted after a coordinator accepted it last.
const REMEMBERED: Duration = Duration::from_mins(10);
/// The most credentials that are remembered. Past that the one goes that was accepted the longest ago.
const MOST: usize = 4096;

/// The credentials that a fleet's coordinators have accepted, and when each was accepted last.
#[derive(Debug, Default)]
pub(crate) struct Accepted(Mutex<BTreeMap<Credential, Instant>>);

impl Accepted {
    /// Records that a coordinator has accepted a credential now.
    pub(crate) fn note(&self, credential: &Credential, now: Instant) {
        let mut accepted = self.0.lock();
        if let Some(last) = accepted.get_mut(credential) {
            *last = now;
            return;
        }
        if accepted.len() >= MOST {
            let oldest = accepted.iter().min_by_key(|(_, last)| **last).map(|(oldest, _)| oldest.clone());
            oldest.and_then(|oldest| accepted.remove(&oldest));
        }
        accepted.insert(credential.clone(), now);
    }

    /// Forgets a credential, because a coordinator has refused it.
    pub(crate) fn forget(&self, credential: &Credential) {
        self.0.lock().remove(credential);
    }

    /// Whether a coordinator has accepted the credential lately.
    pub(crate) fn has(&self, credential: &Credential, now: Instant) -> bool {
        let last = self.0.lock().get(credential).copied();
        last.is_some_and(|last| now.saturating_duration_since(last) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn credential(number: u64) -> Credential {
        Credential { hash: [number, 0], do_as: None }
    }

    #[test]
    fn a_credential_counts_as_accepted_for_a_while_after_each_success_and_not_after_a_refusal() {
        let (accepted, ann, begin) = (Accepted::default(), credential(1), clock::now());
        assert!(!accepted.has(&ann, begin));
        accepted.note(&ann, begin);
        assert!(accepted.has(&ann, begin + REMEMBERED / 2) && !accepted.has(&ann, begin + REMEMBERED));
        accepted.note(&ann, begin + REMEMBERED / 2);
        assert!(accepted.has(&ann, begin + REMEMBERED));
        let as_bob = Credential { do_as: Some("bob".into()), ..ann.clone() };
        assert!(!accepted.has(&as_bob, begin + REMEMBERED), "another user");
        accepted.forget(&ann);
        assert!(!accepted.has(&ann, begin + REMEMBERED));
    }

    #[test]
    fn of_too_many_credentials_the_one_goes_that_was_accepted_the_longest_ago() {
        let (accepted, begin) = (Accepted::default(), clock::now());
        for number in 0..MOST as u64 {
            accepted.note(&credential(number), begin + Duration::from_millis(number));
        }
        let later = begin + Duration::from_mins(1);
        accepted.note(&credential(0), later);
        accepted.note(&credential(u64::MAX), later);
        assert_eq!(accepted.0.lock().len(), MOST);
        assert!(!accepted.has(&credential(1), later));
        assert!([0, 2, u64::MAX].iter().all(|number| accepted.has(&credential(*number), later)));
    }
}
