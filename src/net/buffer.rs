//! Buffers that are held only while bytes are in flight, so that an idle connection costs no buffer memory.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// The size of a buffer in bytes: large enough for a fetch of a typical client to move in one read and one
/// write, and small enough to stay in the processor's cache meanwhile.
pub const BUFFER_SIZE: usize = 256 * 1024;
/// How many unused buffers a thread keeps (1 MiB); more are in use only during bursts.
const KEPT_PER_THREAD: usize = 4;

thread_local! {
    static UNUSED: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// [`BUFFER_SIZE`] bytes with arbitrary contents; when dropped, they go back to the thread that drops them.
pub struct Buffer {
    bytes: Box<[u8]>,
}

impl Buffer {
    /// An unused buffer of this thread, or a new one.
    pub fn take() -> Self {
        let unused = UNUSED.try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
        Self { bytes: unused.unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice()) }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for Buffer {
    // The bytes may be from anybody's connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").finish_non_exhaustive()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that is ending no longer has a list; the bytes are then freed.
        let _kept = UNUSED.try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if unused.len() < KEPT_PER_THREAD {
                unused.push(bytes);
            }
        });
    }
}

#[cfg(test)]
pub(crate) fn unused_here() -> usize {
    UNUSED.with(|unused| unused.borrow().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let mut buffer = Buffer::take();
        buffer[0] = 7;
        drop(buffer);
        assert_eq!(unused_here(), 1);
        assert_eq!(Buffer::take()[0], 7);
    }

    #[test]
    fn a_thread_keeps_a_bounded_number_of_buffers() {
        let many: Vec<Buffer> = (0..40).map(|_| Buffer::take()).collect();
        drop(many);
        assert_eq!(unused_here(), KEPT_PER_THREAD);
    }

    #[test]
    fn debug_output_shows_no_bytes() {
        assert_eq!(format!("{:?}", Buffer::take()), "Buffer { .. }");
    }
}
