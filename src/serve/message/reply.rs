//! A coordinator's reply, read as it comes: where it ends, whether it answers the request, and what it says.

use crate::serve::message::arrival::Arrival;
use crate::serve::threads::spares::Spares;
use crate::session::retry::Phase;
use crate::wire::detect::Speech;
use crate::wire::facts::{Facts, Name};
use crate::wire::frame::FrameError;
use crate::wire::method::Method;
use crate::wire::scan::{ScanError, Scanner};
use crate::wire::verdict::succeeded;

/// The most bytes that a reply may have. A single string may have 2 GiB; none of it is held.
const REPLY_LIMIT: u64 = 1 << 36;
/// The first byte of every strict Thrift message.
const STRICT: u8 = 0x80;

/// Why what a coordinator sent is not a reply to the request. The link is of no further use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// It looks like another protocol: the port is not what the configuration says.
    #[error("it sent what is no reply but looks like {0}: {todo}", todo = advice(*.0))]
    Foreign(Speech),
    /// The bytes are not a Thrift message that can be followed.
    #[error("it sent what is no reply: {0}")]
    Message(#[from] ScanError),
    /// The bytes are not a frame.
    #[error("it sent what is no frame: {0}")]
    Frame(#[from] FrameError),
    /// The name or the sequence id belongs to another call.
    #[error("it answered another call (sequence id {seqid})")]
    OtherCall {
        /// The sequence id in the reply.
        seqid: i32,
    },
    /// A frame goes on after the reply. A client that reads whole frames would wait for the rest forever, or
    /// take it for its next reply.
    #[error("it sent bytes after the reply inside a frame")]
    AfterReply,
    /// The body of its answer over HTTP ended before the reply did.
    #[error("its answer ended inside the reply")]
    CutShort,
}

/// Says what kind of port answers like this, and what to do about it.
pub(crate) fn advice(speech: Speech) -> &'static str {
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

/// A reply, as far as it has come.
pub struct Reply {
    scanner: Scanner,
    name: Name,
    seqid: i32,
    begun: bool,
    arrival: Arrival,
    checked: bool,
}

impl Reply {
    /// Does what [`Self::to`] does, in a box that may have been used before.
    pub(crate) fn boxed(method: &'static Method, request: &Facts) -> Box<Self> {
        Spares::take(
            &SPARES,
            || Self::to(method, request),
            |spare| {
                let Self { scanner, name, seqid, begun, arrival, checked } = spare;
                scanner.restart_reply(method);
                (*name, *seqid) = (request.name.clone(), request.seqid);
                (*begun, *arrival, *checked) = (false, Arrival::Partial, false);
            },
        )
    }

    /// Keeps the box for another reply.
    pub(crate) fn recycle(self: Box<Self>) {
        Spares::keep(&SPARES, self);
    }

    /// Creates the reply to a request; nothing of it has come yet.
    pub fn to(method: &'static Method, request: &Facts) -> Self {
        Self {
            scanner: Scanner::reply(method, REPLY_LIMIT),
            name: request.name.clone(),
            seqid: request.seqid,
            begun: false,
            arrival: Arrival::Partial,
            checked: false,
        }
    }

    /// Returns the method of the request.
    pub(crate) fn method(&self) -> &'static Method {
        self.scanner.method()
    }

    /// Returns what is known of the reply so far.
    pub fn facts(&self) -> &Facts {
        self.scanner.facts()
    }

    /// Returns whether all payload of the reply has come. In some transports its end is marked behind that.
    pub(crate) fn is_whole(&self) -> bool {
        self.arrival.has_payload()
    }

    /// Returns whether the whole reply has come, to the end of its message in the link's transport.
    pub fn is_done(&self) -> bool {
        self.arrival == Arrival::Ended
    }

    /// Returns whether the reply's head has come and answers the request. Nothing of the reply is passed on
    /// before that.
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// Returns how far the call is after its request was sent.
    pub fn phase(&self) -> Phase {
        let succeeds =
            self.checked && self.facts().status.is_some() && succeeded(self.scanner.method(), self.facts());
        match self.begun {
            false => Phase::Waiting,
            true if succeeds => Phase::ReplySucceeds,
            true => Phase::ReplyBegan,
        }
    }

    /// Notes that some of the reply has come; returns whether these are its first bytes.
    pub(in crate::serve::message) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// Checks whether the first bytes look like another protocol. If they were read as a frame's length, the
    /// router might wait a long time for a frame that never comes.
    ///
    /// # Errors
    /// [`BadReply::Foreign`], when no message begins at offset `message` and `first` looks like a protocol
    /// that is known.
    pub(in crate::serve::message) fn look_at(first: &[u8], message: usize) -> Result<(), BadReply> {
        match first.get(message) {
            Some(&byte) if byte != STRICT => {
                Speech::guess(first).map_or(Ok(()), |speech| Err(BadReply::Foreign(speech)))
            }
            _ => Ok(()),
        }
    }

    /// Takes the reply's part of a piece of payload; returns how many bytes that is.
    ///
    /// # Errors
    /// [`ScanError`], when the payload is not a message that can be followed.
    pub(in crate::serve::message) fn scan(&mut self, payload: &[u8]) -> Result<usize, ScanError> {
        let step = self.scanner.push(payload)?;
        self.arrival = Arrival::scanned(step.done);
        Ok(step.used)
    }

    /// Notes whether the link's transport lets a message end here.
    pub(in crate::serve::message) fn note_boundary(&mut self, at_boundary: bool) {
        self.arrival.note_boundary(at_boundary);
    }

    /// Checks whether the reply answers the request, once its head has come.
    ///
    /// # Errors
    /// [`BadReply::OtherCall`], when its name or sequence id is that of another call.
    pub(in crate::serve::message) fn check(&mut self) -> Result<(), BadReply> {
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
    use crate::ids::Transport;
    use crate::serve::message::coding::Form;
    use crate::serve::message::link_end::{Replies, Taken};
    use crate::wire::method::lookup;
    use crate::wire::thrift::MessageType;
    use crate::wire::write::Writer;

    fn take(reply: &mut Reply, bytes: &[u8]) -> Taken {
        Replies::new(Transport::Unframed).take(reply, &mut bytes.to_vec(), Form::AsItCame).unwrap()
    }

    #[test]
    fn a_reply_in_a_recycled_box_takes_what_a_new_one_takes() {
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
        // Wherever the first one ended.
        for end in 1..first.len() {
            let mut used = Reply::boxed(lookup(b"FetchResults"), &fetch);
            take(&mut used, &first[..end]);
            let place = std::ptr::from_ref(&*used);
            used.recycle();
            let mut again = Reply::boxed(lookup(b"GetOperationStatus"), &status);
            assert_eq!(std::ptr::from_ref(&*again), place, "another box");
            let mut new = Reply::to(lookup(b"GetOperationStatus"), &status);
            assert_eq!(take(&mut again, &second), take(&mut new, &second));
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
