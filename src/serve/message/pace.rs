//! The slowest pace at which a client may send a request. Without it, a client that sends a byte now and then
//! could hold a link, or memory that all clients share, for as long as it likes.

use std::time::Duration;

/// The bytes per second that a client must send on average inside a request. At this pace, the largest
/// request that is held whole by default takes a minute.
pub(crate) const SLOWEST: u32 = 4 << 10;

/// How far a request is behind the slowest pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    behind: Duration,
}

impl Pace {
    /// Returns how long the next bytes may take. `stall` is how far the request may fall behind: a client may
    /// pause, and bytes that come later make up for that, but no client can save up time for later pauses.
    pub(crate) fn patience(self, stall: Duration) -> Duration {
        stall.saturating_sub(self.behind)
    }

    /// Notes that `bytes` bytes came after a wait of `waited`.
    pub(crate) fn note(&mut self, waited: Duration, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.behind = (self.behind + waited).saturating_sub(Duration::from_secs(bytes.into()) / SLOWEST);
    }

    /// Returns whether the request is behind the slowest pace. If so, a client that is cut off was too slow;
    /// otherwise it paused for too long.
    pub(crate) fn is_behind(self) -> bool {
        !self.behind.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    /// Returns how long a client is served that sends `bytes` bytes after each pause, up to an hour.
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
    fn a_byte_now_and_then_does_not_keep_a_link_for_long() {
        for seconds in [1, 10, 29] {
            let served = served_for(Duration::from_secs(seconds), 1);
            assert!(served < STALL + Duration::from_millis(100), "{served:?}");
        }
    }

    #[test]
    fn a_client_that_sends_fast_enough_on_average_is_served_for_as_long_as_it_takes() {
        let hour = Duration::from_hours(1);
        assert!(served_for(Duration::from_secs(1), 4 << 10) >= hour);
        assert!(served_for(Duration::from_secs(20), 80 << 10) >= hour);
        assert!(served_for(Duration::from_secs(1), 3 << 10) < hour);
    }

    #[test]
    fn many_bytes_at_once_do_not_make_up_for_later_slowness() {
        let mut pace = Pace::default();
        pace.note(Duration::from_secs(1), 1 << 30);
        assert_eq!((pace.patience(STALL), pace.is_behind()), (STALL, false));
        pace.note(Duration::from_secs(20), 0);
        assert_eq!((pace.patience(STALL), pace.is_behind()), (Duration::from_secs(10), true));
    }
}
