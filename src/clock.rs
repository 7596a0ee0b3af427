//! The only place that reads a clock, so that everything else takes time as an argument.

use std::time::{Instant, SystemTime};

/// The present moment of the monotonic clock; under tokio's paused test clock, the virtual one.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time of day, for people, and for how long certificates and cookies are good: nothing else is decided by
/// it.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
pub fn time_of_day() -> SystemTime {
    SystemTime::now()
}
