//! Tokens and strings that were cut between two pieces.

use super::{ScanError, Scanner, State};
use crate::wire::thrift::Type;

impl State {
    /// Bytes of the expected token, where it may be cut.
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
    /// Completes the token that was cut, if the rest of it has come.
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

    /// The end of a string that is being remembered and of which `left` bytes are to come. If they have not
    /// all come, what there is is kept, and the error says how many bytes are still missing.
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
