//! What may happen to a session, each with what stands against it.

use super::{Arrival, Idled, Life, Live, Memory, NotExpired, NotMoving, NotReaped, Presence, Remains, Stay};
use crate::cluster::SessionCount;
use crate::session::table::mobile::{Leftover, Mobile, Pinned};

impl Life {
    /// It can move from now on, if it is live and settled.
    pub(in crate::session::table) fn note_movable(&mut self, mobile: Mobile) {
        if let Self::Live(Live { stay: stay @ Stay::Settled(_), .. }) = self {
            *stay = Stay::Settled(Some(Box::new(mobile)));
        }
    }

    /// It leaves its coordinator, until [`Self::arrive`] or [`Self::settle`].
    ///
    /// # Errors
    /// As [`Self::movable`].
    pub(in crate::session::table) fn depart(&mut self) -> Result<(), Pinned> {
        self.movable()?;
        let live = self.live_mut().ok_or(Pinned::Immovable)?;
        let Stay::Settled(mobile) = &mut live.stay else { return Err(Pinned::Immovable) };
        live.stay = Stay::Moving(mobile.take().ok_or(Pinned::Immovable)?);
        Ok(())
    }

    /// It is open on another coordinator, and settles there. Returns the leftovers that are forgotten.
    ///
    /// # Errors
    /// It has ended on its way.
    pub(in crate::session::table) fn arrive(
        &mut self,
        from: Leftover,
        arrival: Arrival,
    ) -> Result<Vec<Leftover>, NotMoving> {
        let Self::Live(live) = self else { return Err(NotMoving) };
        let Stay::Moving(mobile) = &mut live.stay else { return Err(NotMoving) };
        let Arrival { coordinator, handle, incarnation, count, tenancy, idle_timeout, now: _ } = arrival;
        let forgotten = mobile.arrive(from, Leftover { coordinator, handle }, incarnation);
        live.presence = Presence { tenancy, count: Some(count) };
        live.idle_timeout.moved(idle_timeout);
        self.settle();
        Ok(forgotten)
    }

    /// If it was on its way, it stays where it is now.
    pub(in crate::session::table) fn settle(&mut self) {
        if let Self::Live(live) = self
            && let Stay::Moving(_) = live.stay
        {
            let moving = std::mem::replace(&mut live.stay, Stay::Settled(None));
            live.stay = Stay::Settled(moving.into_mobile());
        }
    }

    /// It was idle for longer than it may be. Nothing changes unless it is live and settled.
    pub(in crate::session::table) fn expire(&mut self, idled: Idled) {
        *self = match self.take() {
            Self::Live(Live { presence, stay: Stay::Settled(mobile), .. }) => {
                Self::Expired { idled: Box::new(idled), presence, mobile, reaped: false }
            }
            other => other,
        };
    }

    /// The router begins to close what may be open of it, until [`Self::give_up_reaping`].
    ///
    /// # Errors
    /// As [`Self::may_reap`].
    pub(in crate::session::table) fn reap(&mut self) -> Result<(), NotReaped> {
        self.may_reap()?;
        self.set_reaped(true);
        Ok(())
    }

    /// The router does not close it any more, whatever came of that.
    pub(in crate::session::table) fn give_up_reaping(&mut self) {
        self.set_reaped(false);
    }

    fn set_reaped(&mut self, to: bool) {
        match self {
            Self::Live(live) => {
                let mobile = match &mut live.stay {
                    Stay::Settled(mobile) | Stay::Reaped(mobile) => mobile.take(),
                    Stay::Moving(_) => return,
                };
                live.stay = if to { Stay::Reaped(mobile) } else { Stay::Settled(mobile) };
            }
            Self::Expired { reaped, .. } => *reaped = to,
            Self::Closed { remains, .. } | Self::Buried(remains) => remains.reaped = to,
        }
    }

    /// It has expired, and its coordinator has closed it: it takes up nothing there any more.
    ///
    /// # Errors
    /// It has not expired, or was closed before.
    pub(in crate::session::table) fn close(&mut self) -> Result<(), NotExpired> {
        let (closed, result) = match self.take() {
            Self::Expired { idled, mobile, reaped, presence: _ } => {
                (Self::Closed { idled, remains: Remains::of(mobile, reaped) }, Ok(()))
            }
            other => (other, Err(NotExpired)),
        };
        *self = closed;
        result
    }

    /// It is gone where it was last.
    pub(in crate::session::table) fn bury(&mut self) -> Memory {
        let remains = match self.take() {
            Self::Live(live) => {
                let reaped = matches!(live.stay, Stay::Reaped(_));
                Remains::of(live.stay.into_mobile(), reaped)
            }
            Self::Expired { mobile, reaped, .. } => Remains::of(mobile, reaped),
            Self::Closed { remains, .. } | Self::Buried(remains) => remains,
        };
        let memory = if remains.leftovers.is_empty() { Memory::Forget } else { Memory::Keep };
        *self = Self::Buried(remains);
        memory
    }

    /// A leftover was closed.
    pub(in crate::session::table) fn note_leftover_closed(&mut self, leftover: &Leftover) -> Memory {
        match self {
            Self::Live(live) => {
                if let Some(mobile) = live.stay.mobile_mut() {
                    mobile.note_closed(leftover);
                }
            }
            Self::Expired { mobile, .. } => {
                if let Some(mobile) = mobile {
                    mobile.note_closed(leftover);
                }
            }
            Self::Closed { remains, .. } => remains.leftovers.retain(|known| known != leftover),
            Self::Buried(remains) => {
                remains.leftovers.retain(|known| known != leftover);
                if remains.leftovers.is_empty() {
                    return Memory::Forget;
                }
            }
        }
        Memory::Keep
    }

    /// Its coordinator's process seems to have ended: it counts no more. Whether it did.
    pub(in crate::session::table) fn discount(&mut self) -> bool {
        match self {
            Self::Live(Live { presence, .. }) | Self::Expired { presence, .. } => {
                presence.count.take().is_some()
            }
            Self::Closed { .. } | Self::Buried(_) => false,
        }
    }

    /// It is live after all, and counts again; whether it is live.
    pub(in crate::session::table) fn count_again(&mut self, count: impl FnOnce() -> SessionCount) -> bool {
        let Some(live) = self.live_mut() else { return false };
        live.presence.count.get_or_insert_with(count);
        true
    }

    /// Leaves nothing in its place for the moment.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Buried(Remains::default()))
    }
}
