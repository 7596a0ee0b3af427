//! Bytes of a reply on their way to a client.

use std::ops::Deref;

use bytes::{Bytes, BytesMut};

use crate::net::flow::Chunk;

/// Bytes of a reply that are sent to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parcel<'a> {
    /// Bytes that somebody else will change.
    Lent(&'a [u8]),
    /// Bytes that nobody changes any more.
    Shared(&'a Bytes),
}

impl Parcel<'_> {
    /// The bytes, to be kept; they are copied only if somebody else will change them.
    pub(in crate::serve::message) fn to_bytes(self) -> Bytes {
        match self {
            Self::Lent(bytes) => Bytes::copy_from_slice(bytes),
            Self::Shared(bytes) => bytes.clone(),
        }
    }
}

impl Deref for Parcel<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a Chunk> for Parcel<'a> {
    fn from(chunk: &'a Chunk) -> Self {
        chunk.shared().map_or(Self::Lent(chunk), Self::Shared)
    }
}

impl<'a> From<&'a BytesMut> for Parcel<'a> {
    fn from(bytes: &'a BytesMut) -> Self {
        Self::Lent(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_nobody_changes_are_not_copied() {
        let bytes = Bytes::from(b"a reply".to_vec());
        let chunk = Chunk::from(bytes.clone());
        assert_eq!(Parcel::from(&chunk).to_bytes().as_ptr(), bytes.as_ptr());
        let changed = BytesMut::from(&bytes[..]);
        let kept = Parcel::from(&changed).to_bytes();
        assert!(kept == bytes && kept.as_ptr() != changed.as_ptr());
    }
}
