//! A reply that comes: what of it waits for its end, and what its client has.

use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::call::outcome::{Body, Deliver, HeldBack, Trouble};
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::message::framing::Framing;
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;
use crate::session::retry::Phase;

/// A reply that comes.
pub(in crate::serve) struct Incoming {
    pub reply: Box<Reply>,
    deliver: Deliver,
    /// What of it waits for its end.
    pub bytes: Body,
    pub client_has_some: bool,
    phase: Phase,
    /// Whether it has ended and its link is fit for another call.
    pub leaves_fit: bool,
}

impl Incoming {
    pub(in crate::serve) fn to(request: &Request, framing: Framing, deliver: Deliver) -> Self {
        let reply = Reply::boxed(request.method(), request.facts(), framing);
        let (bytes, phase) = (Body::Nothing, Phase::Waiting);
        Self { reply, deliver, bytes, client_has_some: false, phase, leaves_fit: false }
    }

    /// Takes the reply's part of a chunk, and leaves no more in it.
    pub(in crate::serve) fn take<S: Stream>(
        &mut self,
        chunk: &mut Chunk,
        request: &Request,
        link: &Link<S>,
    ) -> Result<(), Trouble> {
        let taken = self.reply.take(chunk);
        self.phase = self.reply.phase();
        let taken = taken.map_err(|error| self.lost(error.into()))?;
        self.leaves_fit = taken.clean && request.leaves_fit(link.slot.port.shares, self.reply.facts());
        chunk.truncate(taken.used);
        Ok(())
    }

    /// Whether what came with a chunk waits for the reply's end.
    pub(in crate::serve) fn waits(&self, chunk: &[u8]) -> bool {
        let bytes = self.bytes.len() + chunk.len();
        !self.reply.is_checked() || (!self.client_has_some && self.deliver.holds(bytes))
    }

    pub(in crate::serve) fn take_held(&mut self) -> Option<Box<HeldBack>> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(std::mem::replace(&mut self.bytes, Body::Nothing).into_held())
    }

    pub(in crate::serve) fn lost(&self, cause: LostCause) -> Trouble {
        Trouble::Link(Lost { phase: self.phase, client_has_some: self.client_has_some, cause })
    }
}
