//! A request, as far as it has come, and what is known of it.

use std::borrow::Cow;

use crate::cluster::room::Purpose;
use crate::ids::Transport;
use crate::serve::message::coding::{self, Form};
use crate::serve::message::end::BadInput;
use crate::serve::message::pace::Pace;
use crate::serve::threads::memory::{Held, ReplayMemory};
use crate::serve::threads::spares::Spares;
use crate::session::activity::Hold;
use crate::session::decide::purpose;
use crate::session::locate::Question;
use crate::session::statement::{Effect, effect};
use crate::wire::facts::{Facts, Handle, HandlePosition};
use crate::wire::frame::HEADER_LEN;
use crate::wire::method::{Method, Role};
use crate::wire::scan::{ScanError, Scanner};
use crate::wire::watch::Slot;
use crate::wire::{rewrite, thrift};

/// Bytes that a request may have. Hive accepts 100 MiB (`hive.server2.thrift.max.message.size`), Impala 2 GiB
/// (`--thrift_external_rpc_max_message_size`); the largest statement seen had 20 MB.
const REQUEST_LIMIT: u64 = 1 << 30;
/// A request that has more room than this for its bytes is not kept for another.
const SPARE_BYTES: usize = 2 << 10;

thread_local! {
    static SPARES: Spares<Request> = const { Spares::new() };
}

/// A request, whole unless it is larger than what is held.
pub(crate) struct Request {
    scanner: Scanner,
    /// What is held of its message, or of its latest piece, behind room for a frame's header.
    bytes: Vec<u8>,
    /// In which form that is.
    form: Form,
    /// Bytes that the client's frame still has to bring to what is held first.
    to_come: usize,
    /// Whether the message's end has come.
    pub complete: bool,
    streams: bool,
    /// How fast it comes.
    pub(in crate::serve::message) pace: Pace,
    held: Held,
    /// What its statement does to its session.
    pub effect: Effect,
    /// Keeps its session where it is, if that can move.
    pub hold: Option<Hold>,
    /// What its link is for. Nothing but work, unless it is whole and names what the table knows: else whoever invents handles,
    /// or sends slowly, would have the links that are kept for cancels.
    pub purpose: Purpose,
    /// What was asked, or may be asked again, to find out where it goes: its coordinator was taken at its word.
    pub doubt: Option<Question>,
    /// Whether it is the router's: what comes of it is for whoever sent it to note.
    pub own: bool,
}

impl Request {
    /// As [`Self::new`], in a box that may have been another's.
    pub(crate) fn boxed() -> Box<Self> {
        Spares::take(&SPARES, Self::new, Self::restart)
    }

    /// As [`Self::new`], but for the memory.
    fn restart(&mut self) {
        let Self {
            scanner,
            bytes,
            form,
            to_come,
            complete,
            streams,
            pace,
            held,
            effect,
            hold,
            purpose,
            doubt,
            own,
        } = self;
        scanner.restart_request();
        bytes.clear();
        (*form, *to_come) = (Form::Payload, 0);
        (*complete, *streams, *own) = (false, false, false);
        (*pace, *held) = (Pace::default(), Held::default());
        (*effect, *hold, *purpose, *doubt) = (Effect::Nothing, None, Purpose::Work, None);
    }

    /// Nothing of it is needed any more but its memory, unless that is much.
    pub(crate) fn recycle(mut self: Box<Self>) {
        if self.bytes.capacity() > SPARE_BYTES {
            return;
        }
        self.bytes.clear();
        // What it kept back is free now, and not when the box is used again.
        self.hold = None;
        self.held = Held::default();
        Spares::keep(&SPARES, self);
    }

    /// A request of which nothing has come.
    pub(crate) fn new() -> Self {
        Self {
            scanner: Scanner::request(REQUEST_LIMIT),
            bytes: Vec::new(),
            form: Form::Payload,
            to_come: 0,
            complete: false,
            streams: false,
            pace: Pace::default(),
            held: Held::default(),
            effect: Effect::Nothing,
            hold: None,
            purpose: Purpose::Work,
            doubt: None,
            own: false,
        }
    }

    /// A request of the router's own; none if `message` is none.
    pub(crate) fn own(message: &[u8]) -> Option<Self> {
        let mut request = Self::new();
        let used = request.push(message).ok()?;
        request.complete &= used == message.len();
        request.keep(message);
        request.own = true;
        request.purpose = purpose(request.method());
        request.complete.then_some(request)
    }

    /// Takes its part of a piece of payload; returns how many bytes that is.
    ///
    /// # Errors
    /// [`ScanError`], when it cannot be followed.
    pub(in crate::serve::message) fn push(&mut self, payload: &[u8]) -> Result<usize, ScanError> {
        let step = self.scanner.push(payload)?;
        self.complete = step.done;
        Ok(step.used)
    }

    /// Holds bytes of it, in its form.
    pub(in crate::serve::message) fn keep(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(HEADER_LEN + bytes.len());
            self.bytes.resize(HEADER_LEN, 0);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// In which form its bytes are held.
    pub(in crate::serve::message) fn form(&self) -> Form {
        self.form
    }

    /// What is held was sent: its next piece is held from now on, in this form.
    pub(in crate::serve::message) fn begin_piece(&mut self, form: Form) {
        self.bytes.clear();
        (self.form, self.to_come) = (form, 0);
    }

    /// Counts what is held of it; whether there is memory for that.
    pub(in crate::serve::message) fn count_held(&mut self, memory: &ReplayMemory) -> bool {
        let held = self.held_bytes().len();
        memory.grow(&mut self.held, held)
    }

    /// It is sent on piece by piece. `to_come` bytes of the client's frame follow what is held.
    pub(in crate::serve::message) fn begin_to_stream(&mut self, to_come: usize) {
        (self.streams, self.to_come) = (true, to_come);
    }

    /// What is held of its message, or of its latest piece.
    pub(in crate::serve::message) fn held_bytes(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    /// What is held, as it goes on a connection of this transport; `form` is that of the pieces that follow it.
    pub(in crate::serve::message) fn encode(&mut self, transport: Transport, form: Form) -> Cow<'_, [u8]> {
        if self.form == Form::AsItCame {
            return Cow::Borrowed(self.held_bytes());
        }
        // The frame goes on as it came, whole: what a coordinator does not accept for its length it then refuses as it would
        // refuse its client, with all of it read (Spark: `TSaslTransport.readFrame`).
        let to_come = if form == Form::AsItCame { self.to_come } else { 0 };
        coding::encode_in_place(&mut self.bytes, to_come, transport)
    }

    /// The message; none if it is not all held.
    pub(crate) fn message(&self) -> Option<&[u8]> {
        self.is_whole().then(|| self.held_bytes())
    }

    /// The message without its head, that is without its name and sequence id; none if it is not all held.
    pub(crate) fn arguments(&self) -> Option<&[u8]> {
        self.message()?.get(thrift::head_len(self.facts().name.as_bytes())..)
    }

    /// Finds out what its statement does to its session. To be asked before anything is sent: of a request that is sent piece
    /// by piece, only the first piece tells.
    pub(crate) fn note_effect(&mut self) {
        let Some(place) = self.facts().statement else { return };
        let message = self.held_bytes();
        self.effect = match message.get(place.range()) {
            Some(text) => effect(text, true),
            None => effect(message.get(place.range().start..).unwrap_or_default(), false),
        };
    }

    /// Names a session by another handle than its client did, or by its client's again.
    pub(crate) fn name_session(&mut self, position: HandlePosition, handle: &Handle) {
        let message = self.bytes.get_mut(HEADER_LEN..).unwrap_or_default();
        // A handle that stands in a later piece than the first was never found, and so has no position.
        let _replaced = rewrite::replace(message, position, handle);
    }

    /// Its method.
    pub(crate) fn method(&self) -> &'static Method {
        self.scanner.method()
    }

    /// What is known of it; everything, if it is complete.
    pub(crate) fn facts(&self) -> &Facts {
        self.scanner.facts()
    }

    /// Whether all of it is held, so that it can be sent again.
    pub(crate) fn is_whole(&self) -> bool {
        self.complete && !self.streams
    }

    /// Whether its coordinator is sure to see its end where we saw it: not if its method, or what that carries, is not known.
    /// Then one message can be two to the coordinator, and the reply to the second would be the next client's, or less than
    /// one, and never be answered.
    pub(crate) fn ends_for_sure(&self) -> bool {
        self.method().has_known_containers
    }

    /// Whether its link may serve another call after a clean reply to it.
    ///
    /// If its coordinator saw it end elsewhere, the reply to a second call may still come, or the next call may be read as the
    /// rest of this one. On a link of its own a client can only confuse itself by that, as it could without a router, and on
    /// Hive and Spark its session ends with the link. What such a link says later is believed of nothing that is not the
    /// client's (`learn`), and one on which bytes came that nobody asked for is closed as ever.
    ///
    /// Nor may it after a refusal of a long request by its length: whoever refuses that has not read it to its end, and closes
    /// the link when it finds no message there (seen: Spark).
    pub(crate) fn leaves_fit(&self, is_shared: bool, answer: &Facts) -> bool {
        (self.ends_for_sure() || !is_shared) && (self.is_whole() || !answer.is_exception())
    }

    /// What is wrong with it so that it may reach no coordinator: it would end elsewhere for it.
    pub(crate) fn mistyped(&self) -> Option<BadInput> {
        let field = self.facts().mistyped?;
        Some(BadInput::Mistyped { method: self.method().name, field: field.name() })
    }

    /// Whether enough is known to say where it goes.
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
