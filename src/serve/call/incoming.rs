//! A reply that comes: what of it waits for its end, and what its client has.

use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::call::outcome::{Body, Deliver, Trouble};
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::message::coding::Form;
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;

/// A reply that comes.
pub(crate) struct Incoming {
    pub reply: Box<Reply>,
    deliver: Deliver,
    /// What of it waits for its end.
    pub bytes: Body,
    pub client_has_some: bool,
    /// Whether it has ended and its link is fit for another call.
    pub leaves_fit: bool,
}

impl Incoming {
    /// To a request, of which nothing has come; it goes to the client in this form.
    pub(crate) fn to(request: &Request, form: Form, deliver: Deliver) -> Self {
        let reply = Reply::boxed(request.method(), request.facts());
        Self { reply, deliver, bytes: Body::nothing(form), client_has_some: false, leaves_fit: false }
    }

    /// Takes the reply's part of a chunk, and leaves no more in it.
    pub(crate) fn take<S: Stream>(
        &mut self,
        chunk: &mut Chunk,
        request: &Request,
        link: &mut Link<S>,
    ) -> Result<(), Trouble> {
        let taken = link.end.take(&mut self.reply, chunk, self.bytes.form);
        let taken = taken.map_err(|error| self.lost(error.into()))?;
        self.leaves_fit = taken.clean && request.leaves_fit(link.slot.port.shares, self.reply.facts());
        Ok(())
    }

    /// Whether what came with a chunk waits for the reply's end.
    pub(crate) fn waits(&self, chunk: &[u8]) -> bool {
        let bytes = self.bytes.len() + chunk.len();
        !self.reply.is_checked() || (!self.client_has_some && self.deliver.holds(bytes))
    }

    /// What waited, if anything did.
    pub(crate) fn take_held(&mut self) -> Option<Body> {
        (!self.bytes.is_empty()).then(|| self.bytes.take())
    }

    pub(crate) fn lost(&self, cause: LostCause) -> Trouble {
        Trouble::Link(Lost { phase: self.reply.phase(), client_has_some: self.client_has_some, cause })
    }
}
