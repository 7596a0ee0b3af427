//! The life of a session in the table, from its open to its last trace.
//!
//! ```text
//!            depart                    expire                  close
//! Moving ◀────────────▶ Live: Settled ────────▶ Expired ─────────────────▶ Closed
//!        arrive, settle      │  ▲                 │                          │
//!                       reap ▼  │ give up         │ bury                     │ bury
//!                           Reaped ─── bury ──────┴──────────▶ Buried ◀──────┘
//!                                                                │ its last leftover is closed
//!                                                                ▼
//!                                                            forgotten
//! ```
//!
//! A session that moved has left itself open where it was, by the handle that its client has. So a session
//! that ends is remembered until that is closed, too: else its client would locate it there, as it was then.
//! One without leftovers is forgotten at once.

mod transitions;

use std::time::{Duration, Instant};

use super::end::SessionEnd;
use super::mobile::{Leftover, Mobile, Pinned};
use crate::cluster::SessionCount;
use crate::cluster::room::Tenancy;
use crate::ids::CoordinatorId;
use crate::session::idle::IdleTimeout;
use crate::wire::facts::Handle;

/// What a session in the table is at the moment, with all that only such a session has. Guards end with their
/// state.
#[derive(Debug)]
pub(super) enum Life {
    /// Calls are made in it.
    Live(Live),
    /// It was idle for longer than it may be, so that no call is made in it. It is not known to be closed.
    Expired {
        idled: Box<Idled>,
        presence: Presence,
        mobile: Option<Box<Mobile>>,
        /// Whether the router is closing it.
        reaped: bool,
    },
    /// It was idle for longer than it may be, and is closed. Remembered so that its client can be told.
    Closed { idled: Box<Idled>, remains: Remains },
    /// It is gone where it was last, and has leftovers.
    Buried(Remains),
}

/// A session in which calls are made.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) idle_timeout: IdleTimeout,
    presence: Presence,
    stay: Stay,
}

/// What a session takes up on its coordinator.
#[derive(Debug)]
pub(super) struct Presence {
    /// None where links are not shared.
    pub(super) tenancy: Option<Tenancy>,
    /// None while its coordinator's process seems to have ended.
    pub(super) count: Option<SessionCount>,
}

/// Whether a live session stays where it is; each with what it needs to move, if it can.
#[derive(Debug)]
enum Stay {
    Settled(Option<Box<Mobile>>),
    /// A connection opens it elsewhere.
    Moving(Box<Mobile>),
    /// The router is closing it, because its clients are gone for good.
    Reaped(Option<Box<Mobile>>),
}

/// How long a session might have been idle, and since when it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idled {
    pub(super) timeout: Duration,
    /// When its last call ended.
    pub(super) last: Instant,
}

/// What is still to be closed of a session that is closed where it was last.
#[derive(Debug, Default)]
pub(super) struct Remains {
    leftovers: Vec<Leftover>,
    /// Whether the router is closing them.
    reaped: bool,
}

/// Where a session has come to.
#[derive(Debug)]
pub struct Arrival {
    /// Its new owner.
    pub coordinator: CoordinatorId,
    /// What it is known by there.
    pub handle: Handle,
    /// The new owner's.
    pub incarnation: u32,
    /// Counts it as load there.
    pub count: SessionCount,
    /// As in [`super::NewSession`], there.
    pub tenancy: Option<Tenancy>,
    /// How long it may be idle there; none if for ever.
    pub idle_timeout: Option<Duration>,
    /// The present moment.
    pub now: Instant,
}

/// Why no call is made any more in a session that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLive {
    /// It was idle for longer than it may be.
    Expired(Expired),
    /// It is gone where it was last, and perhaps not where it was before.
    Gone,
}

/// A session that was idle for longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// How long it might have been idle.
    pub timeout: Duration,
    /// When its last call ended.
    pub last: Instant,
    /// Whether its coordinator has closed it by now.
    pub closed: bool,
}

/// A session that did not arrive, because it is not on its way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotMoving;

/// A session that was not closed, because it has not expired, or was closed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotExpired;

/// Why the router does not close a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReaped {
    /// Somebody may still want it.
    #[error("somebody may still want it")]
    Wanted,
    /// It is on its way.
    #[error("it is being moved")]
    Moving,
    /// It is being closed already.
    #[error("it is being closed already")]
    Already,
    /// There is nothing for the router to close: it is closed everywhere, or ends with its link.
    #[error("the router cannot close it: it ends with its client's connection")]
    NothingToClose,
}

/// Whether there is a reason to remember a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    Keep,
    Forget,
}

impl Stay {
    fn mobile(&self) -> Option<&Mobile> {
        match self {
            Self::Settled(mobile) | Self::Reaped(mobile) => mobile.as_deref(),
            Self::Moving(mobile) => Some(mobile),
        }
    }

    fn mobile_mut(&mut self) -> Option<&mut Mobile> {
        match self {
            Self::Settled(mobile) | Self::Reaped(mobile) => mobile.as_deref_mut(),
            Self::Moving(mobile) => Some(mobile),
        }
    }

    fn into_mobile(self) -> Option<Box<Mobile>> {
        match self {
            Self::Settled(mobile) | Self::Reaped(mobile) => mobile,
            Self::Moving(mobile) => Some(mobile),
        }
    }
}

impl Remains {
    fn of(mobile: Option<Box<Mobile>>, reaped: bool) -> Self {
        let leftovers = mobile.map(|mobile| mobile.into_leftovers()).unwrap_or_default();
        Self { leftovers, reaped }
    }
}

impl Life {
    /// Of a session that was just opened or located, and cannot move yet.
    pub(super) fn new(idle_timeout: IdleTimeout, presence: Presence) -> Self {
        Self::Live(Live { idle_timeout, presence, stay: Stay::Settled(None) })
    }

    fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) => Some(live),
            Self::Expired { .. } | Self::Closed { .. } | Self::Buried(_) => None,
        }
    }

    /// If calls are made in it.
    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Live(live) => Some(live),
            Self::Expired { .. } | Self::Closed { .. } | Self::Buried(_) => None,
        }
    }

    /// How it ends if it does so now, for this reason; `None` if it has ended before.
    pub(super) fn end(&self, end: SessionEnd) -> Option<SessionEnd> {
        match self {
            Self::Live(_) => Some(end),
            Self::Expired { .. } => Some(SessionEnd::Expired),
            Self::Closed { .. } | Self::Buried(_) => None,
        }
    }

    /// How long it may be idle; none if for ever, if that is not known, or if it is not live.
    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        self.live()?.idle_timeout.get()
    }

    fn presence(&self) -> Option<&Presence> {
        match self {
            Self::Live(Live { presence, .. }) | Self::Expired { presence, .. } => Some(presence),
            Self::Closed { .. } | Self::Buried(_) => None,
        }
    }

    /// Whether it is open on its coordinator and shares links there, so that its coordinator does not see
    /// whether its client is there.
    pub(super) fn shares_links(&self) -> bool {
        self.presence().is_some_and(|presence| presence.tenancy.is_some())
    }

    /// Whether it counts as load.
    pub(super) fn is_counted(&self) -> bool {
        self.presence().is_some_and(|presence| presence.count.is_some())
    }

    /// What it needs to move, if it can. An expired one cannot, but is known by it where it is.
    pub(super) fn mobile(&self) -> Option<&Mobile> {
        match self {
            Self::Live(live) => live.stay.mobile(),
            Self::Expired { mobile, .. } => mobile.as_deref(),
            Self::Closed { .. } | Self::Buried(_) => None,
        }
    }

    /// As [`Self::mobile`], of a live one.
    pub(super) fn mobile_mut(&mut self) -> Option<&mut Mobile> {
        self.live_mut()?.stay.mobile_mut()
    }

    /// Whether it is on its way.
    pub(super) fn is_moving(&self) -> bool {
        self.live().is_some_and(|live| matches!(live.stay, Stay::Moving(_)))
    }

    /// Where it is open besides its coordinator.
    pub(super) fn leftovers(&self) -> &[Leftover] {
        match self {
            Self::Live(_) | Self::Expired { .. } => self.mobile().map_or(&[], Mobile::leftovers),
            Self::Closed { remains, .. } | Self::Buried(remains) => &remains.leftovers,
        }
    }

    /// Why no call is made in it any more.
    pub(super) fn not_live(&self) -> Option<NotLive> {
        let (idled, closed) = match self {
            Self::Live(_) => return None,
            Self::Expired { idled, .. } => (idled, false),
            Self::Closed { idled, .. } => (idled, true),
            Self::Buried(_) => return Some(NotLive::Gone),
        };
        Some(NotLive::Expired(Expired { timeout: idled.timeout, last: idled.last, closed }))
    }

    /// What it needs to move, if nothing but that could pin it.
    ///
    /// # Errors
    /// It cannot move, or is on its way.
    pub(super) fn movable(&self) -> Result<&Mobile, Pinned> {
        match self.live().map(|live| &live.stay) {
            Some(Stay::Settled(Some(mobile))) => Ok(mobile),
            Some(Stay::Moving(_)) => Err(Pinned::Moving),
            Some(Stay::Settled(None) | Stay::Reaped(_)) | None => Err(Pinned::Immovable),
        }
    }

    /// Whether the router may begin to close something of it.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_reap(&self) -> Result<(), NotReaped> {
        let (something, reaped) = match self {
            Self::Live(Live { stay: Stay::Moving(_), .. }) => return Err(NotReaped::Moving),
            Self::Live(live) => (self.shares_links(), matches!(live.stay, Stay::Reaped(_))),
            Self::Expired { reaped, .. } => (true, *reaped),
            Self::Closed { remains, .. } | Self::Buried(remains) => {
                (!remains.leftovers.is_empty(), remains.reaped)
            }
        };
        match (something, reaped) {
            (_, true) => Err(NotReaped::Already),
            (false, _) => Err(NotReaped::NothingToClose),
            (true, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
