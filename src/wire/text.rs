//! Short pieces of received bytes.

use std::fmt;

/// Bytes of bounded length, held in place; what does not fit is dropped.
#[derive(Clone, Copy)]
pub(super) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    /// Appends as much as fits.
    pub(super) fn append(&mut self, more: &[u8]) {
        let len = usize::from(self.len);
        let room = self.bytes.get_mut(len..).unwrap_or_default();
        let (fits, _) = more.split_at(more.len().min(room.len()));
        let (place, _) = room.split_at_mut(fits.len());
        place.copy_from_slice(fits);
        self.len = u8::try_from(len + fits.len()).unwrap_or(u8::MAX);
    }

    /// The held bytes followed by `last`, as much as fits; `last` itself if nothing is held, so that bytes
    /// which came in one piece are not copied.
    pub(super) fn ended_by<'a>(&'a mut self, last: &'a [u8]) -> &'a [u8] {
        if self.is_empty() {
            return last;
        }
        self.append(last);
        self.as_bytes()
    }

    /// Holds nothing any more.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// What is held.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        const { assert!(N <= u8::MAX as usize) };
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> From<&[u8]> for Text<N> {
    fn from(bytes: &[u8]) -> Self {
        let mut text = Self::default();
        text.append(bytes);
        text
    }
}

impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Text<N> {}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}
