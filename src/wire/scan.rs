//! The resumable scanner: finds where a Thrift message ends, in whatever pieces it comes, and a few facts.
//!
//! On an unframed connection nothing else tells where a message ends (Impala: `TBufferedTransport`), and
//! nothing is decoded on the data path. So the scanner walks over the bytes: it always knows what the next
//! bytes mean, holds at most a few bytes of a token that was cut, and never looks at a byte twice. A column
//! of numbers takes one multiplication, a column of strings one length at a time. Nesting is explicit and
//! bounded; a declared length allocates nothing; a declared element costs at least a byte that must come.
//!
//! Most messages are small and come whole, and many calls are in flight at once. So a value that is all there
//! takes one step, and what only cut tokens or few messages need is boxed.

mod cut;
mod error;
mod header;
mod levels;
mod token;

pub use error::ScanError;
use levels::{Levels, Next};
use token::take;

use super::facts::{Facts, NAME_BYTES, Span};
use super::method::{self, Method};
use super::text::Text;
use super::thrift::{STOP, Type};
use super::watch::{FieldPath, Slot, Watch};

/// The result of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the chunk that belong to the message; all of them unless the message ended inside the chunk.
    pub used: usize,
    /// Whether the message has ended.
    pub done: bool,
}

/// Walks over one message, whose bytes are pushed in order.
pub struct Scanner {
    /// What is expected: the message type and, for a reply, the method that it answers.
    expect: Expect,
    /// The most bytes that a message may have.
    limit: u64,
    /// The offset in the message at which the bytes at hand end.
    end: u64,
    state: State,
    /// The beginning of a token that a chunk boundary has cut.
    token: Text<8>,
    /// The beginning of a string that is being remembered and that a chunk boundary has cut.
    captured: Option<Box<Text<NAME_BYTES>>>,
    levels: Levels,
    watch: &'static [Watch],
    method: &'static Method,
    facts: Facts,
}

#[derive(Clone, Copy)]
enum Expect {
    Request,
    Reply,
}

/// Where the walk stands: inside a token or a string if not all of it has come.
#[derive(Clone, Copy)]
enum State {
    Version,
    NameLength,
    Name {
        left: u64,
    },
    Seqid,
    /// Between values; [`Levels`] knows what comes next.
    Between,
    Value {
        kind: Type,
        slot: Option<Slot>,
    },
    Pass {
        left: u64,
    },
    Capture {
        slot: Slot,
        left: u64,
    },
    Done,
}

/// What stands before a container's elements.
#[derive(Clone, Copy)]
struct ContainerHead {
    /// The type byte of the elements or, in a map, of the keys.
    key: u8,
    /// The type byte of a map's values.
    value: Option<u8>,
    /// Elements, or pairs of a map; as declared, so it may be negative.
    count: i32,
}

/// Why the walk stops.
enum Halt {
    /// The next bytes have not all come. The state says what is expected.
    Wait,
    Broken(ScanError),
}

impl From<ScanError> for Halt {
    fn from(error: ScanError) -> Self {
        Self::Broken(error)
    }
}

impl Scanner {
    /// Follows a request of at most `limit` bytes.
    pub fn request(limit: u64) -> Self {
        Self::new(Expect::Request, &method::UNKNOWN, limit)
    }

    /// Follows the reply to a call of `method`, of at most `limit` bytes.
    pub fn reply(method: &'static Method, limit: u64) -> Self {
        Self::new(Expect::Reply, method, limit)
    }

    fn new(expect: Expect, method: &'static Method, limit: u64) -> Self {
        Self {
            expect,
            limit,
            end: 0,
            state: State::Version,
            token: Text::default(),
            captured: None,
            levels: Levels::default(),
            watch: &[],
            method,
            facts: Facts::default(),
        }
    }

    /// Starts over with another request, within the same limit. Only for a scanner of requests.
    pub fn restart_request(&mut self) {
        self.restart(&method::UNKNOWN);
    }

    /// Starts over with the reply to another call, within the same limit. Only for a scanner of replies.
    pub fn restart_reply(&mut self, method: &'static Method) {
        self.restart(method);
    }

    /// Writes as little as possible, because the memory of a call is mostly not in the processor's cache.
    fn restart(&mut self, answered: &'static Method) {
        let Self { expect: _, limit: _, end, state, token, captured, levels, watch, method, facts } = self;
        (*end, *state, *watch, *method) = (0, State::Version, &[], answered);
        token.clear();
        levels.clear();
        *captured = None;
        *facts = Facts::default();
    }

    /// Walks over the next bytes, up to the message's end at most.
    ///
    /// # Errors
    /// When the bytes are not a message of the expected type, or exceed a limit; the scanner is of no use
    /// afterwards.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Step, ScanError> {
        let room = usize::try_from(self.limit.saturating_sub(self.end)).unwrap_or(usize::MAX);
        let allowed = chunk.get(..room).unwrap_or(chunk);
        let mut rest = allowed;
        if !self.token.is_empty() {
            self.complete_token(&mut rest)?;
        }
        self.end += rest.len() as u64;
        self.walk(&mut rest)?;
        let done = matches!(self.state, State::Done);
        if !done && !rest.is_empty() {
            self.token.append(rest);
            rest = &[];
        }
        let used = allowed.len() - rest.len();
        if !done && used < chunk.len() {
            return Err(ScanError::TooLong { limit: self.limit });
        }
        Ok(Step { used, done })
    }

    /// What has been found so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The method of the message, [`method::UNKNOWN`] until its name has come.
    pub fn method(&self) -> &'static Method {
        self.method
    }

    /// Whether the method's name and the sequence id have come.
    pub fn past_header(&self) -> bool {
        !matches!(self.state, State::Version | State::NameLength | State::Name { .. } | State::Seqid)
    }

    /// Goes as far as the bytes do. The rest of them is the beginning of a token, or comes after the end of
    /// the message.
    fn walk(&mut self, rest: &mut &[u8]) -> Result<(), ScanError> {
        match self.steps(rest) {
            Ok(()) => self.state = State::Done,
            Err(Halt::Wait) => {}
            Err(Halt::Broken(error)) => return Err(error),
        }
        Ok(())
    }

    /// Goes up to the message's end.
    fn steps(&mut self, rest: &mut &[u8]) -> Result<(), Halt> {
        match self.state {
            State::Version => self.version(rest)?,
            State::NameLength => self.name_length(rest)?,
            State::Name { left } => self.name(rest, left)?,
            State::Seqid => self.seqid(rest)?,
            State::Value { kind, slot } => self.value(rest, kind, slot)?,
            State::Pass { left } => self.pass(rest, left)?,
            State::Capture { slot, left } => self.capture(rest, slot, left)?,
            State::Between | State::Done => {}
        }
        loop {
            match self.levels.next() {
                Next::Field => self.fields(rest)?,
                Next::Element => self.element(rest)?,
                Next::Nothing => return Ok(()),
            }
        }
    }

    /// Notes what is expected next.
    fn wait(&mut self, state: State) -> Halt {
        self.state = state;
        Halt::Wait
    }

    /// Goes on in a struct, and in those inside it, up to a container or their end.
    fn fields(&mut self, rest: &mut &[u8]) -> Result<(), Halt> {
        while self.levels.next() == Next::Field {
            match **rest {
                [STOP, ref after @ ..] => {
                    *rest = after;
                    self.levels.close_struct();
                }
                [kind, high, low, ref after @ ..] => {
                    *rest = after;
                    let kind = Type::from_byte(kind).ok_or(ScanError::UnknownType { byte: kind })?;
                    let path = self.levels.field(i16::from_be_bytes([high, low]))?;
                    if kind == Type::Struct {
                        self.levels.open_struct()?;
                        continue;
                    }
                    let slot = path.and_then(|path| self.watched(path, kind));
                    match (slot, kind.fixed_bytes()) {
                        (None, Some(bytes)) => self.pass(rest, u64::from(bytes))?,
                        _ if kind == Type::String => self.string(rest, slot)?,
                        _ => self.value(rest, kind, slot)?,
                    }
                }
                _ => return Err(self.wait(State::Between)),
            }
        }
        Ok(())
    }

    /// The slot for this field, if it is one to be remembered.
    #[inline]
    fn watched(&self, path: FieldPath, kind: Type) -> Option<Slot> {
        let watch = self.watch.iter().find(|watch| watch.path == path)?;
        (watch.kind == kind).then_some(watch.slot)
    }

    /// Goes on in a container.
    fn element(&mut self, rest: &mut &[u8]) -> Result<(), Halt> {
        match self.levels.element(rest)? {
            Some(Type::String) => self.string(rest, None),
            Some(kind) => self.value(rest, kind, None),
            None => Ok(()),
        }
    }

    /// Goes over a value, or into it.
    fn value(&mut self, rest: &mut &[u8], kind: Type, slot: Option<Slot>) -> Result<(), Halt> {
        let cut = State::Value { kind, slot };
        match kind {
            Type::Struct => self.levels.open_struct()?,
            Type::String => return self.string(rest, slot),
            Type::List | Type::Set => {
                let Some([kind, count @ ..]) = take::<5>(rest) else { return Err(self.wait(cut)) };
                let head = ContainerHead { key: kind, value: None, count: i32::from_be_bytes(count) };
                return self.open(rest, head, slot);
            }
            Type::Map => {
                let Some([key, value, count @ ..]) = take::<6>(rest) else { return Err(self.wait(cut)) };
                let head = ContainerHead { key, value: Some(value), count: i32::from_be_bytes(count) };
                return self.open(rest, head, slot);
            }
            fixed => match slot {
                None => return self.pass(rest, u64::from(fixed.least_bytes())),
                Some(slot) if fixed == Type::Bool => {
                    let Some([byte]) = take(rest) else { return Err(self.wait(cut)) };
                    self.facts.store_number(slot, i32::from(byte));
                }
                // Everything else that is watched is an i32 (see [`Slot::wire_type`]).
                Some(slot) => {
                    let Some(number) = take(rest) else { return Err(self.wait(cut)) };
                    self.facts.store_number(slot, i32::from_be_bytes(number));
                }
            },
        }
        Ok(())
    }

    /// Goes over a string.
    fn string(&mut self, rest: &mut &[u8], slot: Option<Slot>) -> Result<(), Halt> {
        let Some(len) = take(rest) else { return Err(self.wait(State::Value { kind: Type::String, slot })) };
        let len = i32::from_be_bytes(len);
        let whole = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len));
        let Some((bytes, after)) = whole else { return self.cut_string(rest, len, slot) };
        *rest = after;
        if let Some(slot) = slot {
            self.facts.store_bytes(slot, bytes, self.end - after.len() as u64);
        }
        Ok(())
    }

    /// Goes over the beginning of a string that has not come whole.
    #[inline]
    fn cut_string(&mut self, rest: &mut &[u8], len: i32, slot: Option<Slot>) -> Result<(), Halt> {
        let left = self.declared(rest, len, 1)?;
        match slot {
            None => self.pass(rest, left),
            // Only its place is kept, which is known before the string ends.
            Some(Slot::Statement) => {
                self.facts.statement = Span::of(self.end - rest.len() as u64, left);
                self.pass(rest, left)
            }
            Some(slot) => self.capture(rest, slot, left),
        }
    }

    fn capture(&mut self, rest: &mut &[u8], slot: Slot, left: u64) -> Result<(), Halt> {
        let wait = |left| State::Capture { slot, left };
        let last = self.remembered(rest, left).map_err(|left| self.wait(wait(left)))?;
        let end = self.end - rest.len() as u64;
        match self.captured.take() {
            None => self.facts.store_bytes(slot, last, end),
            Some(mut text) => self.facts.store_bytes(slot, text.ended_by(last), end),
        }
        Ok(())
    }

    /// Passes over so many bytes.
    #[inline]
    fn pass(&mut self, rest: &mut &[u8], left: u64) -> Result<(), Halt> {
        let Some(after) = usize::try_from(left).ok().and_then(|left| rest.get(left..)) else {
            let left = left - rest.len() as u64;
            *rest = &[];
            return Err(self.wait(State::Pass { left }));
        };
        *rest = after;
        Ok(())
    }

    /// A container begins.
    fn open(&mut self, rest: &mut &[u8], head: ContainerHead, slot: Option<Slot>) -> Result<(), Halt> {
        let ContainerHead { key, value, count } = head;
        if count == 0 {
            // The type byte of an empty list has no meaning and may be anything.
            return Ok(());
        }
        let known = |byte| Type::from_byte(byte).ok_or(ScanError::UnknownType { byte });
        let (key, value) = (known(key)?, value.map(known).transpose()?);
        let both = |test: fn(Type) -> bool| test(key) && value.is_none_or(test);
        if let Some(Slot::Strings(field)) = slot
            && !both(|kind| kind == Type::String)
        {
            self.facts.mistyped = Some(field);
        }
        let bytes = self.declared(rest, count, key.least_bytes() + value.map_or(0, Type::least_bytes))?;
        if both(|kind| kind.fixed_bytes().is_some()) {
            return self.pass(rest, bytes);
        }
        Ok(self.levels.open_container(key, value, count.unsigned_abs())?)
    }

    /// The fewest bytes that `count` values of at least `least` bytes each take. Fails if the message may not
    /// have so many after what came before `rest`.
    #[inline]
    fn declared(&self, rest: &[u8], count: i32, least: u8) -> Result<u64, ScanError> {
        let count = u64::try_from(count).map_err(|_| ScanError::Negative { len: count })?;
        let bytes = count * u64::from(least);
        if self.end - rest.len() as u64 + bytes > self.limit {
            return Err(ScanError::TooLong { limit: self.limit });
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
