//! Whether the router wants new clients. Load balancers ask; clients that come nevertheless are served.

use std::time::Instant;

use parking_lot::Mutex;

/// Whether people want new clients to be sent to this router.
#[derive(Debug, Default)]
pub struct Rotation {
    /// Since when it is out of rotation.
    out_since: Mutex<Option<Instant>>,
}

impl Rotation {
    /// Takes the router out of rotation, or puts it back. Nothing changes if it is there already.
    pub fn set(&self, is_out: bool, now: Instant) {
        let mut since = self.out_since.lock();
        *since = is_out.then(|| since.unwrap_or(now));
    }

    /// Since when it is out of rotation; `None`: it is in.
    pub fn out_since(&self) -> Option<Instant> {
        *self.out_since.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn a_router_that_is_taken_out_again_is_out_since_the_first_time() {
        let (rotation, now) = (Rotation::default(), clock::now());
        assert_eq!(rotation.out_since(), None);
        rotation.set(true, now);
        rotation.set(true, now + Duration::from_secs(1));
        assert_eq!(rotation.out_since(), Some(now));
        rotation.set(false, now);
        assert_eq!(rotation.out_since(), None);
    }
}
