//! A request, and how it is taken off a connection: whole, whatever pieces and frames it was sent in.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::timeout;

use crate::clock;
use crate::cluster::room::Purpose;
use crate::net::flow::{self, Chunk};
use crate::net::stream::Stream;
use crate::serve::message::client::{Client, READ_LIMIT};
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::framing::Framing;
use crate::serve::message::pace::Pace;
use crate::serve::settings::Settings;
use crate::serve::threads::memory::{Held, ReplayMemory};
use crate::serve::threads::spares::Spares;
use crate::session::activity::Hold;
use crate::session::decide::purpose;
use crate::session::locate::Question;
use crate::session::statement::{Effect, effect};
use crate::wire::facts::{Facts, Handle, HandlePlace};
use crate::wire::frame::{self, Deframer};
use crate::wire::method::{Method, Role};
use crate::wire::scan::Scanner;
use crate::wire::watch::Slot;
use crate::wire::{detect, rewrite, thrift};

/// Bytes that a request may have. Hive accepts 100 MiB (`hive.server2.thrift.max.message.size`), Impala 2 GiB
/// (`--thrift_external_rpc_max_message_size`); the largest statement seen had 20 MB.
const REQUEST_LIMIT: u64 = 1 << 30;
/// Payload bytes that a frame of a request may have.
const FRAME_LIMIT: usize = detect::FRAME_LIMIT as usize;

/// A request that has more room than this for its bytes is not kept for another.
const SPARE_BYTES: usize = 2 << 10;

/// Takes requests off a client's connection, one after the other.
#[derive(Debug)]
pub(in crate::serve) struct Inbox {
    framing: Framing,
    deframer: Deframer,
}

thread_local! {
    static SPARES: Spares<Request> = const { Spares::new() };
}

/// A request, whole unless it is larger than what is held.
pub(in crate::serve) struct Request {
    scanner: Scanner,
    /// As it goes on a link: framed, if links are. If the request is sent on piece by piece, the latest piece.
    pub bytes: Vec<u8>,
    /// Whether the message's end has come.
    pub complete: bool,
    /// Bytes at the front of `bytes` that are left for a frame's header.
    room: usize,
    streams: bool,
    pace: Pace,
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
    pub(in crate::serve) fn boxed(framing: Framing) -> Box<Self> {
        Spares::take(&SPARES, || Self::new(framing), |spare| spare.restart(framing))
    }

    /// As [`Self::new`], but for the memory.
    fn restart(&mut self, framing: Framing) {
        let Self { scanner, bytes, complete, room, streams, pace, held, effect, hold, purpose, doubt, own } =
            self;
        scanner.restart_request();
        bytes.clear();
        (*complete, *streams, *own) = (false, false, false);
        (*room, *pace, *held) = (framing.header_len(), Pace::default(), Held::default());
        (*effect, *hold, *purpose, *doubt) = (Effect::Nothing, None, Purpose::Work, None);
    }

    /// Nothing of it is needed any more but its memory, unless that is much.
    pub(in crate::serve) fn recycle(mut self: Box<Self>) {
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
    pub(in crate::serve) fn new(framing: Framing) -> Self {
        Self {
            scanner: Scanner::request(REQUEST_LIMIT),
            bytes: Vec::new(),
            complete: false,
            room: framing.header_len(),
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
    pub(in crate::serve) fn own(message: &[u8], framing: Framing) -> Option<Self> {
        let mut request = Self::new(framing);
        let step = request.scanner.push(message).ok()?;
        request.append(message);
        request.complete = step.done && step.used == message.len();
        request.own = true;
        request.purpose = purpose(request.method());
        request.seal(0).ok()?;
        request.complete.then_some(request)
    }

    /// The message, without a frame's header; none if it is not all held.
    pub(in crate::serve) fn message(&self) -> Option<&[u8]> {
        if self.is_whole() { self.bytes.get(self.room..) } else { None }
    }

    /// The message without its head, that is without its name and sequence id; none if it is not all held.
    pub(in crate::serve) fn arguments(&self) -> Option<&[u8]> {
        self.message()?.get(thrift::head_len(self.facts().name.as_bytes())..)
    }

    /// Finds out what its statement does to its session. To be asked before anything is sent: of a request that is sent piece
    /// by piece, only the first piece tells.
    pub(in crate::serve) fn note_effect(&mut self) {
        let Some(place) = self.facts().statement else { return };
        let message = self.bytes.get(self.room..).unwrap_or_default();
        self.effect = match message.get(place.range()) {
            Some(text) => effect(text, true),
            None => effect(message.get(place.range().start..).unwrap_or_default(), false),
        };
    }

    /// Names a session by another handle than its client did, or by its client's again.
    pub(in crate::serve) fn name_session(&mut self, place: HandlePlace, handle: &Handle) {
        let message = self.bytes.get_mut(self.room..).unwrap_or_default();
        // A handle that stands in a later piece than the first was never found, and so has no place.
        let _replaced = rewrite::replace(message, place, handle);
    }

    /// Its method.
    pub(in crate::serve) fn method(&self) -> &'static Method {
        self.scanner.method()
    }

    /// What is known of it; everything, if it is complete.
    pub(in crate::serve) fn facts(&self) -> &Facts {
        self.scanner.facts()
    }

    /// Whether all of it is held, so that it can be sent again.
    pub(in crate::serve) fn is_whole(&self) -> bool {
        self.complete && !self.streams
    }

    /// Whether its coordinator is sure to see its end where we saw it: not if its method, or what that carries, is not known.
    /// Then one message can be two to the coordinator, and the reply to the second would be the next client's, or less than
    /// one, and never be answered.
    pub(in crate::serve) fn ends_for_sure(&self) -> bool {
        self.method().has_known_containers()
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
    pub(in crate::serve) fn leaves_fit(&self, is_shared: bool, answer: &Facts) -> bool {
        (self.ends_for_sure() || !is_shared) && (self.is_whole() || !answer.is_exception())
    }

    /// What is wrong with it so that it may reach no coordinator: it would end elsewhere for it.
    pub(in crate::serve) fn mistyped(&self) -> Option<BadInput> {
        let field = self.facts().mistyped?;
        Some(BadInput::Mistyped { method: self.method().name, field: field.name() })
    }

    /// Whether nothing of it, or of its latest piece, has come.
    fn is_empty(&self) -> bool {
        self.bytes.len() <= self.room
    }

    /// Whether enough is known to say where it goes.
    fn is_routable(&self) -> bool {
        let needs_nothing =
            matches!(self.method().role, Role::OpenSession | Role::Connection | Role::Statement)
                && !self.method().request.iter().any(|watch| watch.slot == Slot::Guid);
        self.scanner.past_header() && (needs_nothing || self.facts().key().is_some())
    }

    fn append(&mut self, payload: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(self.room + payload.len());
            self.bytes.resize(self.room, 0);
        }
        self.bytes.extend_from_slice(payload);
    }

    /// Puts the frame's header in the place that was left for it; `to_come` bytes of the frame follow in later pieces.
    fn seal(&mut self, to_come: usize) -> Result<(), BadInput> {
        if self.room > 0 {
            let header = frame::header(self.bytes.len().saturating_sub(self.room) + to_come)?;
            self.bytes.get_mut(..self.room).unwrap_or_default().copy_from_slice(&header);
        }
        Ok(())
    }
}

impl Inbox {
    /// Requests in this framing.
    pub(in crate::serve) fn new(framing: Framing) -> Self {
        Self { framing, deframer: Deframer::new(FRAME_LIMIT) }
    }

    /// Takes what has come of the next request: `first`, if nothing was pending. If it is complete then, as most are, it can
    /// be sent.
    ///
    /// # Errors
    /// What ends the connection.
    pub(in crate::serve) fn begin<S>(
        &mut self,
        client: &mut Client<S>,
        request: &mut Request,
        first: Option<Chunk>,
    ) -> Result<(), End> {
        match first {
            Some(chunk) => self.take_chunk(client, request, &chunk)?,
            None => self.take_pending(client, request)?,
        }
        if request.complete { Ok(request.seal(0)?) } else { Ok(()) }
    }

    /// Reads until a request that has begun is complete, or is known well enough to be sent on piece by piece because it is
    /// too large to be held.
    ///
    /// # Errors
    /// What ends the connection.
    pub(in crate::serve) async fn fill<S: Stream>(
        &mut self,
        client: &mut Client<S>,
        request: &mut Request,
        settings: &Settings,
        memory: &ReplayMemory,
    ) -> Result<(), End> {
        while !request.complete && !self.must_stream(request, settings.replay_limit, memory)? {
            let chunk = read(client, &mut request.pace, settings.stall_timeout).await?;
            self.take_chunk(client, request, &chunk)?;
        }
        Ok(request.seal(self.rest_of_frame(request))?)
    }

    /// Reads the next piece of a request that is sent on piece by piece; `request.bytes` then holds that piece alone.
    ///
    /// # Errors
    /// What ends the connection.
    pub(in crate::serve) async fn next_piece<S: Stream>(
        &mut self,
        client: &mut Client<S>,
        request: &mut Request,
        settings: &Settings,
    ) -> Result<(), End> {
        // The frame that it begins in was begun on the link with its header; later ones bring theirs.
        request.room = 0;
        request.bytes.clear();
        self.take_pending(client, request)?;
        while request.is_empty() && !request.complete {
            let chunk = read(client, &mut request.pace, settings.stall_timeout).await?;
            self.take_chunk(client, request, &chunk)?;
        }
        Ok(())
    }

    /// Bytes that its frame still has to bring: the frame goes on a link as it came, whole. What a coordinator does not accept
    /// for its length it then refuses as it would refuse its client, with all of it read (Spark: `TSaslTransport.readFrame`).
    fn rest_of_frame(&self, request: &Request) -> usize {
        if request.complete { 0 } else { self.deframer.remaining() }
    }

    fn take_pending<S>(&mut self, client: &mut Client<S>, request: &mut Request) -> Result<(), End> {
        if !client.pending.is_empty() {
            let used = self.take(request, &client.pending)?;
            client.pending.advance(used);
        }
        if client.pending.is_empty() {
            // An idle connection keeps no buffer.
            client.pending = BytesMut::new();
        }
        Ok(())
    }

    /// What follows the request in a chunk is left pending.
    fn take_chunk<S>(
        &mut self,
        client: &mut Client<S>,
        request: &mut Request,
        chunk: &[u8],
    ) -> Result<(), BadInput> {
        let used = self.take(request, chunk)?;
        client.pending.extend_from_slice(chunk.get(used..).unwrap_or_default());
        Ok(())
    }

    /// Whether the request is too large to be held and is sent on piece by piece. It is held on, as far as memory goes,
    /// while its handle has not come.
    fn must_stream(
        &self,
        request: &mut Request,
        replay_limit: usize,
        memory: &ReplayMemory,
    ) -> Result<bool, BadInput> {
        let held = request.bytes.len();
        let fits = memory.grow(&mut request.held, held);
        match (fits && held <= replay_limit, request.is_routable()) {
            (true, _) => Ok(false),
            (false, true) => {
                let in_frame = self.framing == Framing::None || self.deframer.remaining() > 0;
                if !in_frame && self.framing == Framing::Framed {
                    return Err(BadInput::MessageSplit);
                }
                // Not in the middle of a frame's header: the part that has come is not kept.
                request.streams = in_frame || self.deframer.at_boundary();
                Ok(request.streams)
            }
            (false, false) if fits => Ok(false),
            (false, false) => Err(BadInput::HandleTooLate { held }),
        }
    }

    /// Takes the request's part of a chunk; returns how many bytes of it were used.
    fn take(&mut self, request: &mut Request, chunk: &[u8]) -> Result<usize, BadInput> {
        if self.framing == Framing::None {
            let step = request.scanner.push(chunk)?;
            request.append(chunk.get(..step.used).unwrap_or_default());
            request.complete = step.done;
            return Ok(step.used);
        }
        let mut used = 0;
        while let Some(rest) = chunk.get(used..).filter(|rest| !rest.is_empty() && !request.complete) {
            let piece = self.deframer.next(rest)?;
            let payload = rest.get(piece.payload.clone()).unwrap_or_default();
            let step = request.scanner.push(payload)?;
            // Frames that are passed on as they come keep their headers.
            let whole = rest.get(..piece.used).unwrap_or_default();
            request.append(if request.streams { whole } else { payload });
            request.complete = step.done;
            used += piece.used;
            if step.done && (step.used < payload.len() || !self.deframer.at_boundary()) {
                return Err(BadInput::AfterMessage);
            }
            if request.streams && self.framing == Framing::Framed && piece.frame_ended && !step.done {
                return Err(BadInput::MessageSplit);
            }
        }
        Ok(used)
    }
}

/// Reads a chunk inside a request: the client must send some within `stall`, and on average as fast as its pace demands,
/// and may not end here.
async fn read<S: Stream>(client: &mut Client<S>, pace: &mut Pace, stall: Duration) -> Result<Chunk, End> {
    let begun = clock::now();
    let read = flow::read_at_most(&mut client.stream, READ_LIMIT);
    let cut = || if pace.is_behind() { End::ClientSlow } else { End::ClientStalled { doing: "sent" } };
    let chunk = timeout(pace.patience(stall), read).await.map_err(|_| cut())?;
    let chunk = chunk.map_err(End::ClientGone)?;
    pace.note(clock::now().saturating_duration_since(begun), chunk.len());
    if chunk.is_empty() { Err(End::ClientBroke { inside: "request" }) } else { Ok(chunk) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_eight_cache_lines_of_every_call_under_way() {
        assert!(size_of::<Request>() <= 512, "{} bytes", size_of::<Request>());
    }
}
