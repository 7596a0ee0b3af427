//! The comparison of secrets.

use crate::wire::facts::HANDLE_PART_BYTES;

/// The secret half of a handle.
pub(super) type Secret = [u8; HANDLE_PART_BYTES];

/// Whether a secret is the known one; what has none is told by no secret. Takes a time that does not depend
/// on where the two differ.
pub(super) fn same(known: Option<&Secret>, given: &Secret) -> bool {
    known.is_some_and(|known| known.iter().zip(given).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0)
}
