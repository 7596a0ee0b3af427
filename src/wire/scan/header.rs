//! The head of a message: version and type, name, sequence id.

use super::token::take;
use super::{Expect, Halt, ScanError, Scanner, State};
use crate::wire::facts::{NAME_BYTES, Name};
use crate::wire::method;
use crate::wire::thrift::{MessageType, VERSION_1, VERSION_MASK};

impl Scanner {
    pub(super) fn version(&mut self, rest: &mut &[u8]) -> Result<(), Halt> {
        let Some(word) = take(rest) else { return Err(self.wait(State::Version)) };
        self.facts.message_type = Some(self.expected_type(u32::from_be_bytes(word))?);
        self.name_length(rest)
    }

    pub(super) fn name_length(&mut self, rest: &mut &[u8]) -> Result<(), Halt> {
        let Some(len) = take(rest) else { return Err(self.wait(State::NameLength)) };
        let len = u32::from_be_bytes(len);
        if !(1..=NAME_BYTES).contains(&usize::try_from(len).unwrap_or(usize::MAX)) {
            return Err(ScanError::NameLength { len }.into());
        }
        self.name(rest, u64::from(len))
    }

    pub(super) fn name(&mut self, rest: &mut &[u8], left: u64) -> Result<(), Halt> {
        let last = self.remembered(rest, left).map_err(|left| self.wait(State::Name { left }))?;
        match self.captured.take() {
            None => self.named(last),
            Some(mut text) => self.named(text.ended_by(last)),
        }
        self.seqid(rest)
    }

    pub(super) fn seqid(&mut self, rest: &mut &[u8]) -> Result<(), Halt> {
        let Some(seqid) = take(rest) else { return Err(self.wait(State::Seqid)) };
        self.facts.seqid = i32::from_be_bytes(seqid);
        Ok(self.levels.open_struct()?)
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

    /// The name has come: what to look out for depends on the method.
    fn named(&mut self, bytes: &[u8]) {
        match self.expect {
            Expect::Request => {
                self.facts.name = Name::new(bytes);
                if let Name::Of(method) = self.facts.name {
                    self.method = method;
                }
                self.watch = self.method.request;
            }
            Expect::Reply => {
                self.facts.name = Name::of_reply(bytes, self.method);
                self.watch = if self.facts.is_exception() { method::EXCEPTION } else { self.method.reply };
            }
        }
    }
}
