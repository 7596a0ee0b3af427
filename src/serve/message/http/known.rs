//! The head that a client sent last. Most clients that keep their connection send the same head with each call of
//! the same length, and so it need not be read again.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use crate::wire::http::request::CallHead;

/// The longest head that is kept, in bytes: one with a ticket or a token is longer. A connection keeps it while
/// it idles.
const LONGEST: usize = 1 << 10;

/// The head of an ordinary call that does not end its connection. It is zeroed when it is dropped, because it
/// holds a credential.
pub(super) struct KnownHead {
    bytes: Zeroizing<Box<[u8]>>,
    /// How many bytes the body has.
    pub(super) length: u64,
    /// What it says.
    pub(super) head: Arc<CallHead>,
}

impl fmt::Debug for KnownHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownHead").field("head", &self.head).finish_non_exhaustive()
    }
}

impl KnownHead {
    /// Keeps a head with a body of `length` bytes; none if it is too long for that.
    pub(super) fn keep(bytes: &[u8], length: u64, head: &Arc<CallHead>) -> Option<Self> {
        let bytes = (bytes.len() <= LONGEST).then(|| Zeroizing::new(bytes.into()))?;
        Some(Self { bytes, length, head: Arc::clone(head) })
    }

    /// How many bytes the head has, if `pending` begins with it.
    pub(super) fn is_before(&self, pending: &[u8]) -> Option<usize> {
        let found = pending.get(..self.bytes.len())?;
        // In constant time, because requests of several users may come on one connection.
        verify_slices_are_equal(&self.bytes, found).is_ok().then_some(self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_head_is_known_again_and_no_other() {
        let bytes = b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n";
        let known = KnownHead::keep(bytes, 7, &Arc::new(CallHead::anonymous())).unwrap();
        assert_eq!(known.is_before(bytes), Some(bytes.len()));
        assert_eq!(known.is_before(&[&bytes[..], b"body"].concat()), Some(bytes.len()));
        for len in 0..bytes.len() {
            assert!(known.is_before(&bytes[..len]).is_none());
            let mut other = bytes.to_vec();
            other[len] ^= 1;
            assert!(known.is_before(&other).is_none());
        }
    }

    #[test]
    fn a_long_head_is_not_kept() {
        let head = Arc::new(CallHead::anonymous());
        assert!(KnownHead::keep(&[b'x'; LONGEST], 0, &head).is_some());
        assert!(KnownHead::keep(&[b'x'; LONGEST + 1], 0, &head).is_none());
    }
}
