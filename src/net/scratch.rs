//! Short bytes that are put together to be sent in one piece, such as a head and what stands behind it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;

use zeroize::Zeroize as _;

/// How many bytes fit without more memory: a usual head, and a piece that is short enough to be copied behind it.
const ROOM: usize = 6 << 10;
/// How many unused ones a thread keeps, each of [`ROOM`] bytes.
const KEPT_PER_THREAD: usize = 16;

thread_local! {
    static UNUSED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that may be secret. When dropped, they are zeroed, and the memory goes to the thread's next one.
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    /// None yet, with the memory of one that this thread no longer uses, or new memory.
    pub fn take() -> Self {
        let unused = UNUSED.try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
        Self { bytes: unused.unwrap_or_else(|| Vec::with_capacity(ROOM)) }
    }

    /// Appends bytes. What has to grow leaves nothing where it was.
    pub fn push(&mut self, more: &[u8]) {
        let len = self.bytes.len() + more.len();
        if len > self.bytes.capacity() {
            let mut larger = Vec::with_capacity(len.max(2 * self.bytes.capacity()));
            larger.extend_from_slice(&self.bytes);
            std::mem::replace(&mut self.bytes, larger).zeroize();
        }
        self.bytes.extend_from_slice(more);
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        // A thread that is ending no longer has a list.
        let _kept = UNUSED.try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if bytes.capacity() <= ROOM && unused.len() < KEPT_PER_THREAD {
                // All at once, where zeroize goes byte by byte. What is kept is not taken for dead.
                bytes.fill(0);
                bytes.clear();
                unused.push(std::mem::take(&mut bytes));
            }
        });
        bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_has_the_memory_but_not_the_bytes_of_the_one_before() {
        let mut scratch = Scratch::take();
        scratch.push(b"secret");
        let place = scratch.as_ptr();
        drop(scratch);
        let next = Scratch::take();
        assert_eq!((next.as_ptr(), &next[..]), (place, &b""[..]));
    }

    #[test]
    fn bytes_are_as_they_were_pushed_however_many_they_are() {
        let mut scratch = Scratch::take();
        let piece = [7; 1_000];
        for count in 1..=20 {
            scratch.push(&piece);
            assert!(scratch.len() == count * piece.len() && scratch.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_thread_keeps_a_bounded_number_and_none_that_is_large() {
        drop((0..40).map(|_| Scratch::take()).collect::<Vec<_>>());
        let mut large = Scratch::take();
        large.push(&[0; ROOM + 1]);
        drop(large);
        UNUSED.with_borrow(|unused| {
            assert!(unused.len() <= KEPT_PER_THREAD && unused.iter().all(|one| one.capacity() <= ROOM));
        });
    }

    #[test]
    fn debug_output_shows_no_bytes() {
        let mut scratch = Scratch::take();
        scratch.push(b"secret");
        assert_eq!(format!("{scratch:?}"), "Scratch { .. }");
    }
}
