//! What comes of a call, at each of its steps.

use std::ops::Deref;

use bytes::BytesMut;

use crate::ids::CoordinatorId;
use crate::metrics::CallOutcome;
use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::lost::Lost;
use crate::serve::link::no_link::NoLink;
use crate::serve::message::end::End;
use crate::serve::message::reply::Reply;
use crate::serve::settings::FREE_REPLY_BYTES;
use crate::serve::threads::memory::Held;
use crate::session::decide::Plan;
use crate::session::table::NotLive;
use crate::wire::facts::Handle;
use crate::wire::verdict::Verdict;

/// Where a call goes.
pub(in crate::serve) enum Decided {
    /// As the table has it.
    Known(Plan),
    /// As those say who were asked.
    Asked(Plan),
}

/// A session that is over.
pub(in crate::serve) enum Ended {
    /// It is remembered as such.
    NotLive(Handle, NotLive),
    /// It ended with the link to this coordinator.
    Lost(CoordinatorId),
}

/// When the client gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Deliver {
    /// As it comes.
    AsItComes,
    /// Not by the exchange, which returns it whole: it may be thrown away and another coordinator asked.
    WhenWhole,
    /// A short one likewise; a longer one as it comes, for it is no refusal.
    WhileShort,
}

impl Deliver {
    /// Whether a reply of so many bytes, as far as it has come, waits for its end.
    pub(in crate::serve) fn holds(self, bytes: usize) -> bool {
        match self {
            Self::AsItComes => false,
            Self::WhenWhole => true,
            Self::WhileShort => bytes <= FREE_REPLY_BYTES,
        }
    }
}

/// Bytes of a reply that its client does not have yet.
#[derive(Default)]
pub(in crate::serve) struct HeldBack {
    /// Framed as they came.
    pub bytes: BytesMut,
    /// Counts them.
    pub counted: Held,
}

/// What the client does not have of what has come of a reply, framed as it came.
pub(in crate::serve) enum Body {
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
    pub(in crate::serve) fn into_held(self) -> Box<HeldBack> {
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

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(in crate::serve) enum Trouble {
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
pub(in crate::serve) struct Answered<S: Stream> {
    /// What was found in it stays where it was found: it is too much to be copied for each call.
    pub reply: Box<Reply>,
    /// All of it, unless it was delivered as it came.
    pub bytes: Body,
    /// The link, if it is fit for another call.
    pub link: Option<Box<Link<S>>>,
}

/// Why a call was not carried out where it was sent. The client knows nothing of it yet.
pub(in crate::serve) enum Failed {
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
        /// The coordinator's own words, framed.
        reply: Box<HeldBack>,
    },
}
