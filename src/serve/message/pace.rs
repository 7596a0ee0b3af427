//! How fast a request must come: slowly enough, one could hold a link, or memory that is meant for all, for as long as one
//! likes, with a byte now and then.

use std::time::Duration;

/// Bytes a second that a client must send of a request, on average: at this pace, the largest request that is held whole
/// by default takes a minute.
pub(crate) const SLOWEST: u32 = 4 << 10;

/// How long a request has been waited for beyond what its bytes take at the slowest pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    behind: Duration,
}

impl Pace {
    /// How long its next bytes may take. `stall` is how far it may be behind: a client may pause, and what it sends makes up
    /// for pauses before, but not for those to come.
    pub(crate) fn patience(self, stall: Duration) -> Duration {
        stall.saturating_sub(self.behind)
    }

    /// Bytes came that were waited for.
    pub(crate) fn note(&mut self, waited: Duration, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.behind = (self.behind + waited).saturating_sub(Duration::from_secs(bytes.into()) / SLOWEST);
    }

    /// Whether it is behind: whoever is cut then is cut for being slow, else for a pause.
    pub(crate) fn is_behind(self) -> bool {
        !self.behind.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    /// How long a client is served that sends so many bytes each time after a pause, up to an hour.
    fn served_for(pause: Duration, bytes: usize) -> Duration {
        let (mut pace, mut total) = (Pace::default(), Duration::ZERO);
        while total < Duration::from_hours(1) {
            let patience = pace.patience(STALL);
            if pause > patience {
                return total + patience;
            }
            pace.note(pause, bytes);
            total += pause;
        }
        total
    }

    #[test]
    fn a_byte_now_and_then_does_not_hold_a_link() {
        for seconds in [1, 10, 29] {
            let served = served_for(Duration::from_secs(seconds), 1);
            assert!(served < STALL + Duration::from_millis(100), "{served:?}");
        }
    }

    #[test]
    fn who_sends_fast_enough_on_average_is_served_for_as_long_as_it_takes() {
        let hour = Duration::from_hours(1);
        assert!(served_for(Duration::from_secs(1), 4 << 10) >= hour);
        assert!(served_for(Duration::from_secs(20), 80 << 10) >= hour);
        assert!(served_for(Duration::from_secs(1), 3 << 10) < hour);
    }

    #[test]
    fn much_that_came_at_once_does_not_pay_for_slowness_afterwards() {
        let mut pace = Pace::default();
        pace.note(Duration::from_secs(1), 1 << 30);
        assert_eq!((pace.patience(STALL), pace.is_behind()), (STALL, false));
        pace.note(Duration::from_secs(20), 0);
        assert_eq!((pace.patience(STALL), pace.is_behind()), (Duration::from_secs(10), true));
    }
}
