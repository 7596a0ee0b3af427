//! Tokens and runs of strings that have come whole.

use super::error::ScanError;

/// The next `N` bytes, if they have come.
#[inline]
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (token, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*token)
}

/// Passes over as many whole strings as the bytes hold, at most `left`. Returns the rest of both.
#[inline]
pub(super) fn pass_strings(mut rest: &[u8], mut left: u32) -> Result<(&[u8], u32), ScanError> {
    while left > 0 {
        let Some((len, after)) = rest.split_first_chunk::<4>() else { break };
        let len = i32::from_be_bytes(*len);
        let bytes = usize::try_from(len).map_err(|_| ScanError::Negative { len })?;
        let Some(after) = after.get(bytes..) else { break };
        rest = after;
        left -= 1;
    }
    Ok((rest, left))
}
