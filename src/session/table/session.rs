//! A session's entry in the table.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admission::Admission;
use super::life::{Arrival, Idled, Life, Memory, NotExpired, NotMoving, NotReaped, Presence};
use super::mobile::{Cause, Leftover, Mobile, Pinned};
use super::secret::{Secret, same};
use crate::cluster::room::Tenancy;
use crate::cluster::{Coordinator, SessionCount};
use crate::ids::{Access, CoordinatorId, Identity, Service};
use crate::session::activity::Activity;
use crate::session::idle::IdleTimeout;
use crate::wire::facts::{Guid, Handle};

/// How long after its last call a session that is not live is remembered at most, also if a connection is
/// still attached: long enough for a client that comes back the next day.
pub(super) const NOT_LIVE_KEPT: Duration = Duration::from_hours(36);

/// A session that was just opened or located.
#[derive(Debug)]
pub struct NewSession {
    /// What identifies it.
    pub guid: Guid,
    /// None for a Beeswax session.
    pub secret: Option<Secret>,
    /// Its owner.
    pub coordinator: CoordinatorId,
    /// Whose it is.
    pub access: Access,
    /// Counts it as load until it is closed.
    pub count: SessionCount,
    /// Whose session it is, if its calls share links: those are kept until it is closed.
    pub tenancy: Option<Tenancy>,
    /// How long it may be idle.
    pub idle_timeout: IdleTimeout,
    /// The present moment.
    pub now: Instant,
}

/// Where a connection came from, and to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub client: IpAddr,
    /// The listener's name.
    pub listener: Arc<str>,
}

/// Where a session is open, for calls of the router's own about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its handle there.
    pub handle: Handle,
    /// Where.
    pub coordinator: CoordinatorId,
    /// The links on which it can be called.
    pub access: Access,
}

/// In place an entry has what a look-up reads, the rest is behind a box.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) coordinator: CoordinatorId,
    /// None for a Beeswax session, which has no handle.
    pub(super) secret: Option<Secret>,
    pub(super) usage: Box<Usage>,
}

/// What a session is used for.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) attachment: Attachment,
    /// Open ones. A set: a session may have tens of thousands, and each is looked up when it is closed.
    pub(super) operations: HashSet<Guid>,
    pub(super) access: Access,
    pub(super) activity: Arc<Activity>,
    /// None for one that was not opened by its handle's first client here.
    pub(super) admission: Option<Admission>,
    /// Where the connection came from that began to use it last.
    pub(super) origin: Option<Arc<Origin>>,
    pub(super) life: Life,
}

/// Connections that used a session and are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    /// So many.
    Attached(NonZeroU32),
    /// None. Holds when that was first seen, if it was.
    Detached(Option<Instant>),
}

impl Attachment {
    /// One more; there may be as many as there are.
    pub(super) fn attach(&mut self) {
        *self = Self::Attached(match self {
            Self::Attached(connections) => connections.saturating_add(1),
            Self::Detached(_) => NonZeroU32::MIN,
        });
    }

    /// One less; if there was none, nothing changes.
    pub(super) fn detach(&mut self) {
        if let Self::Attached(connections) = self {
            *self = NonZeroU32::new(connections.get() - 1).map_or(Self::Detached(None), Self::Attached);
        }
    }

    /// Since when no connection is attached. That time begins with the first call of this that finds none;
    /// none while one is attached.
    pub(super) fn see_detached(&mut self, now: Instant) -> Option<Instant> {
        match self {
            Self::Attached(_) => None,
            Self::Detached(since) => Some(*since.get_or_insert(now)),
        }
    }

    /// Whether none has been attached for as long as `grace`, as far as that was seen.
    fn is_abandoned(self, now: Instant, grace: Duration) -> bool {
        match self {
            Self::Detached(Some(since)) => now.saturating_duration_since(since) >= grace,
            Self::Attached(_) | Self::Detached(None) => false,
        }
    }
}

impl Session {
    /// With nothing attached to it.
    pub(super) fn new(new: NewSession, activity: Activity) -> Self {
        let NewSession { guid: _, secret, coordinator, access, count, tenancy, idle_timeout, now: _ } = new;
        let usage = Usage {
            attachment: Attachment::Detached(None),
            operations: HashSet::new(),
            access,
            activity: Arc::new(activity),
            admission: None,
            origin: None,
            life: Life::new(idle_timeout, Presence { tenancy, count: Some(count) }),
        };
        Self { coordinator, secret, usage: Box::new(usage) }
    }

    /// Whether this is the session with this activity, and not another that has its guid since.
    pub(super) fn is(&self, activity: &Arc<Activity>) -> bool {
        Arc::ptr_eq(&self.usage.activity, activity)
    }

    /// What it needs to move, for somebody who names it by its handle and has its identity.
    pub(super) fn mobile_of(&self, handle: &Handle, identity: &Identity) -> Option<&Mobile> {
        let mobile = self.usage.life.mobile()?;
        (same(self.secret.as_ref(), &handle.secret) && self.is_of(identity)).then_some(mobile)
    }

    /// Whether it was opened under this identity.
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        self.usage.access.identity == *identity
    }

    /// Its handle where it is: its client's until it moves. None for Beeswax.
    fn handle(&self, guid: &Guid) -> Option<Handle> {
        let known_as = self.usage.life.mobile().and_then(Mobile::known_as);
        Some(known_as.unwrap_or(Handle { guid: *guid, secret: self.secret? }))
    }

    /// Where it is, if it is open there and shares its links.
    pub(super) fn target(&self, guid: &Guid) -> Option<Target> {
        let handle = self.handle(guid).filter(|_| self.usage.life.shares_links())?;
        Some(Target { handle, coordinator: self.coordinator, access: self.usage.access.on_links() })
    }

    /// Where it is and where it was, as far as it may be open there.
    pub(super) fn targets(&self, guid: &Guid) -> Vec<Target> {
        let leftovers = self.usage.life.leftovers().iter().map(|leftover| Target {
            handle: leftover.handle,
            coordinator: leftover.coordinator,
            access: self.usage.access.on_links(),
        });
        self.target(guid).into_iter().chain(leftovers).collect()
    }

    /// The request that opens it again, if it may go.
    ///
    /// # Errors
    /// What pins it.
    pub(super) fn may_leave(&self, cause: Cause) -> Result<&[u8], Pinned> {
        let mobile = self.usage.life.movable()?;
        let request = mobile.request()?;
        if let Cause::Leaves { now, cooldown } = cause {
            if !self.usage.operations.is_empty() {
                return Err(Pinned::OpenOperation);
            }
            if self.usage.activity.is_held() {
                return Err(Pinned::CallInFlight);
            }
            if mobile.has_changed_data(now, cooldown) {
                return Err(Pinned::ChangedData);
            }
        }
        Ok(request)
    }

    /// Leaves the coordinator `from`, on a connection of this identity; the request that opens it again.
    ///
    /// # Errors
    /// What pins it.
    pub(super) fn depart(
        &mut self,
        identity: &Identity,
        from: CoordinatorId,
        cause: Cause,
    ) -> Result<Box<[u8]>, Pinned> {
        if self.coordinator != from {
            return Err(Pinned::Moved);
        }
        let request = self.may_leave(cause)?.into();
        if self.usage.life.mobile().is_none() || !self.is_of(identity) {
            return Err(Pinned::Immovable);
        }
        self.usage.life.depart()?;
        Ok(request)
    }

    /// Settles on another coordinator. Returns the leftovers that are forgotten.
    ///
    /// # Errors
    /// It has ended on its way.
    pub(super) fn arrive(&mut self, guid: &Guid, arrival: Arrival) -> Result<Vec<Leftover>, NotMoving> {
        let handle = self.handle(guid).ok_or(NotMoving)?;
        let from = Leftover { coordinator: self.coordinator, handle };
        let (coordinator, now) = (arrival.coordinator, arrival.now);
        let forgotten = self.usage.life.arrive(from, arrival)?;
        self.coordinator = coordinator;
        self.usage.activity.note_answered(now);
        self.note_counted();
        Ok(forgotten)
    }

    /// Whether [`Self::reap`] would begin.
    pub(super) fn is_to_reap(&self, now: Instant, grace: Duration) -> bool {
        let usage = &self.usage;
        let is_over = |timeout| usage.activity.idle(now) >= timeout;
        let is_unwanted =
            || usage.attachment.is_abandoned(now, grace) || usage.life.idle_timeout().is_some_and(is_over);
        usage.life.may_reap().is_ok() && (usage.life.not_live().is_some() || is_unwanted())
    }

    /// The router begins to close it. No call begins any more in one that was idle for too long.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn reap(&mut self, now: Instant, grace: Duration) -> Result<(), NotReaped> {
        let usage = &mut *self.usage;
        usage.life.may_reap()?;
        if usage.life.not_live().is_none() {
            let timeout = usage.life.idle_timeout();
            if let Some(timeout) = timeout.filter(|timeout| usage.activity.expire(now, *timeout)) {
                usage.life.expire(Idled { timeout, last: usage.activity.last() });
            } else if !usage.attachment.is_abandoned(now, grace) {
                return Err(NotReaped::Wanted);
            }
        }
        usage.life.reap()
    }

    /// Its coordinator has closed it, after it had expired.
    ///
    /// # Errors
    /// It has not expired, or was closed before.
    pub(super) fn close(&mut self) -> Result<(), NotExpired> {
        self.usage.life.close()?;
        self.note_counted();
        Ok(())
    }

    /// It is gone where it was last. No call begins any more.
    pub(super) fn bury(&mut self) -> Memory {
        let memory = self.usage.life.bury();
        if memory == Memory::Keep {
            self.usage.activity.close();
            self.note_counted();
        }
        memory
    }

    /// It counts no more, if its coordinator's process has ended since it was last answered; whether that is
    /// so. Beeswax sessions end with their links.
    pub(super) fn end_with_process(&mut self, is_gone: impl Fn(Service, Instant) -> bool) -> bool {
        let ended = self.secret.is_some()
            && self.usage.life.is_counted()
            && is_gone(self.usage.access.hs2(), self.usage.activity.answered())
            && self.usage.life.discount();
        if ended {
            self.note_counted();
        }
        ended
    }

    /// This coordinator, its own, answered for it: it counts again, unless it is not live.
    pub(super) fn count_again(&mut self, coordinator: &Arc<Coordinator>) {
        if self.coordinator == coordinator.id && self.usage.life.count_again(|| coordinator.count_session()) {
            self.note_counted();
        }
    }

    /// Tells those who use it whether it counts as load.
    fn note_counted(&self) {
        self.usage.activity.note_counted(self.usage.life.is_counted());
    }

    /// Whether it is not live, and its client has had the time to hear why.
    pub(super) fn is_past(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.usage.activity.last());
        self.usage.life.not_live().is_some() && since >= NOT_LIVE_KEPT
    }
}
