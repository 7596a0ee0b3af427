//! A coordinator's reply, read as it comes: where it ends, whether it answers the request, and what it says.

use crate::serve::message::arrival::Arrival;
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

    #[test]
    fn a_reply_takes_six_cache_lines_of_every_call_under_way() {
        assert!(size_of::<Reply>() <= 384, "{} bytes", size_of::<Reply>());
    }
}
