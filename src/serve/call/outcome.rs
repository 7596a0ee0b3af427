//! What comes of a call, at each of its steps.

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
use crate::serve::message::reply::Reply;
use crate::serve::settings::{FREE_REPLY_BYTES, HELD_REPLY_LIMIT};
use crate::serve::threads::memory::{Held, ReplayMemory};
use crate::session::decide::Plan;
use crate::session::table::NotLive;
use crate::wire::facts::Handle;
use crate::wire::verdict::Verdict;

/// Where a call goes.
pub(crate) enum Decided {
    /// As the table has it.
    Known(Plan),
    /// As those say who were asked.
    Asked(Plan),
}

/// A session that is over.
pub(crate) enum Ended {
    /// It is remembered as such.
    NotLive(Handle, NotLive),
    /// It ended with the link to this coordinator.
    Lost(CoordinatorId),
}

/// When the client gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deliver {
    /// As it comes.
    AsItComes,
    /// Not by the exchange, which returns it whole: it may be thrown away and another coordinator asked.
    WhenWhole,
    /// A short one likewise; a longer one as it comes, for it is no refusal.
    WhileShort,
}

impl Deliver {
    /// Whether a reply of so many bytes, as far as it has come, waits for its end.
    pub(crate) fn holds(self, bytes: usize) -> bool {
        match self {
            Self::AsItComes => false,
            Self::WhenWhole => true,
            Self::WhileShort => bytes <= FREE_REPLY_BYTES,
        }
    }
}

/// What the client does not have of what has come of a reply.
pub(crate) struct Body {
    /// In which form it is.
    pub form: Form,
    kept: Kept,
}

/// How bytes of a reply are kept.
enum Kept {
    /// There are none.
    Nothing,
    /// All of the reply, in one piece as most come: not copied.
    Piece(Chunk),
    /// Put together.
    Copy(Box<Copied>),
}

/// Bytes that were put together, and what counts them.
#[derive(Default)]
struct Copied {
    bytes: BytesMut,
    counted: Held,
}

impl Body {
    /// Nothing yet; what comes will be in this form.
    pub(crate) fn nothing(form: Form) -> Self {
        Self { form, kept: Kept::Nothing }
    }

    /// A reply that came in one piece.
    pub(crate) fn piece(chunk: Chunk, form: Form) -> Self {
        Self { form, kept: Kept::Piece(chunk) }
    }

    /// These bytes, which are not counted.
    pub(crate) fn of(bytes: BytesMut, form: Form) -> Self {
        Self { form, kept: Kept::Copy(Box::new(Copied { bytes, counted: Held::default() })) }
    }

    /// What there is; it is taken out.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::nothing(self.form))
    }

    /// The same as bytes of its own, so that no buffer is kept from others.
    pub(crate) fn copied(self) -> Self {
        let Kept::Piece(chunk) = self.kept else { return self };
        let copied = Copied { bytes: BytesMut::from(&*chunk), counted: Held::default() };
        Self { form: self.form, kept: Kept::Copy(Box::new(copied)) }
    }

    /// Holds more.
    ///
    /// # Errors
    /// [`LostCause::TooLarge`], when that would be more than may be held of one reply; [`LostCause::NoRoom`], when all that
    /// is held would be more than `memory` allows.
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

impl From<End> for Trouble {
    fn from(end: End) -> Self {
        Self::Client(end)
    }
}

/// A reply that has ended.
pub(crate) struct Answered<S: Stream> {
    /// What was found in it stays where it was found: it is too much to be copied for each call.
    pub reply: Box<Reply>,
    /// What it says of the call.
    pub verdict: Verdict,
    /// All of it, unless it was delivered as it came.
    pub bytes: Body,
    /// The link, if it is fit for another call.
    pub link: Option<Box<Link<S>>>,
}

impl<S: Stream> Answered<S> {
    /// What the call counts as if the client gets this answer.
    pub(crate) fn outcome(&self) -> CallOutcome {
        match self.verdict {
            Verdict::Success => CallOutcome::Reply,
            _ if self.reply.facts().is_exception() => CallOutcome::Exception,
            _ => CallOutcome::ErrorStatus,
        }
    }
}

/// Why a call was not carried out where it was sent. The client knows nothing of it yet.
pub(crate) enum Failed {
    /// There is no link.
    NoLink(NoLink),
    /// Its session went elsewhere while it waited for the link.
    Left,
    /// The link was lost.
    Lost(Lost),
    /// Its session has ended with the link, before it was sent.
    SessionLost(CoordinatorId),
    /// The coordinator did not run it: it takes no new work, or has no such session.
    Refused {
        /// Which of the two.
        verdict: Verdict,
        /// What the call counts as if the client gets this answer.
        outcome: CallOutcome,
        /// The coordinator's own words.
        reply: Body,
    },
}
