//! Memory for requests that are held so that they can be sent again, of all connections together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound on the bytes of requests that are held so that they can be sent again.
#[derive(Clone, Debug)]
pub struct ReplayMemory {
    held: Arc<AtomicUsize>,
    limit: usize,
}

impl ReplayMemory {
    /// So many bytes, of which none is in use.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    /// Counts up to this many bytes; false if they would pass the bound. A small request is never refused its place: a
    /// kilobyte for each connection is within reason.
    pub fn grow(&self, held: &mut Held, bytes: usize) -> bool {
        let more = bytes.saturating_sub(held.bytes);
        if bytes <= FREE_BYTES || more == 0 {
            return true;
        }
        let all = self.held.fetch_add(more, Ordering::Relaxed);
        let fits = all.saturating_add(more) <= self.limit;
        if fits {
            held.bytes += more;
            held.memory.get_or_insert_with(|| Arc::clone(&self.held));
        } else {
            self.held.fetch_sub(more, Ordering::Relaxed);
        }
        fits
    }
}

/// Requests up to this size are not counted.
const FREE_BYTES: usize = 1024;

/// Bytes that count against the bound until this is dropped; none at first, and then it knows nothing that others share.
#[derive(Debug, Default)]
#[must_use = "the bytes stop counting when this is dropped"]
pub struct Held {
    memory: Option<Arc<AtomicUsize>>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_bytes_are_bounded_and_given_back() {
        let memory = ReplayMemory::new(10_000);
        let (mut first, mut second) = (Held::default(), Held::default());
        assert!(memory.grow(&mut first, 2_000) && memory.grow(&mut first, 6_000));
        assert!(memory.grow(&mut second, 4_000) && !memory.grow(&mut second, 4_001));
        assert!(memory.grow(&mut Held::default(), FREE_BYTES), "small requests are always held");
        drop(first);
        assert!(memory.grow(&mut second, 10_000));
        drop(second);
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
    }
}
