//! What is done about a call that went wrong: one table, by what its method may bear and by how far it had
//! come. A statement reaches a coordinator that runs it at most once, always. `docs/RETRIES.md` is written
//! from what stands here.
//!
//! An open whose reply began may go to the next candidate, because nothing of a reply to it is passed on
//! before it is whole: unless the reply already said that the session is open. Then a session exists that
//! nobody holds a handle of, and the coordinator has shown that it can open more of them; one is enough.

use crate::wire::hs2::reply::SqlState;
use crate::wire::method::Retry;

/// How far a call had come when something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is no link to send it on: the coordinator cannot be reached, or was lost before it had the
    /// credentials.
    NoLink,
    /// There is no link because the coordinator is full, and was for longer than the call may wait.
    NoRoom,
    /// There is no link because of what came of the credentials: the coordinator refused them, or gave no
    /// verdict.
    CredentialsShown,
    /// Nothing of it was written: the link was found dead.
    NothingWritten,
    /// Something was written, nothing of the reply came.
    Waiting,
    /// Some of the reply came, and not yet that the call succeeded.
    ReplyBegan,
    /// Some of the reply came, and says that the call succeeded.
    ReplySucceeds,
    /// The whole reply came, and says that the coordinator takes no new work, or no new session, and did not
    /// run the call.
    TurnedAway,
    /// The reply to an open did not come in the time that one may take in all.
    OutOfTime,
}

impl Phase {
    /// Every phase, in the order in which a call goes through them, with what it is called in documents.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::NoLink, "the coordinator cannot be reached"),
        (Self::NoRoom, "it is full for longer than `queue_timeout`"),
        (Self::CredentialsShown, "it does not accept the login"),
        (Self::NothingWritten, "the link is found dead before a byte of the request is written"),
        (
            Self::Waiting,
            "the link is lost in the middle of the request, or before the reply begins; while an open waits, also: nothing answers on the port any more",
        ),
        (Self::ReplyBegan, "the link is lost within the reply"),
        (Self::ReplySucceeds, "the link is lost within a reply that has said that the call succeeded"),
        (
            Self::TurnedAway,
            "it answers that it shuts down, or may have no more sessions, and has not run the call",
        ),
        (Self::OutOfTime, "an open takes longer than `open_timeout` in all"),
    ];

    /// Whether the coordinator cannot have any of the request, so that even one that is not held whole can be
    /// sent.
    pub fn is_unwritten(self) -> bool {
        matches!(self, Self::NoLink | Self::NoRoom | Self::CredentialsShown | Self::NothingWritten)
    }
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
    /// Give the client the coordinator's own words.
    PassOn,
}

/// What to do about a call that went wrong in this phase, after `resends` times of sending it again.
pub fn remedy(retry: Retry, phase: Phase, resends: u32) -> Remedy {
    match (retry, phase) {
        // What came of credentials is a verdict: a handful of wrong logins locks an account.
        (_, Phase::CredentialsShown | Phase::ReplySucceeds | Phase::OutOfTime) => Remedy::Refuse,
        (Retry::NextCandidate, _) => Remedy::NextCandidate,
        (_, Phase::TurnedAway) => Remedy::PassOn,
        // The owner of what a call names is its only candidate.
        (_, Phase::NoLink | Phase::NoRoom | Phase::ReplyBegan) => Remedy::Refuse,
        (_, _) if resends > 0 => Remedy::Refuse,
        (_, Phase::NothingWritten) | (Retry::Once | Retry::OnceGoneIsDone, Phase::Waiting) => Remedy::Redial,
        (Retry::Never, Phase::Waiting) => Remedy::Refuse,
    }
}

/// The class of failure that a client sees when its call is refused in this phase.
pub fn sql_state(phase: Phase) -> SqlState {
    match phase {
        Phase::NoLink | Phase::NothingWritten => SqlState::CouldNotConnect,
        Phase::NoRoom | Phase::CredentialsShown | Phase::TurnedAway => SqlState::Refused,
        Phase::Waiting | Phase::ReplyBegan | Phase::ReplySucceeds | Phase::OutOfTime => SqlState::Lost,
    }
}

/// Whether the kernel is asked for a FIN before a call is written to an idle link: what cannot be sent there
/// again is worth a system call.
pub fn wants_live_link(retry: Retry) -> bool {
    remedy(retry, Phase::Waiting, 0) != Remedy::Redial
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
    fn every_phase_has_its_words() {
        use Phase::{
            CredentialsShown, NoLink, NoRoom, NothingWritten, OutOfTime, ReplyBegan, ReplySucceeds,
            TurnedAway, Waiting,
        };
        let all = [
            NoLink,
            NoRoom,
            CredentialsShown,
            NothingWritten,
            Waiting,
            ReplyBegan,
            ReplySucceeds,
            TurnedAway,
            OutOfTime,
        ];
        assert_eq!(Phase::ALL.iter().map(|(phase, _)| *phase).collect::<Vec<_>>(), all);
    }

    #[test]
    fn credentials_that_were_shown_to_one_coordinator_are_shown_to_no_other() {
        for retry in [Retry::NextCandidate, Retry::Once, Retry::OnceGoneIsDone, Retry::Never] {
            assert_eq!(remedy(retry, Phase::CredentialsShown, 0), Remedy::Refuse);
        }
    }

    #[test]
    fn a_coordinator_that_shuts_down_is_asked_no_second_time() {
        assert_eq!(remedy(Retry::NextCandidate, Phase::TurnedAway, 0), Remedy::NextCandidate);
        for retry in [Retry::Once, Retry::OnceGoneIsDone, Retry::Never] {
            assert_eq!(remedy(retry, Phase::TurnedAway, 0), Remedy::PassOn);
        }
    }

    #[test]
    fn a_dead_link_is_looked_for_before_what_is_not_sent_again_to_the_same_coordinator() {
        let looks =
            [Retry::NextCandidate, Retry::Once, Retry::OnceGoneIsDone, Retry::Never].map(wants_live_link);
        assert_eq!(looks, [true, false, false, true]);
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
    fn an_open_whose_time_is_over_goes_nowhere_else() {
        assert_eq!(remedy(Retry::NextCandidate, Phase::OutOfTime, 0), Remedy::Refuse);
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
