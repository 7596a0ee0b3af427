//! A coordinator's reply, read as it comes: where it ends, whether it answers the request, what it says.

pub use crate::serve::message::framing::Framing;
use crate::serve::threads::spares::Spares;
use crate::session::retry::Phase;
use crate::wire::detect::Speech;
use crate::wire::facts::{Facts, Name};
use crate::wire::frame::{Deframer, FrameError, HEADER_LEN};
use crate::wire::method::Method;
use crate::wire::scan::{ScanError, Scanner};
use crate::wire::verdict::succeeded;

/// Bytes that a reply may have. One string of a reply may have 2 GiB, and nothing of it is held.
const REPLY_LIMIT: u64 = 1 << 36;
/// The first byte of every strict message.
const STRICT: u8 = 0x80;
/// Payload bytes that a frame of a reply may have: as many as a header can say.
const FRAME_LIMIT: usize = i32::MAX as usize;

/// What a coordinator sent that is no reply to the request. Its link is of no further use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// Something else altogether: the port is not what it is taken for.
    #[error("it sent what is no reply but looks like {0}: {todo}", todo = advice(*.0))]
    Foreign(Speech),
    /// Not a message that can be followed.
    #[error("it sent what is no reply: {0}")]
    Message(#[from] ScanError),
    /// Not a frame.
    #[error("it sent what is no frame: {0}")]
    Frame(#[from] FrameError),
    /// The name or the sequence id of another call.
    #[error("it answered another call (sequence id {seqid})")]
    OtherCall {
        /// The sequence id that it gave.
        seqid: i32,
    },
    /// A frame that goes on after the reply: a client that reads whole frames would wait for the rest for ever, or take it
    /// for its next reply.
    #[error("it sent bytes after the reply inside a frame")]
    AfterReply,
}

/// What a coordinator's port seems to be that answers so, and what to do about it.
pub(in crate::serve) fn advice(speech: Speech) -> &'static str {
    match speech {
        Speech::TlsAlert | Speech::Tls => {
            "the coordinator's port expects TLS; have clients use TLS, which is passed on unread"
        }
        Speech::HttpResponse | Speech::HttpRequest => {
            "this is an HTTP port; give the coordinator's binary port as hs2 (or beeswax) and this one as hs2_http"
        }
        Speech::Sasl => {
            "the coordinator's port expects a login (SASL); have clients log in, for example with auth_mechanism=\"PLAIN\" \
             (impyla) or --ldap (impala-shell)"
        }
        Speech::Thrift => {
            "the coordinator's port expects messages without frames; have clients use no TFramedTransport, and no login"
        }
        Speech::Framed => {
            "the coordinator's port expects messages in frames; have clients use TFramedTransport, or a login"
        }
    }
}

thread_local! {
    static SPARES: Spares<Reply> = const { Spares::new() };
}

/// A reply of which some may have come.
pub struct Reply {
    framing: Framing,
    deframer: Deframer,
    scanner: Scanner,
    name: Name,
    seqid: i32,
    begun: bool,
    done: bool,
    checked: bool,
}

/// What a chunk brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of the chunk that belong to the reply, frame headers included.
    pub used: usize,
    /// Whether the reply has ended.
    pub done: bool,
    /// Whether the link may serve another call: the reply has ended, and nothing came behind it, which would be taken for the
    /// next one.
    pub clean: bool,
}

impl Reply {
    /// As [`Self::to`], in a box that may have been another's.
    pub(in crate::serve) fn boxed(method: &'static Method, request: &Facts, framing: Framing) -> Box<Self> {
        Spares::take(
            &SPARES,
            || Self::to(method, request, framing),
            |spare| {
                let Self { framing: frames, deframer, scanner, name, seqid, begun, done, checked } = spare;
                (*frames, *deframer) = (framing, Deframer::new(FRAME_LIMIT));
                scanner.restart_reply(method);
                (*name, *seqid) = (request.name.clone(), request.seqid);
                (*begun, *done, *checked) = (false, false, false);
            },
        )
    }

    /// Nothing of it is needed any more but its memory.
    pub(in crate::serve) fn recycle(self: Box<Self>) {
        Spares::keep(&SPARES, self);
    }

    /// The reply to this request, of which nothing has come.
    pub fn to(method: &'static Method, request: &Facts, framing: Framing) -> Self {
        Self {
            framing,
            deframer: Deframer::new(FRAME_LIMIT),
            scanner: Scanner::reply(method, REPLY_LIMIT),
            name: request.name.clone(),
            seqid: request.seqid,
            begun: false,
            done: false,
            checked: false,
        }
    }

    /// What is known of it.
    pub fn facts(&self) -> &Facts {
        self.scanner.facts()
    }

    /// Whether all of it has come.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether its head has come, and answers the request: before that, none of it is passed on.
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// How far the call has come, now that some of the reply is there.
    pub fn phase(&self) -> Phase {
        let succeeds =
            self.checked && self.facts().status.is_some() && succeeded(self.scanner.method(), self.facts());
        if succeeds { Phase::ReplySucceeds } else { Phase::ReplyBegan }
    }

    /// Takes the reply's part of a chunk.
    ///
    /// # Errors
    /// [`BadReply`].
    pub fn take(&mut self, chunk: &[u8]) -> Result<Taken, BadReply> {
        if !std::mem::replace(&mut self.begun, true) {
            self.look_at(chunk)?;
        }
        let mut used = 0;
        if self.framing == Framing::None {
            used = self.scan(chunk)?;
        } else {
            while let Some(rest) = chunk.get(used..).filter(|rest| !rest.is_empty() && !self.done) {
                let piece = self.deframer.next(rest)?;
                let scanned = self.scan(rest.get(piece.payload.clone()).unwrap_or_default())?;
                if self.done && (scanned < piece.payload.len() || !self.deframer.at_boundary()) {
                    return Err(BadReply::AfterReply);
                }
                used += piece.used;
            }
        }
        self.check()?;
        Ok(Taken { used, done: self.done, clean: self.done && used == chunk.len() })
    }

    /// Whether the first bytes are something else. Read as a frame's length, much of that would be waited for in vain.
    fn look_at(&self, first: &[u8]) -> Result<(), BadReply> {
        let message = if self.framing == Framing::None { 0 } else { HEADER_LEN };
        match first.get(message) {
            Some(&byte) if byte != STRICT => {
                Speech::guess(first).map_or(Ok(()), |speech| Err(BadReply::Foreign(speech)))
            }
            _ => Ok(()),
        }
    }

    fn scan(&mut self, payload: &[u8]) -> Result<usize, ScanError> {
        let step = self.scanner.push(payload)?;
        self.done = step.done;
        Ok(step.used)
    }

    fn check(&mut self) -> Result<(), BadReply> {
        if self.checked || !self.scanner.past_header() {
            return Ok(());
        }
        let facts = self.scanner.facts();
        if facts.name != self.name || facts.seqid != self.seqid {
            return Err(BadReply::OtherCall { seqid: facts.seqid });
        }
        self.checked = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::method::lookup;
    use crate::wire::thrift::MessageType;
    use crate::wire::write::Writer;

    #[test]
    fn a_reply_in_a_box_that_was_anothers_takes_what_a_new_one_does() {
        let (fetch, status) = (Facts::of_call(b"FetchResults", 3), Facts::of_call(b"GetOperationStatus", 7));
        let of = |name: &[u8], seqid| {
            Writer::message(MessageType::Reply, name, seqid, |result| {
                result.structure(0, |reply| {
                    reply.structure(1, |status| {
                        status.i32(1, 3);
                        status.string(5, b"Invalid OperationHandle");
                    });
                    reply.i32(2, 1);
                });
            })
        };
        let (first, second) = (of(b"FetchResults", 3), of(b"GetOperationStatus", 7));
        // Wherever the first one ended, in its frame's header or in its message.
        let framed = [&[0, 0, 0, 99][..], &first].concat();
        for end in 1..framed.len() {
            let mut used = Reply::boxed(lookup(b"FetchResults"), &fetch, Framing::Framed);
            used.take(&framed[..end]).unwrap();
            let place = std::ptr::from_ref(&*used);
            used.recycle();
            let mut again = Reply::boxed(lookup(b"GetOperationStatus"), &status, Framing::None);
            assert_eq!(std::ptr::from_ref(&*again), place, "another box");
            let mut new = Reply::to(lookup(b"GetOperationStatus"), &status, Framing::None);
            assert_eq!(again.take(&second), new.take(&second));
            assert!(again.is_done() && again.is_checked() && again.facts() == new.facts());
            assert_eq!(again.phase(), new.phase());
            again.recycle();
        }
    }

    #[test]
    fn a_reply_takes_six_cache_lines_of_every_call_under_way() {
        assert!(size_of::<Reply>() <= 384, "{} bytes", size_of::<Reply>());
    }
}
