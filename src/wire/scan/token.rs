//! Tokens and strings that a piece boundary may have cut, and runs of elements that it has not.

use super::{ScanError, Scanner, State};
use crate::wire::thrift::Type;

impl State {
    /// Bytes of the token that is waited for, where it may be cut.
    fn token_bytes(self) -> usize {
        match self {
            Self::Between => 3,
            Self::Value { kind: Type::List | Type::Set, .. } => 5,
            Self::Value { kind: Type::Map, .. } => 6,
            _ => 4,
        }
    }
}

impl Scanner {
    /// Brings the token that was cut to its end, if that has come.
    #[cold]
    pub(super) fn complete_token(&mut self, rest: &mut &[u8]) -> Result<(), ScanError> {
        let missing = self.state.token_bytes().saturating_sub(self.token.as_bytes().len());
        let (now, after) = rest.split_at(missing.min(rest.len()));
        *rest = after;
        self.end += now.len() as u64;
        self.token.append(now);
        if now.len() == missing {
            let token = std::mem::take(&mut self.token);
            self.walk(&mut token.as_bytes())?;
        }
        Ok(())
    }

    /// The end of a string that is being remembered and of which `left` bytes are to come. What comes before it is kept; then
    /// as many are still to come as the error says.
    #[inline]
    pub(super) fn remembered<'a>(&mut self, rest: &mut &'a [u8], left: u64) -> Result<&'a [u8], u64> {
        let whole = usize::try_from(left).ok().and_then(|left| rest.split_at_checked(left));
        let Some((last, after)) = whole else {
            let left = left - rest.len() as u64;
            if !rest.is_empty() {
                self.captured.get_or_insert_default().append(rest);
            }
            *rest = &[];
            return Err(left);
        };
        *rest = after;
        Ok(last)
    }
}

/// The next `N` bytes, if they have come.
#[inline]
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (token, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*token)
}

/// Passes over as many whole strings as the bytes hold, `left` at most: what remains of both.
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
