//! Taking tokens that a piece boundary may have cut, and runs of elements that it has not.

use super::{ScanError, Scanner};

impl Scanner {
    /// The next `N` bytes, if they have come; what has come of them is kept.
    pub(super) fn take<const N: usize>(&mut self, rest: &mut &[u8]) -> Option<[u8; N]> {
        if self.token.is_empty()
            && let Some((token, after)) = rest.split_first_chunk::<N>()
        {
            *rest = after;
            return Some(*token);
        }
        let missing = N.saturating_sub(self.token.as_bytes().len());
        let (now, after) = rest.split_at(missing.min(rest.len()));
        *rest = after;
        self.token.append(now);
        let token = self.token.as_bytes().try_into().ok()?;
        self.token.clear();
        Some(token)
    }
}

/// Whether an element remains; takes it off the count.
pub(super) fn next_of(left: &mut u32) -> bool {
    let remains = *left > 0;
    *left = left.saturating_sub(1);
    remains
}

/// Passes over as many whole strings as the bytes hold.
pub(super) fn pass_strings(rest: &mut &[u8], left: &mut u32) -> Result<(), ScanError> {
    while *left > 0 {
        let Some((len, after)) = rest.split_first_chunk::<4>() else { break };
        let len = i32::from_be_bytes(*len);
        let bytes = usize::try_from(len).map_err(|_| ScanError::Negative { len })?;
        let Some(after) = after.get(bytes..) else { break };
        *rest = after;
        *left -= 1;
    }
    Ok(())
}
