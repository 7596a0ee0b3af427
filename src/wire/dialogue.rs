//! Calls and their replies that pass by between a client and a coordinator, in frames, as they are heard from
//! outside. Nothing is held but the facts of the calls that have no reply yet.
//!
//! Frames hold a byte stream: a message may take several of them, and a frame may hold several messages (Spark
//! accepts both; Impala's replies do the first). Replies come in the order of the calls.

use std::collections::VecDeque;

use thiserror::Error;

use super::facts::Facts;
use super::frame::{Deframer, FrameError};
use super::method::Method;
use super::scan::{ScanError, Scanner};
use super::watch::Strings;

/// The most bytes of a message that is followed; a reply may take any number of frames.
const MESSAGE_LIMIT: u64 = 1 << 36;
/// The longest frame that is followed, in bytes: as long as a frame can be.
const FRAME_LIMIT: usize = i32::MAX as usize;
/// Calls without a reply, at most. The client with the most that was seen had three (hive-driver).
const UNANSWERED_LIMIT: usize = 256;

/// A call that was heard whole. `T` is what its listener keeps with it until the reply.
pub struct Asked<T> {
    /// Its method.
    pub method: &'static Method,
    /// What it says.
    pub request: Facts,
    /// What its listener keeps.
    pub kept: T,
}

/// Why a dialogue cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LostTrack {
    /// Something is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Something is no message.
    #[error(transparent)]
    Message(#[from] ScanError),
    /// The coordinator would see the call end elsewhere.
    #[error("{method}: {} holds strings, but this one says that it holds something else", .field.name())]
    Mistyped {
        /// The method's name.
        method: &'static str,
        /// The field.
        field: Strings,
    },
    /// The coordinator spoke although it was not asked, or before it had heard the whole call.
    #[error("a reply came before its call was whole")]
    Unasked,
    /// The name or the sequence id of a reply is not that of the call.
    #[error("a reply is to another call (sequence id {seqid})")]
    OtherCall {
        /// The sequence id in the reply.
        seqid: i32,
    },
    /// There are more calls without a reply than are remembered.
    #[error("more than {UNANSWERED_LIMIT} calls have no reply")]
    TooMany,
}

/// A dialogue, at first without calls. After an error it is of no further use.
pub struct Dialogue<T> {
    requests: Half,
    replies: Half,
    unanswered: VecDeque<Asked<T>>,
}

/// What one side says.
struct Half {
    deframer: Deframer,
    scanner: Scanner,
    /// Whether a message has begun and not ended.
    is_midway: bool,
}

impl Half {
    fn new(scanner: Scanner) -> Self {
        Self { deframer: Deframer::new(FRAME_LIMIT), scanner, is_midway: false }
    }

    fn is_between(&self) -> bool {
        !self.is_midway && self.deframer.at_boundary()
    }

    /// Scans on; returns how many bytes of the payload belong to the message, and whether it has ended.
    fn scan(&mut self, payload: &[u8]) -> Result<(usize, bool), ScanError> {
        let step = self.scanner.push(payload)?;
        self.is_midway = !step.done;
        Ok((step.used, step.done))
    }
}

impl<T> Default for Dialogue<T> {
    fn default() -> Self {
        Self {
            requests: Half::new(Scanner::request(MESSAGE_LIMIT)),
            replies: Half::new(Scanner::reply(&super::method::UNKNOWN, MESSAGE_LIMIT)),
            unanswered: VecDeque::new(),
        }
    }
}

impl<T> Dialogue<T> {
    /// Whether every call was answered and no message has begun.
    pub fn is_idle(&self) -> bool {
        self.unanswered.is_empty() && self.requests.is_between() && self.replies.is_between()
    }

    /// Listens to the client, whose bytes come in chunks cut anywhere. Each call that is whole is shown to
    /// `asked`, and what that returns is kept with it.
    ///
    /// # Errors
    /// When the bytes cannot be followed.
    pub fn hear_client(
        &mut self,
        chunk: &[u8],
        mut asked: impl FnMut(&'static Method, &Facts) -> T,
    ) -> Result<(), LostTrack> {
        let mut rest = chunk;
        while !rest.is_empty() {
            let piece = self.requests.deframer.next(rest)?;
            let mut payload = rest.get(piece.payload).unwrap_or_default();
            rest = rest.get(piece.used..).unwrap_or_default();
            while !payload.is_empty() {
                let (used, done) = self.requests.scan(payload)?;
                payload = payload.get(used..).unwrap_or_default();
                if done {
                    self.note_asked(&mut asked)?;
                }
            }
        }
        Ok(())
    }

    fn note_asked(&mut self, asked: &mut impl FnMut(&'static Method, &Facts) -> T) -> Result<(), LostTrack> {
        let scanner = &mut self.requests.scanner;
        let (method, request) = (scanner.method(), scanner.facts().clone());
        if let Some(field) = request.mistyped {
            return Err(LostTrack::Mistyped { method: method.name, field });
        }
        if self.unanswered.len() >= UNANSWERED_LIMIT {
            return Err(LostTrack::TooMany);
        }
        let kept = asked(method, &request);
        self.unanswered.push_back(Asked { method, request, kept });
        scanner.restart_request();
        Ok(())
    }

    /// Listens to the coordinator, as [`Self::hear_client`] does to the client. Each reply that is whole is
    /// shown to `answered`, with its call.
    ///
    /// # Errors
    /// When the bytes cannot be followed.
    pub fn hear_coordinator(
        &mut self,
        chunk: &[u8],
        mut answered: impl FnMut(Asked<T>, &Facts),
    ) -> Result<(), LostTrack> {
        let mut rest = chunk;
        while !rest.is_empty() {
            let piece = self.replies.deframer.next(rest)?;
            let mut payload = rest.get(piece.payload).unwrap_or_default();
            rest = rest.get(piece.used..).unwrap_or_default();
            while !payload.is_empty() {
                let asked = self.unanswered.front().ok_or(LostTrack::Unasked)?;
                if !self.replies.is_midway {
                    self.replies.scanner.restart_reply(asked.method);
                }
                let (used, done) = self.replies.scan(payload)?;
                payload = payload.get(used..).unwrap_or_default();
                let reply = self.replies.scanner.facts();
                if self.replies.scanner.past_header()
                    && (reply.name != asked.request.name || reply.seqid != asked.request.seqid)
                {
                    return Err(LostTrack::OtherCall { seqid: reply.seqid });
                }
                if done && let Some(asked) = self.unanswered.pop_front() {
                    answered(asked, reply);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
