//! A budget of memory, shared by all connections, for requests that are held so that they can be sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Limits the bytes of requests that are held so that they can be sent again.
#[derive(Clone, Debug)]
pub struct ReplayMemory {
    held: Arc<AtomicUsize>,
    limit: usize,
}

impl ReplayMemory {
    /// Creates a budget of `limit` bytes, all of them free.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    /// Raises the bytes counted for `held` to `bytes`. Returns false, and counts nothing, if the budget would
    /// be exceeded. Requests of up to 1 KiB always fit and are not counted: that much for each connection is
    /// reasonable.
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

/// The bytes of one request, which count against the budget until this is dropped. Until the first bytes are
/// counted, it holds no reference to the shared budget.
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
