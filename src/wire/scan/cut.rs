//! Tokens and strings that a piece boundary has cut.

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

    /// The end of a string that is being remembered and of which `left` bytes are to come. What comes before
    /// it is kept; then as many are still to come as the error says.
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
