//! The only place that reads a clock, so that everything else takes time as an argument.

use std::time::Instant;

/// The present moment of the monotonic clock; under tokio's paused test clock, the virtual one.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
