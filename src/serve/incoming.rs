//! A reply that comes: what of it waits for its end, and what its client has.

use std::ops::Deref;

use bytes::BytesMut;

use super::exchange::{FREE_REPLY_BYTES, Lost, LostCause, Trouble};
use super::framing::Framing;
use super::link::Link;
use super::reply::Reply;
use super::request::Request;
use super::shared::Held;
use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::session::retry::Phase;

/// When the client gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deliver {
    /// As it comes.
    AsItComes,
    /// Not by the exchange, which returns it whole: it may be thrown away and another coordinator asked.
    WhenWhole,
    /// A short one likewise; a longer one as it comes, for it is no refusal.
    WhileShort,
}

impl Deliver {
    /// Whether a reply of so many bytes, as far as it has come, waits for its end.
    fn holds(self, bytes: usize) -> bool {
        match self {
            Self::AsItComes => false,
            Self::WhenWhole => true,
            Self::WhileShort => bytes <= FREE_REPLY_BYTES,
        }
    }
}

/// Bytes of a reply that its client does not have yet.
#[derive(Default)]
pub(super) struct HeldBack {
    /// Framed as they came.
    pub bytes: BytesMut,
    /// Counts them.
    pub counted: Held,
}

/// What the client does not have of what has come of a reply, framed as it came.
pub(super) enum Body {
    /// It has all, or nothing has come.
    Nothing,
    /// All of the reply, in one piece as most come: not copied.
    Piece(Chunk),
    /// It was put together.
    Held(Box<HeldBack>),
}

impl Body {
    /// As bytes of its own, so that no buffer is kept from others.
    #[expect(clippy::unnecessary_box_returns, reason = "it is held in a box")]
    pub(super) fn into_held(self) -> Box<HeldBack> {
        match self {
            Self::Nothing => Box::default(),
            Self::Piece(chunk) => {
                Box::new(HeldBack { bytes: BytesMut::from(&*chunk), counted: Held::default() })
            }
            Self::Held(held) => held,
        }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Piece(chunk) => chunk,
            Self::Held(held) => &held.bytes,
        }
    }
}

/// A reply that comes.
pub(super) struct Incoming {
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
    pub(super) fn to(request: &Request, framing: Framing, deliver: Deliver) -> Self {
        let reply = Reply::boxed(request.method(), request.facts(), framing);
        let (bytes, phase) = (Body::Nothing, Phase::Waiting);
        Self { reply, deliver, bytes, client_has_some: false, phase, leaves_fit: false }
    }

    /// Takes the reply's part of a chunk, and leaves no more in it.
    pub(super) fn take<S: Stream>(
        &mut self,
        chunk: &mut Chunk,
        request: &Request,
        link: &Link<S>,
    ) -> Result<(), Trouble> {
        let taken = self.reply.take(chunk);
        self.phase = self.reply.phase();
        let taken = taken.map_err(|error| self.lost(error.into()))?;
        self.leaves_fit = taken.clean && request.leaves_fit(link, self.reply.facts());
        chunk.truncate(taken.used);
        Ok(())
    }

    /// Whether what came with a chunk waits for the reply's end.
    pub(super) fn waits(&self, chunk: &[u8]) -> bool {
        let bytes = self.bytes.len() + chunk.len();
        !self.reply.is_checked() || (!self.client_has_some && self.deliver.holds(bytes))
    }

    pub(super) fn take_held(&mut self) -> Option<Box<HeldBack>> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(std::mem::replace(&mut self.bytes, Body::Nothing).into_held())
    }

    pub(super) fn lost(&self, cause: LostCause) -> Trouble {
        Trouble::Link(Lost { phase: self.phase, client_has_some: self.client_has_some, cause })
    }
}
