//! Boxes that each thread keeps for later calls, so that the state of a call need not be allocated every
//! time. Allocation took a tenth of the time of a small call.

use std::cell::RefCell;
use std::thread::LocalKey;

/// The most boxes of one kind that a thread keeps; only bursts use more at a time. Each has half a kilobyte,
/// plus the buffer of its request.
const KEPT_PER_THREAD: usize = 256;

/// The spare boxes of one kind.
pub(crate) struct Spares<T>(RefCell<Vec<Box<T>>>);

impl<T: 'static> Spares<T> {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Takes one of this thread's spare boxes and resets it with `again`, or allocates a new one if there is
    /// none.
    #[expect(clippy::unnecessary_box_returns, reason = "boxes are what is kept")]
    pub(crate) fn take(
        kept: &'static LocalKey<Self>,
        new: impl FnOnce() -> T,
        again: impl FnOnce(&mut T),
    ) -> Box<T> {
        match kept.try_with(|kept| kept.0.borrow_mut().pop()) {
            Ok(Some(mut spare)) => {
                again(&mut spare);
                spare
            }
            // A thread that is ending no longer has a list.
            Ok(None) | Err(_) => Box::new(new()),
        }
    }

    /// Keeps a box that is no longer needed. It is dropped instead if the thread has enough.
    pub(crate) fn keep(kept: &'static LocalKey<Self>, spare: Box<T>) {
        let _kept = kept.try_with(|kept| {
            let mut kept = kept.0.borrow_mut();
            if kept.len() < KEPT_PER_THREAD {
                kept.push(spare);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static NUMBERS: Spares<u32> = const { Spares::new() };
    }

    #[test]
    fn what_is_kept_is_used_again() {
        let take = || *Spares::take(&NUMBERS, || 0, |number| *number += 1);
        Spares::keep(&NUMBERS, Box::new(7));
        assert_eq!((take(), take()), (8, 0));
    }

    #[test]
    fn a_thread_keeps_a_bounded_number() {
        let many: Vec<_> = (0..2 * KEPT_PER_THREAD).map(|_| Spares::take(&NUMBERS, || 0, |_| ())).collect();
        for one in many {
            Spares::keep(&NUMBERS, one);
        }
        assert_eq!(NUMBERS.with(|kept| kept.0.borrow().len()), KEPT_PER_THREAD);
    }
}
