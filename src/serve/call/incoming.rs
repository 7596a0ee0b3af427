//! The reply of an exchange, while it is being received: what of it the client has, and what is held.

use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::call::outcome::{Body, Deliver, Trouble};
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::message::coding::{Follows, Form};
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;
use crate::wire::verdict::Verdict;

/// A reply that is being received.
pub(crate) struct Incoming {
    pub(super) reply: Box<Reply>,
    deliver: Deliver,
    /// The bytes that are held until the reply ends.
    pub(super) bytes: Body,
    /// Whether the client was sent something of it.
    pub(super) client_has_some: bool,
    /// How many more bytes of payload are to come, if that is known.
    left: Option<u64>,
    /// The verdict, once the reply has ended.
    pub(super) verdict: Option<Verdict>,
    /// Whether the reply has ended and the link is fit for another call.
    pub(super) leaves_fit: bool,
}

impl Incoming {
    /// Creates the reply to a request; nothing has come yet. The reply goes to the client in `form`.
    pub(super) fn to(request: &Request, form: Form, deliver: Deliver) -> Self {
        let reply = Box::new(Reply::to(request.method(), request.facts()));
        Self::of(reply, Body::nothing(form), deliver)
    }

    /// A reply of which these bytes have come, and are held.
    pub(super) fn of(reply: Box<Reply>, bytes: Body, deliver: Deliver) -> Self {
        Self { reply, deliver, bytes, client_has_some: false, left: None, verdict: None, leaves_fit: false }
    }

    /// Takes the reply's part of a chunk, and removes everything else from the chunk.
    pub(super) fn take<S: Stream>(
        &mut self,
        chunk: &mut Chunk,
        request: &Request,
        link: &mut Link<S>,
    ) -> Result<(), Trouble> {
        let taken = link.end.take(&mut self.reply, chunk, self.bytes.form);
        let taken = taken.map_err(|error| self.lost(error.into()))?;
        self.left = taken.left;
        self.leaves_fit = taken.clean && request.leaves_fit(link.slot.port.shares, self.reply.facts());
        Ok(())
    }

    /// Returns whether a chunk is held until the reply ends.
    pub(super) fn waits(&self, chunk: &[u8]) -> bool {
        let bytes = self.bytes.len() + chunk.len();
        // The client may use a handle as soon as it has the last byte of payload, so the table must know it
        // by then.
        let ends = self.reply.is_whole() && !self.reply.is_done();
        !self.reply.is_checked() || ends || (!self.client_has_some && self.deliver.holds(bytes))
    }

    /// Returns what follows the bytes that were taken last.
    pub(super) fn follows(&self) -> Follows {
        if self.reply.is_done() { Follows::Nothing } else { Follows::More(self.left) }
    }

    /// Takes the held bytes out; none if there are none.
    pub(super) fn take_held(&mut self) -> Option<Body> {
        (!self.bytes.is_empty()).then(|| self.bytes.take())
    }

    pub(super) fn lost(&self, cause: LostCause) -> Trouble {
        Trouble::Link(Lost { phase: self.reply.phase(), client_has_some: self.client_has_some, cause })
    }
}
