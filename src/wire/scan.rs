//! The resumable scanner: finds the end of a Thrift message in bytes that come in any pieces, and remembers a few facts.
//!
//! On an unframed connection nothing else tells where a message ends (Impala: `TBufferedTransport`, no framing), and nothing is
//! decoded on the data path. So the scanner walks: it knows at each moment what the next bytes mean, holds at most a few
//! bytes of a token that a piece boundary has cut, and never looks at a byte twice. A column of numbers is one
//! multiplication, a column of strings one length at a time. Nesting is an explicit, bounded stack; nothing is allocated by
//! a declared length; every declared element costs at least one byte that must really come.

mod error;
mod header;
mod token;

use smallvec::SmallVec;

pub use error::ScanError;
use token::{next_of, pass_strings};

use super::facts::{Facts, NAME_BYTES, Place, Slot, Span, Watch};
use super::method::{self, Method};
use super::text::Text;
use super::thrift::{STOP, Type};

/// How deep containers and structs may nest; Thrift's own libraries stop at 64.
pub const MAX_DEPTH: usize = 64;
/// A string of `TColumn` in a reply to `FetchResults` is this deep.
const USUAL_DEPTH: usize = 8;
/// The longest path of field ids that can be watched (`ExecutePlannedStatement` has its handle this deep).
pub const WATCH_DEPTH: usize = 5;

/// What a push got done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the chunk that belong to the message; all of them unless the message ended inside the chunk.
    pub used: usize,
    /// Whether the message has ended.
    pub done: bool,
}

/// Walks over one message. Feed it the message's bytes in order; see the module's doc.
pub struct Scanner {
    /// What is expected: the message type and, for a reply, the method that it answers.
    expect: Expect,
    /// Bytes that a message may have.
    limit: u64,
    /// Bytes of earlier pushes.
    passed: u64,
    /// Where in the message the bytes at hand end.
    end: u64,
    state: State,
    /// The beginning of a token that a chunk boundary has cut; empty unless the state waits for a token.
    token: Text<8>,
    /// The beginning of a string that is being remembered.
    captured: Text<NAME_BYTES>,
    /// The open levels. What real servers send is not deeper than the place that is kept for them here.
    stack: SmallVec<[Level; USUAL_DEPTH]>,
    /// How many open levels are containers; inside one nothing is watched.
    containers: usize,
    /// Where the open fields of the outermost levels stand, while `containers` is 0.
    places: [Place; WATCH_DEPTH],
    /// For each of those levels, a bit for each field id below 64 that was met.
    met: [u64; WATCH_DEPTH],
    watch: &'static [Watch],
    method: &'static Method,
    facts: Facts,
}

#[derive(Clone, Copy)]
enum Expect {
    Request,
    Reply,
}

#[derive(Clone, Copy)]
enum State {
    Version,
    NameLength,
    Name { left: usize },
    Seqid,
    Field,
    Value { kind: Type, slot: Option<Slot> },
    Pass { left: u64 },
    Capture { slot: Slot, left: u64 },
    Element,
    Done,
}

#[derive(Clone, Copy)]
enum Level {
    Struct,
    /// A list or set: `left` elements to come.
    Elements {
        kind: Type,
        left: u32,
    },
    /// A map: `left` keys and values to come; a key is next when `left` is even.
    Pairs {
        key: Type,
        value: Type,
        left: u32,
    },
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
            passed: 0,
            end: 0,
            state: State::Version,
            token: Text::default(),
            captured: Text::default(),
            stack: SmallVec::new(),
            containers: 0,
            places: [Place::default(); WATCH_DEPTH],
            met: [0; WATCH_DEPTH],
            watch: &[],
            method,
            facts: Facts::default(),
        }
    }

    /// Walks over the next bytes, up to the message's end at most.
    ///
    /// # Errors
    /// [`ScanError`]; the scanner is of no use afterwards.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Step, ScanError> {
        let room = usize::try_from(self.limit.saturating_sub(self.passed)).unwrap_or(usize::MAX);
        let allowed = chunk.get(..room).unwrap_or(chunk);
        self.end = self.passed + allowed.len() as u64;
        let mut rest = allowed;
        while self.advance(&mut rest)? {}
        let used = allowed.len() - rest.len();
        self.passed += used as u64;
        let done = matches!(self.state, State::Done);
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

    /// Does one step; false when it needs bytes that have not come, or the message has ended.
    fn advance(&mut self, rest: &mut &[u8]) -> Result<bool, ScanError> {
        match self.state {
            State::Version | State::NameLength | State::Name { .. } | State::Seqid => self.header(rest),
            State::Field => self.fields(rest),
            State::Value { kind, slot } => self.value(rest, kind, slot),
            State::Pass { left } => Ok(self.pass(rest, left)),
            State::Capture { slot, left } => Ok(self.capture(rest, slot, left)),
            State::Element => self.element(rest),
            State::Done => Ok(false),
        }
    }

    /// Goes on in a struct, up to the first field whose value takes more than a look.
    fn fields(&mut self, rest: &mut &[u8]) -> Result<bool, ScanError> {
        while matches!(self.state, State::Field) {
            if self.token.is_empty()
                && let Some((&STOP, after)) = rest.split_first()
            {
                *rest = after;
                self.close_level();
                continue;
            }
            let Some([kind, high, low]) = self.take::<3>(rest) else { return Ok(false) };
            let kind = Type::from_byte(kind).ok_or(ScanError::UnknownType { byte: kind })?;
            let slot = self.watched(i16::from_be_bytes([high, low]), kind)?;
            if kind == Type::Struct {
                self.open_level(Level::Struct)?;
            } else if slot.is_none()
                && let Some(bytes) = kind.fixed_bytes()
                && let Some(after) = rest.get(usize::from(bytes)..)
            {
                *rest = after;
            } else {
                self.state = State::Value { kind, slot };
            }
        }
        Ok(true)
    }

    /// Notes a field of the outermost levels; what of it is worth remembering, if anything.
    fn watched(&mut self, id: i16, kind: Type) -> Result<Option<Slot>, ScanError> {
        if self.containers > 0 {
            return Ok(None);
        }
        let level = self.stack.len().wrapping_sub(1);
        let outer = self.places.get(level.wrapping_sub(1)).copied().unwrap_or_default();
        let (Some(place), Some(met)) = (self.places.get_mut(level), self.met.get_mut(level)) else {
            return Ok(None);
        };
        *place = outer.inner(id);
        if let Ok(bit @ 0..64) = u32::try_from(id) {
            if *met & (1 << bit) != 0 {
                return Err(ScanError::Repeated { id });
            }
            *met |= 1 << bit;
        }
        let hit = self.watch.iter().find(|watch| watch.place == *place && watch.slot.wire_type() == kind);
        Ok(hit.map(|watch| watch.slot))
    }

    fn value(&mut self, rest: &mut &[u8], kind: Type, slot: Option<Slot>) -> Result<bool, ScanError> {
        match kind {
            Type::Struct => self.open_level(Level::Struct)?,
            Type::String => {
                let Some(len) = self.take::<4>(rest) else { return Ok(false) };
                let left = self.declared(rest, i32::from_be_bytes(len), 1)?;
                self.state = match slot {
                    // May be as long as a request: only where it stands is kept.
                    Some(Slot::Statement) => {
                        self.facts.statement = Span::of(self.end - rest.len() as u64, left);
                        State::Pass { left }
                    }
                    Some(slot) => {
                        self.captured.clear();
                        State::Capture { slot, left }
                    }
                    None => State::Pass { left },
                };
            }
            Type::List | Type::Set => {
                let Some([kind, count @ ..]) = self.take::<5>(rest) else { return Ok(false) };
                self.open_elements(rest, kind, i32::from_be_bytes(count))?;
            }
            Type::Map => {
                let Some([key, value, count @ ..]) = self.take::<6>(rest) else { return Ok(false) };
                self.open_pairs(rest, [key, value], i32::from_be_bytes(count))?;
            }
            Type::I32 if slot.is_some() => {
                let Some(bytes) = self.take::<4>(rest) else { return Ok(false) };
                self.remember(slot, i32::from_be_bytes(bytes));
            }
            Type::Bool if slot.is_some() => {
                let Some([byte]) = self.take::<1>(rest) else { return Ok(false) };
                self.remember(slot, i32::from(byte));
            }
            fixed => self.state = State::Pass { left: u64::from(fixed.least_bytes()) },
        }
        Ok(true)
    }

    fn remember(&mut self, slot: Option<Slot>, number: i32) {
        if let Some(slot) = slot {
            self.facts.store_number(slot, number);
        }
        self.ended();
    }

    fn open_elements(&mut self, rest: &[u8], kind: u8, count: i32) -> Result<(), ScanError> {
        if count == 0 {
            // The type byte of an empty list means nothing and need not be one.
            self.ended();
            return Ok(());
        }
        let kind = Type::from_byte(kind).ok_or(ScanError::UnknownType { byte: kind })?;
        self.facts.not_only_strings |= kind != Type::String;
        let bytes = self.declared(rest, count, kind.least_bytes())?;
        if kind.fixed_bytes().is_some() {
            self.state = State::Pass { left: bytes };
            return Ok(());
        }
        self.open_level(Level::Elements { kind, left: count.unsigned_abs() })
    }

    fn open_pairs(&mut self, rest: &[u8], [key, value]: [u8; 2], count: i32) -> Result<(), ScanError> {
        if count == 0 {
            self.ended();
            return Ok(());
        }
        let kinds = (Type::from_byte(key), Type::from_byte(value));
        let (Some(key), Some(value)) = kinds else {
            return Err(ScanError::UnknownType { byte: if kinds.0.is_none() { key } else { value } });
        };
        self.facts.not_only_strings |= (key, value) != (Type::String, Type::String);
        let bytes = self.declared(rest, count, key.least_bytes() + value.least_bytes())?;
        if key.fixed_bytes().is_some() && value.fixed_bytes().is_some() {
            self.state = State::Pass { left: bytes };
            return Ok(());
        }
        // Twice an i32 that is not negative fits.
        self.open_level(Level::Pairs { key, value, left: count.unsigned_abs() * 2 })
    }

    /// The fewest bytes that `count` things of `least` bytes take, checked against what the message may still have after
    /// all that stands before `rest`.
    #[inline]
    fn declared(&self, rest: &[u8], count: i32, least: u8) -> Result<u64, ScanError> {
        let count = u64::try_from(count).map_err(|_| ScanError::Negative { len: count })?;
        let bytes = count * u64::from(least);
        if self.end - rest.len() as u64 + bytes > self.limit {
            return Err(ScanError::TooLong { limit: self.limit });
        }
        Ok(bytes)
    }

    #[inline]
    fn pass(&mut self, rest: &mut &[u8], left: u64) -> bool {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        *rest = rest.get(now..).unwrap_or_default();
        let left = left - now as u64;
        if left > 0 {
            self.state = State::Pass { left };
            return false;
        }
        self.ended();
        true
    }

    fn capture(&mut self, rest: &mut &[u8], slot: Slot, left: u64) -> bool {
        let (now, after) = rest.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(rest.len()));
        *rest = after;
        let left = left - now.len() as u64;
        if left > 0 {
            self.captured.append(now);
            self.state = State::Capture { slot, left };
            return false;
        }
        let bytes = self.captured.ended_by(now);
        self.facts.store_bytes(slot, bytes, self.end - rest.len() as u64);
        self.ended();
        true
    }

    /// A value has ended: what comes next depends on the innermost open level.
    fn ended(&mut self) {
        self.state = match self.stack.last() {
            Some(Level::Struct) => State::Field,
            Some(Level::Elements { .. } | Level::Pairs { .. }) => State::Element,
            None => State::Done,
        };
    }

    /// Goes on in a container.
    fn element(&mut self, rest: &mut &[u8]) -> Result<bool, ScanError> {
        let Some(level) = self.stack.last_mut() else { return Ok(false) };
        let kind = match level {
            Level::Struct => None,
            Level::Elements { kind: Type::String, left } => {
                pass_strings(rest, left)?;
                if next_of(left) {
                    // The last one of a piece, cut off: no need to go round for it.
                    self.state = State::Value { kind: Type::String, slot: None };
                    return self.value(rest, Type::String, None);
                }
                None
            }
            Level::Elements { kind, left } => next_of(left).then_some(*kind),
            Level::Pairs { key, value, left } => {
                let kind = if left.is_multiple_of(2) { *key } else { *value };
                next_of(left).then_some(kind)
            }
        };
        match kind {
            Some(kind) => self.state = State::Value { kind, slot: None },
            None => self.close_level(),
        }
        Ok(true)
    }

    fn open_level(&mut self, level: Level) -> Result<(), ScanError> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(ScanError::TooDeep);
        }
        if let Some(met) = self.met.get_mut(self.stack.len()) {
            *met = 0;
        }
        self.stack.push(level);
        self.state = match level {
            Level::Struct => State::Field,
            Level::Elements { .. } | Level::Pairs { .. } => {
                self.containers += 1;
                State::Element
            }
        };
        Ok(())
    }

    fn close_level(&mut self) {
        if !matches!(self.stack.pop(), Some(Level::Struct) | None) {
            self.containers -= 1;
        }
        self.ended();
    }
}

#[cfg(test)]
mod tests;
