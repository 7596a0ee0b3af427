//! When a call may be sent again after its link was lost: one table, by method and phase. A statement reaches a coordinator
//! that runs it at most once, always.
//!
//! An open whose reply began may go to the next candidate, because nothing of a reply to it is passed on before it is whole:
//! unless the reply already said that the session is open. Then a session exists that nobody holds a handle of, and the
//! coordinator has shown that it can open more of them; one is enough.

use crate::wire::method::Retry;

/// How far a call had come when its link was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it was written: the link was found dead, or could not be dialed.
    NothingWritten,
    /// Something was written, nothing of the reply came.
    Waiting,
    /// Some of the reply came, and not yet that the call succeeded.
    ReplyBegan,
    /// Some of the reply came, and says that the call succeeded.
    ReplySucceeds,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Send it on a new link to the same coordinator.
    Redial,
    /// Send it to the next candidate.
    NextCandidate,
    /// Tell the client what happened.
    Refuse,
}

/// What to do about a call whose link was lost in this phase, after `resends` times of sending it again.
pub fn remedy(retry: Retry, phase: Phase, resends: u32) -> Remedy {
    match (retry, phase) {
        (_, Phase::ReplySucceeds) => Remedy::Refuse,
        (Retry::NextCandidate, _) => Remedy::NextCandidate,
        (_, Phase::ReplyBegan) => Remedy::Refuse,
        (_, _) if resends > 0 => Remedy::Refuse,
        (_, Phase::NothingWritten) | (Retry::Once | Retry::OnceGoneIsDone, Phase::Waiting) => Remedy::Redial,
        (Retry::Never, Phase::Waiting) => Remedy::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_twice_is_never_sent_again_once_written() {
        assert_eq!(remedy(Retry::Never, Phase::Waiting, 0), Remedy::Refuse);
        assert_eq!(remedy(Retry::Never, Phase::NothingWritten, 0), Remedy::Redial);
    }

    #[test]
    fn a_call_is_sent_again_once_and_not_more() {
        for retry in [Retry::Once, Retry::OnceGoneIsDone, Retry::Never] {
            for phase in [Phase::NothingWritten, Phase::Waiting] {
                assert_eq!(remedy(retry, phase, 1), Remedy::Refuse);
            }
        }
        assert_eq!(remedy(Retry::Once, Phase::Waiting, 0), Remedy::Redial);
    }

    #[test]
    fn an_open_goes_on_to_the_next_candidate_until_its_reply_says_that_it_succeeded() {
        for resends in 0..5 {
            assert_eq!(remedy(Retry::NextCandidate, Phase::Waiting, resends), Remedy::NextCandidate);
            assert_eq!(remedy(Retry::NextCandidate, Phase::ReplyBegan, resends), Remedy::NextCandidate);
            assert_eq!(remedy(Retry::NextCandidate, Phase::ReplySucceeds, resends), Remedy::Refuse);
        }
    }

    #[test]
    fn what_is_not_an_open_is_not_sent_again_once_its_reply_has_begun() {
        for retry in [Retry::Once, Retry::OnceGoneIsDone, Retry::Never] {
            for phase in [Phase::ReplyBegan, Phase::ReplySucceeds] {
                assert_eq!(remedy(retry, phase, 0), Remedy::Refuse);
            }
        }
    }
}
