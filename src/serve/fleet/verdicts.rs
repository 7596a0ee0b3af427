//! What coordinators have said lately about credentials that come over HTTP. Such a credential proves nothing
//! by itself, and could be invented for each request; so bounds count it for its address until a coordinator
//! has answered a call with it. And once a coordinator has refused it, only the client may show it again: the
//! router's own calls would be so many wrong binds, and a handful of those locks an account.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ids::{CoordinatorId, Credential};

/// How long a credential counts as accepted after a coordinator accepted it last.
const REMEMBERED: Duration = Duration::from_mins(10);
/// The most credentials that are remembered. Past that the one goes that was accepted the longest ago.
const MOST: usize = 4096;
/// The most coordinators that are remembered to refuse one credential, the latest.
const MOST_REFUSALS: usize = 64;

/// What a fleet's coordinators have said about the credentials that at least one of them has accepted.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Mutex<BTreeMap<Credential, Known>>);

#[derive(Debug)]
struct Known {
    /// When a coordinator accepted it last.
    accepted: Instant,
    /// Whether a coordinator has refused it since.
    is_refused: bool,
    /// Those that refused it and have not accepted it since.
    refused_by: Vec<CoordinatorId>,
}

impl Verdicts {
    /// Records that a coordinator has accepted a credential now.
    pub(crate) fn note_accepted(&self, credential: &Credential, coordinator: CoordinatorId, now: Instant) {
        let mut known = self.0.lock();
        if let Some(known) = known.get_mut(credential) {
            (known.accepted, known.is_refused) = (now, false);
            known.refused_by.retain(|refused| *refused != coordinator);
            return;
        }
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, known)| known.accepted);
            let oldest = oldest.map(|(oldest, _)| oldest.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        let accepted = Known { accepted: now, is_refused: false, refused_by: Vec::new() };
        known.insert(credential.clone(), accepted);
    }

    /// Records that a coordinator has refused a credential. One that was never accepted is not worth
    /// remembering: it has no sessions.
    pub(crate) fn note_refused(&self, credential: &Credential, coordinator: CoordinatorId) {
        let mut known = self.0.lock();
        let Some(known) = known.get_mut(credential) else { return };
        known.is_refused = true;
        known.refused_by.retain(|refused| *refused != coordinator);
        if known.refused_by.len() >= MOST_REFUSALS {
            known.refused_by.remove(0);
        }
        known.refused_by.push(coordinator);
    }

    /// Whether a coordinator has accepted the credential lately, and none has refused it since.
    pub(crate) fn are_good(&self, credential: &Credential, now: Instant) -> bool {
        let known = self.0.lock();
        let known = known.get(credential).filter(|known| !known.is_refused);
        known.is_some_and(|known| now.saturating_duration_since(known.accepted) < REMEMBERED)
    }

    /// Whether the router may not show the credential to a coordinator without its client: a coordinator has
    /// refused it and none has accepted it since, or this one has not.
    pub(crate) fn forbid(&self, credential: &Credential, coordinator: CoordinatorId) -> bool {
        let known = self.0.lock();
        let known = known.get(credential);
        known.is_some_and(|known| known.is_refused || known.refused_by.contains(&coordinator))
    }

    /// Whether one of certain coordinators has refused the credential and has not accepted it since, whatever
    /// others say.
    pub(crate) fn differ(&self, credential: &Credential, counts: impl FnMut(&CoordinatorId) -> bool) -> bool {
        self.0.lock().get(credential).is_some_and(|known| known.refused_by.iter().any(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::ids::Proof;

    const ONE: CoordinatorId = CoordinatorId(1);
    const TWO: CoordinatorId = CoordinatorId(2);

    fn credential(number: u64) -> Credential {
        Credential { proof: Proof::Lasting([number, 0]), do_as: None }
    }

    #[test]
    fn a_credential_counts_as_accepted_for_a_while_after_each_success_and_not_after_a_refusal() {
        let (verdicts, ann, begin) = (Verdicts::default(), credential(1), clock::now());
        assert!(!verdicts.are_good(&ann, begin));
        verdicts.note_accepted(&ann, ONE, begin);
        assert!(
            verdicts.are_good(&ann, begin + REMEMBERED / 2) && !verdicts.are_good(&ann, begin + REMEMBERED)
        );
        verdicts.note_accepted(&ann, ONE, begin + REMEMBERED / 2);
        assert!(verdicts.are_good(&ann, begin + REMEMBERED));
        let as_bob = Credential { do_as: Some("bob".into()), ..ann.clone() };
        assert!(!verdicts.are_good(&as_bob, begin + REMEMBERED), "another user");
        verdicts.note_refused(&ann, ONE);
        assert!(!verdicts.are_good(&ann, begin + REMEMBERED));
    }

    #[test]
    fn after_a_refusal_nothing_is_shown_to_anybody_until_a_client_was_accepted_and_there_until_it_was_there()
    {
        let (verdicts, ann, now) = (Verdicts::default(), credential(1), clock::now());
        let forbidden = |verdicts: &Verdicts| [ONE, TWO].map(|one| verdicts.forbid(&ann, one));
        verdicts.note_refused(&ann, ONE);
        assert_eq!(forbidden(&verdicts), [false, false], "it has no sessions");
        verdicts.note_accepted(&ann, ONE, now);
        assert_eq!(forbidden(&verdicts), [false, false]);
        verdicts.note_refused(&ann, ONE);
        assert_eq!(forbidden(&verdicts), [true, true]);
        verdicts.note_accepted(&ann, TWO, now);
        assert_eq!(forbidden(&verdicts), [true, false]);
        verdicts.note_accepted(&ann, ONE, now);
        assert_eq!(forbidden(&verdicts), [false, false]);
        assert!(!verdicts.forbid(&credential(2), ONE), "another one");
    }

    #[test]
    fn coordinators_differ_while_one_that_counts_has_refused_what_another_accepts() {
        let (verdicts, ann, now) = (Verdicts::default(), credential(1), clock::now());
        verdicts.note_accepted(&ann, ONE, now);
        assert!(!verdicts.differ(&ann, |_| true));
        verdicts.note_refused(&ann, TWO);
        verdicts.note_accepted(&ann, ONE, now);
        assert!(verdicts.differ(&ann, |_| true));
        assert!(!verdicts.differ(&ann, |one| *one != TWO), "it has left");
        verdicts.note_accepted(&ann, TWO, now);
        assert!(!verdicts.differ(&ann, |_| true));
    }

    #[test]
    fn of_too_many_refusals_the_latest_are_remembered() {
        let (verdicts, ann, now) = (Verdicts::default(), credential(1), clock::now());
        verdicts.note_accepted(&ann, CoordinatorId(0), now);
        let refusing: Vec<_> = (1..).map(CoordinatorId).take(MOST_REFUSALS + 1).collect();
        for coordinator in &refusing {
            verdicts.note_refused(&ann, *coordinator);
        }
        verdicts.note_accepted(&ann, CoordinatorId(0), now);
        assert!(!verdicts.forbid(&ann, refusing[0]));
        assert!(refusing[1..].iter().all(|one| verdicts.forbid(&ann, *one)));
    }

    #[test]
    fn of_too_many_credentials_the_one_goes_that_was_accepted_the_longest_ago() {
        let (verdicts, begin) = (Verdicts::default(), clock::now());
        for number in 0..MOST as u64 {
            verdicts.note_accepted(&credential(number), ONE, begin + Duration::from_millis(number));
        }
        let later = begin + Duration::from_mins(1);
        verdicts.note_accepted(&credential(0), ONE, later);
        verdicts.note_accepted(&credential(u64::MAX), ONE, later);
        assert_eq!(verdicts.0.lock().len(), MOST);
        assert!(!verdicts.are_good(&credential(1), later));
        assert!([0, 2, u64::MAX].iter().all(|number| verdicts.are_good(&credential(*number), later)));
    }
}
