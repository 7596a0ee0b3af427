//! How far credentials are shown around in one round of a lookup.

/// To how many coordinators the credentials may be shown. Four wrong binds lock an account, and a password
/// that was once right may have changed, or be good for one use only. So one coordinator sees the credentials
/// first, and the others only if that one accepts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logins {
    /// To all coordinators.
    Free,
    /// To one coordinator.
    One,
    /// One coordinator is checking them now.
    Waiting,
    /// To none, because they were refused.
    Over,
}

impl Logins {
    pub(super) fn may_begin(self) -> bool {
        matches!(self, Self::Free | Self::One)
    }

    pub(super) fn begin(&mut self) {
        if *self == Self::One {
            *self = Self::Waiting;
        }
    }

    /// Notes that a coordinator accepted the credentials (true), refused them (false), or never saw them
    /// (none).
    pub(super) fn note(&mut self, verdict: Option<bool>) {
        *self = match verdict {
            _ if *self == Self::Over => Self::Over,
            Some(true) => Self::Free,
            Some(false) => Self::Over,
            None if *self == Self::Waiting => Self::One,
            None => *self,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_shown_to_one_and_then_to_the_others_until_one_refuses() {
        let mut logins = Logins::One;
        assert!(logins.may_begin());
        logins.begin();
        assert!(!logins.may_begin(), "one at a time");
        logins.note(None);
        assert!(logins.may_begin(), "it never saw them");
        logins.begin();
        logins.note(Some(true));
        assert!(logins.may_begin());
        logins.begin();
        assert!(logins.may_begin(), "all at once");
        logins.note(Some(false));
        assert!(!logins.may_begin());
        logins.note(Some(true));
        assert!(!logins.may_begin(), "a refusal ends it");
    }
}
