//! Boxes that a thread keeps for the calls to come, so that what a call needs while it is under way is not allocated for each:
//! of a small call allocation took a tenth.

use std::cell::RefCell;
use std::thread::LocalKey;

/// How many of a kind a thread keeps; more than this many are in use only in bursts. Each has half a
/// kilobyte, and what a request's bytes take.
const KEPT_PER_THREAD: usize = 256;

/// Those of one kind.
pub(crate) struct Spares<T>(RefCell<Vec<Box<T>>>);

impl<T: 'static> Spares<T> {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// One of this thread, if there is one, made again by `again`; else a new one.
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
            // A thread that is ending has no list any more.
            Ok(None) | Err(_) => Box::new(new()),
        }
    }

    /// Keeps one that is not needed any more. One that is dropped instead is no loss.
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
