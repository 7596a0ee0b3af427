//! The results of the steps of a call.

use std::ops::Deref;

use bytes::BytesMut;

use crate::ids::CoordinatorId;
use crate::metrics::CallOutcome;
use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::link::no_link::NoLink;
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::message::parcel::Parcel;
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;
use crate::serve::settings::{FREE_REPLY_BYTES, HELD_REPLY_LIMIT};
use crate::serve::threads::memory::{Held, ReplayMemory};
use crate::session::retry::Phase;
use crate::session::table::NotLive;
use crate::wire::facts::{Facts, Handle};
use crate::wire::verdict::Verdict;

/// Why a session is over.
pub(crate) enum Ended {
    /// The table remembers it as expired or gone.
    NotLive(Handle, NotLive),
    /// It ended with the link to this coordinator.
    Lost(CoordinatorId),
}

/// When the client gets the bytes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deliver {
    /// As they come.
    AsItComes,
    /// Only when the reply is whole, and not from the exchange itself: the reply may be thrown away, and
    /// another coordinator asked.
    WhenWhole,
    /// When the reply is whole if it is short; otherwise as it comes, because a long reply is not a refusal.
    WhileShort,
}

impl Deliver {
    /// Returns whether a reply of which this many bytes have come is held until its end.
    pub(crate) fn holds(self, bytes: usize) -> bool {
        match self {
            Self::AsItComes => false,
            Self::WhenWhole => true,
            Self::WhileShort => bytes <= FREE_REPLY_BYTES,
        }
    }
}

/// The bytes of a reply that have come and that the client does not have yet.
pub(crate) struct Body {
    /// The form of the bytes.
    pub form: Form,
    kept: Kept,
}

/// How the bytes are kept.
enum Kept {
    /// There are no bytes.
    Nothing,
    /// The whole reply in one piece, as most replies come. It is not copied.
    Piece(Chunk),
    /// Several pieces, copied together.
    Copy(Box<Copied>),
}

/// Bytes that were copied together, and their count in the memory budget.
#[derive(Default)]
struct Copied {
    bytes: BytesMut,
    counted: Held,
}

impl Body {
    /// Creates an empty body; what comes later will be in `form`.
    pub(crate) fn nothing(form: Form) -> Self {
        Self { form, kept: Kept::Nothing }
    }

    /// Creates a body from a reply that came in one piece.
    pub(crate) fn piece(chunk: Chunk, form: Form) -> Self {
        Self { form, kept: Kept::Piece(chunk) }
    }

    /// These bytes, which are not counted.
    pub(crate) fn of(bytes: BytesMut, form: Form) -> Self {
        Self { form, kept: Kept::Copy(Box::new(Copied { bytes, counted: Held::default() })) }
    }

    /// Takes the bytes out and leaves nothing.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::nothing(self.form))
    }

    /// Copies the bytes, so that the read buffer they came in is free for others.
    pub(crate) fn copied(self) -> Self {
        let Kept::Piece(chunk) = self.kept else { return self };
        let copied = Copied { bytes: BytesMut::from(&*chunk), counted: Held::default() };
        Self { form: self.form, kept: Kept::Copy(Box::new(copied)) }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`LostCause::TooLarge`], when there would be more than [`HELD_REPLY_LIMIT`] bytes;
    /// [`LostCause::NoRoom`], when all held bytes together would exceed the budget of `memory`.
    pub(crate) fn hold(&mut self, more: &[u8], memory: &ReplayMemory) -> Result<(), LostCause> {
        let mut body = self.take().copied();
        if !matches!(body.kept, Kept::Copy(_)) {
            body.kept = Kept::Copy(Box::default());
        }
        if let Kept::Copy(copied) = &mut body.kept {
            copied.bytes.extend_from_slice(more);
            let held = copied.bytes.len();
            if held > HELD_REPLY_LIMIT {
                return Err(LostCause::TooLarge);
            }
            if !memory.grow(&mut copied.counted, held.saturating_sub(FREE_REPLY_BYTES)) {
                return Err(LostCause::NoRoom);
            }
        }
        *self = body;
        Ok(())
    }
}

impl<'a> From<&'a Body> for Parcel<'a> {
    fn from(body: &'a Body) -> Self {
        match &body.kept {
            Kept::Piece(chunk) => chunk.into(),
            Kept::Nothing | Kept::Copy(_) => Self::Lent(body),
        }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.kept {
            Kept::Nothing => &[],
            Kept::Piece(chunk) => chunk,
            Kept::Copy(copied) => &copied.bytes,
        }
    }
}

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The client's connection ends.
    Client(End),
    /// The link is lost.
    Link(Lost),
}

impl Trouble {
    /// The same of a call with this request. A coordinator that does not accept the router's ticket over HTTP has
    /// not looked at the call, so that can be sent again if all of it is held.
    #[must_use]
    pub(crate) fn of(mut self, request: &Request) -> Self {
        if let Self::Link(lost) = &mut self
            && matches!(lost.cause, LostCause::NotLoggedIn(_))
            && request.is_whole()
        {
            lost.phase = Phase::NothingWritten;
        }
        self
    }
}

impl From<End> for Trouble {
    fn from(end: End) -> Self {
        Self::Client(end)
    }
}

/// A reply that has ended.
pub(crate) struct Answered<S: Stream> {
    /// The reply itself. It stays in its box because it is too large to be copied for each call.
    pub reply: Box<Reply>,
    /// What the reply says about the call.
    pub verdict: Verdict,
    /// The bytes of the reply, unless they were delivered as they came.
    pub bytes: Body,
    /// The link, if it is fit for another call.
    pub link: Option<Box<Link<S>>>,
}

impl<S: Stream> Answered<S> {
    /// Returns what the call counts as if the client gets this answer.
    pub(crate) fn outcome(&self) -> CallOutcome {
        outcome(self.verdict, self.reply.facts())
    }
}

/// Returns what a call counts as whose client gets this reply.
pub(crate) fn outcome(verdict: Verdict, reply: &Facts) -> CallOutcome {
    match verdict {
        Verdict::Success => CallOutcome::Reply,
        _ if reply.is_exception() => CallOutcome::Exception,
        _ => CallOutcome::ErrorStatus,
    }
}

/// Why a call was not carried out where it was sent. The client does not know of it yet.
pub(crate) enum Failed {
    /// There is no link.
    NoLink(NoLink),
    /// The session moved while the call waited for the link.
    Left,
    /// The link was lost.
    Lost(Lost),
    /// The session ended with its link before the call was sent.
    SessionLost(CoordinatorId),
    /// The coordinator did not run the call: it takes no new work, or does not have the session.
    Refused {
        /// Which of the two it is.
        verdict: Verdict,
        /// What the call counts as if the client gets this answer.
        outcome: CallOutcome,
        /// The coordinator's own reply.
        reply: Body,
    },
}
