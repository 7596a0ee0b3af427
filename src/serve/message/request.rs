//! A request, as far as it has come, and what is known of it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::cluster::room::Purpose;
use crate::ids::Transport;
use crate::serve::message::arrival::Arrival;
use crate::serve::message::coding::{self, Follows, Form};
use crate::serve::message::end::BadInput;
use crate::serve::message::pace::Pace;
use crate::serve::threads::memory::{Held, ReplayMemory};
use crate::session::activity::Hold;
use crate::session::decide::purpose;
use crate::session::locate::Question;
use crate::session::statement::{Effect, effect};
use crate::wire::facts::{Facts, Handle, HandlePosition};
use crate::wire::frame::HEADER_LEN;
use crate::wire::http::request::CallHead;
use crate::wire::method::{Method, Role};
use crate::wire::scan::{ScanError, Scanner};
use crate::wire::watch::Slot;
use crate::wire::{rewrite, thrift};

/// The most bytes that a request may have (1 GiB). Hive accepts 100 MiB
/// (`hive.server2.thrift.max.message.size`), Impala 2 GiB (`--thrift_external_rpc_max_message_size`); the
/// largest statement seen had 20 MB.
const REQUEST_LIMIT: u64 = 1 << 30;

/// What came around a request over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct OverHttp {
    /// The head.
    pub head: Arc<CallHead>,
    /// How many bytes the body has, if the head says so.
    pub length: Option<u64>,
}

/// A request. It is held whole unless it is too large for that.
pub(crate) struct Request {
    scanner: Scanner,
    /// The held bytes of the message, or of its latest piece, behind [`HEADER_LEN`] bytes of room for a
    /// frame's header.
    bytes: Vec<u8>,
    /// The form of the held bytes.
    form: Form,
    /// How many bytes of the client's frame follow the first held piece.
    to_come: usize,
    arrival: Arrival,
    streams: bool,
    /// How fast the client sends it.
    pub(in crate::serve::message) pace: Pace,
    held: Held,
    /// What its statement does to its session.
    pub effect: Effect,
    /// The hold that keeps its session where it is, if the session can move.
    pub hold: Option<Hold>,
    /// What its link is for. This stays `Work` unless the request is whole and names something that the table
    /// knows. Otherwise a client that invents handles or sends slowly would get the links that are reserved
    /// for cancels.
    pub purpose: Purpose,
    /// The question that located the call's coordinator, or can locate it again. Set if the router only has
    /// the coordinator's word that the call belongs there.
    pub doubt: Option<Question>,
    /// What came around it, if it came over HTTP.
    pub over_http: Option<OverHttp>,
    /// Whether the router makes this call itself. Whoever sends it then evaluates the reply.
    pub own: bool,
}

impl Request {
    /// Creates a request of which nothing has come.
    pub(crate) fn new() -> Self {
        Self {
            scanner: Scanner::request(REQUEST_LIMIT),
            bytes: Vec::new(),
            form: Form::Payload,
            to_come: 0,
            arrival: Arrival::Partial,
            streams: false,
            pace: Pace::default(),
            held: Held::default(),
            effect: Effect::Nothing,
            hold: None,
            purpose: Purpose::Work,
            doubt: None,
            over_http: None,
            own: false,
        }
    }

    /// Creates a request for an own call; none if `message` is not a whole message.
    pub(crate) fn own(message: &[u8]) -> Option<Self> {
        let mut request = Self::new();
        let used = request.push(message).ok()?;
        request.note_boundary(used == message.len());
        request.keep(message);
        request.own = true;
        request.purpose = purpose(request.method());
        request.is_complete().then_some(request)
    }

    /// Takes the request's part of a piece of payload; returns how many bytes that is.
    ///
    /// # Errors
    /// [`ScanError`], when the payload is not a message that can be followed.
    pub(in crate::serve::message) fn push(&mut self, payload: &[u8]) -> Result<usize, ScanError> {
        let step = self.scanner.push(payload)?;
        self.arrival = Arrival::scanned(step.done);
        Ok(step.used)
    }

    /// Returns whether any of the message has come.
    pub(in crate::serve::message) fn has_begun(&self) -> bool {
        self.streams || !self.held_bytes().is_empty()
    }

    /// Returns whether all payload of the message has come. In some transports its end is marked behind that.
    pub(in crate::serve::message) fn has_all(&self) -> bool {
        self.arrival.has_payload()
    }

    /// Notes whether the client's transport lets a message end here.
    pub(in crate::serve::message) fn note_boundary(&mut self, at_boundary: bool) {
        self.arrival.note_boundary(at_boundary);
    }

    /// Appends bytes in the request's form to the held ones.
    pub(in crate::serve::message) fn keep(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(HEADER_LEN + bytes.len());
            self.bytes.resize(HEADER_LEN, 0);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the form of the held bytes.
    pub(in crate::serve::message) fn form(&self) -> Form {
        self.form
    }

    /// Drops the held bytes, which were sent; the next piece will be held in `form`.
    pub(in crate::serve::message) fn begin_piece(&mut self, form: Form) {
        self.bytes.clear();
        (self.form, self.to_come) = (form, 0);
    }

    /// Counts the held bytes; returns whether the budget allows for them.
    pub(in crate::serve::message) fn count_held(&mut self, memory: &ReplayMemory) -> bool {
        let held = self.held_bytes().len();
        memory.grow(&mut self.held, held)
    }

    /// From now on the request is sent on piece by piece. `to_come` more bytes of the client's frame follow
    /// the held ones.
    pub(in crate::serve::message) fn begin_to_stream(&mut self, to_come: usize) {
        (self.streams, self.to_come) = (true, to_come);
    }

    /// Returns the held bytes of the message, or of its latest piece.
    pub(in crate::serve::message) fn held_bytes(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    /// Encodes the held bytes for a connection of this transport; `form` is the form of the pieces that
    /// follow them.
    pub(in crate::serve::message) fn encode(&mut self, transport: Transport, form: Form) -> Cow<'_, [u8]> {
        if self.form == Form::AsItCame {
            return Cow::Borrowed(self.held_bytes());
        }
        // The frame keeps its whole length. If a coordinator refuses it for its length, it then does so as it
        // would without a router, after it has read all of it (Spark: `TSaslTransport.readFrame`).
        let to_come = if form == Form::AsItCame { self.to_come } else { 0 };
        let follows = if self.is_complete() { Follows::Nothing } else { Follows::More(None) };
        coding::encode_in_place(&mut self.bytes, to_come, transport, follows)
    }

    /// Returns the message; none if it is not held whole.
    pub(crate) fn message(&self) -> Option<&[u8]> {
        self.is_whole().then(|| self.held_bytes())
    }

    /// Returns the message without its head (name and sequence id); none if it is not held whole.
    pub(crate) fn arguments(&self) -> Option<&[u8]> {
        self.message()?.get(thrift::head_len(self.facts().name.as_bytes())..)
    }

    /// Finds out what the statement does to its session. This must happen before anything is sent: only the
    /// first piece of a request that is sent piece by piece has the statement.
    pub(crate) fn note_effect(&mut self) {
        let Some(place) = self.facts().statement else { return };
        let message = self.held_bytes();
        self.effect = match message.get(place.range()) {
            Some(text) => effect(text, true),
            None => effect(message.get(place.range().start..).unwrap_or_default(), false),
        };
    }

    /// Replaces the handle of the session in the held bytes.
    pub(crate) fn name_session(&mut self, position: HandlePosition, handle: &Handle) {
        let message = self.bytes.get_mut(HEADER_LEN..).unwrap_or_default();
        // A handle behind the first piece was never found, and so has no position.
        let _replaced = rewrite::replace(message, position, handle);
    }

    /// Puts another whole message in the place of this one, which is held whole; returns false, and changes
    /// nothing, if `message` is not one.
    pub(crate) fn replace(&mut self, message: &[u8]) -> bool {
        let Some(other) = Self::own(message).filter(|_| self.is_whole()) else { return false };
        (self.scanner, self.bytes, self.arrival) = (other.scanner, other.bytes, other.arrival);
        (self.form, self.to_come) = (Form::Payload, 0);
        true
    }

    /// Returns the method.
    pub(crate) fn method(&self) -> &'static Method {
        self.scanner.method()
    }

    /// Returns what is known of the request so far; everything, if it is complete.
    pub(crate) fn facts(&self) -> &Facts {
        self.scanner.facts()
    }

    /// Returns whether the end of the message has come, in the client's transport.
    pub(crate) fn is_complete(&self) -> bool {
        self.arrival == Arrival::Ended
    }

    /// Returns whether the whole request is held, so that it can be sent again.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_complete() && !self.streams
    }

    /// Returns whether the coordinator is sure to see the request end where the router did. That is not sure
    /// if the method, or something that it carries, is unknown. The coordinator might then see two messages,
    /// so that the second reply goes to the next call, or only a part of a message, which it never answers.
    pub(crate) fn ends_for_sure(&self) -> bool {
        self.method().has_known_containers
    }

    /// Returns whether the link may serve another call after a clean reply to this request.
    ///
    /// If the coordinator saw the request end elsewhere, a second reply may still come, or the next call may
    /// be read as the rest of this one. On a link of its own, a client can only confuse itself that way, as
    /// it could without a router; and on Hive and Spark its session ends with the link. What such a link says
    /// later changes nothing that belongs to other clients (`learn`), and a link on which unrequested bytes
    /// came is closed as always.
    ///
    /// The link is not fit either if the coordinator refused a long request for its length: it has not read
    /// the request to its end, and closes the link when it finds no message there (seen: Spark).
    pub(crate) fn leaves_fit(&self, is_shared: bool, answer: &Facts) -> bool {
        (self.ends_for_sure() || !is_shared) && (self.is_whole() || !answer.is_exception())
    }

    /// Returns why the request must not reach a coordinator, if one of its fields is mistyped: the
    /// coordinator would see it end elsewhere.
    pub(crate) fn mistyped(&self) -> Option<BadInput> {
        let field = self.facts().mistyped?;
        Some(BadInput::Mistyped { method: self.method().name, field: field.name() })
    }

    /// Returns whether enough is known to decide where the request goes.
    pub(in crate::serve::message) fn is_routable(&self) -> bool {
        let needs_nothing =
            matches!(self.method().role, Role::OpenSession | Role::Connection | Role::Statement)
                && !self.method().request.iter().any(|watch| watch.slot == Slot::Guid);
        self.scanner.past_header() && (needs_nothing || self.facts().key().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_eight_cache_lines_of_every_call_under_way() {
        assert!(size_of::<Request>() <= 512, "{} bytes", size_of::<Request>());
    }
}
