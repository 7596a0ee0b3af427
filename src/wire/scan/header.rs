//! The head of a message: version and type, name, sequence id.

use super::{Expect, Level, ScanError, Scanner, State};
use crate::wire::facts::{NAME_BYTES, Name};
use crate::wire::method;
use crate::wire::thrift::{MessageType, VERSION_1, VERSION_MASK};

impl Scanner {
    pub(super) fn header(&mut self, rest: &mut &[u8]) -> Result<bool, ScanError> {
        if let State::Name { left } = self.state {
            let (now, after) = rest.split_at(left.min(rest.len()));
            *rest = after;
            let left = left - now.len();
            if left > 0 {
                self.captured.append(now);
                self.state = State::Name { left };
                return Ok(false);
            }
            self.facts.name = Name::new(self.captured.ended_by(now));
            self.state = State::Seqid;
            return Ok(true);
        }
        let Some(bytes) = self.take::<4>(rest) else { return Ok(false) };
        let word = u32::from_be_bytes(bytes);
        match self.state {
            State::Version => {
                self.facts.message_type = Some(self.expected_type(word)?);
                self.state = State::NameLength;
            }
            State::NameLength => {
                let len = usize::try_from(word).unwrap_or(usize::MAX);
                if len == 0 || len > NAME_BYTES {
                    return Err(ScanError::NameLength { len: word });
                }
                self.state = State::Name { left: len };
            }
            _ => {
                self.facts.seqid = word.cast_signed();
                self.begin_body();
            }
        }
        Ok(true)
    }

    fn expected_type(&self, word: u32) -> Result<MessageType, ScanError> {
        if word & VERSION_MASK != VERSION_1 {
            return Err(ScanError::NotStrict { word });
        }
        let byte = (word & 0xff) as u8;
        match (self.expect, MessageType::from_byte(byte)) {
            (Expect::Request, Some(MessageType::Call)) => Ok(MessageType::Call),
            (Expect::Reply, Some(kind @ (MessageType::Reply | MessageType::Exception))) => Ok(kind),
            (Expect::Request, _) => Err(ScanError::WrongMessageType { byte, expected: MessageType::Call }),
            (Expect::Reply, _) => Err(ScanError::WrongMessageType { byte, expected: MessageType::Reply }),
        }
    }

    /// The header has come: what to look out for depends on the method.
    fn begin_body(&mut self) {
        self.watch = match self.expect {
            Expect::Request => {
                if let Name::Of(method) = self.facts.name {
                    self.method = method;
                }
                self.method.request
            }
            Expect::Reply if self.facts.is_exception() => method::EXCEPTION,
            Expect::Reply => self.method.reply,
        };
        self.stack.push(Level::Struct);
        self.state = State::Field;
    }
}
