//! The links to one port of a coordinator, counted before they are dialed, and who waits for one. What has room is decided
//! in [`crate::cluster::room`]; here it is done, under one short lock a port.
//!
//! Whoever has a link, or may dial one, has a [`Slot`]. When a slot ends or a link is put back, those who wait are called
//! at once, so nobody who comes later can be faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot};

use crate::clock;
use crate::cluster::lineage::{Breaks, Lineage};
use crate::cluster::room::{Claim, Holder, Kind, OwnLinks, PortFigures, Purpose, Room, RoomView, Tenancy};
use crate::cluster::turns::{QueueFull, Ticket, Turn, Turns};
use crate::cluster::{Coordinator, Flavor};
use crate::ids::{Access, Service};
use crate::metrics::CoordinatorMetrics;
use crate::net::host::Host;
use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::session_queue::{SessionQueue, Waiter};
use crate::serve::link::slot::{Grant, Slot, here};
use crate::serve::link::unanswered::AllUnanswered;
use crate::serve::link::watch::Watch;
use crate::serve::message::link_end::Look;
use crate::serve::settings::RoomSettings;

/// One port of a coordinator.
#[derive(Debug)]
pub(crate) struct Port<S: Stream> {
    /// Whose port it is.
    pub coordinator: Arc<Coordinator>,
    /// Which port.
    pub service: Service,
    /// Whether idle links wait here for the next call of their identity; else each is its connection's.
    pub shares: bool,
    /// What its coordinator can do.
    pub flavor: Flavor,
    /// Where its coordinator is, for all who dial it.
    pub host: Host,
    /// What is counted for its coordinator.
    pub counters: CoordinatorMetrics,
    /// The watch over it.
    pub watch: Watch,
    /// Permits one dial that is made because a client was silent: two handshakes that nobody goes on with block a secured
    /// impalad's port (Impala: `accepted_cnxn_setup_thread_pool_size`).
    pub parked: Arc<Semaphore>,
    pub(super) state: Mutex<State<S>>,
    pub(super) session_queue: Arc<SessionQueue<Grant<S>>>,
    /// Connections that give way to those who wait.
    pub unanswered: Arc<AllUnanswered>,
    /// Whether its coordinator is gone, so that no link is kept or made any more; set under the lock of
    /// `state`.
    closed: AtomicBool,
}

#[derive(Debug)]
pub(super) struct State<S: Stream> {
    pub(super) room: Room<Idle<S>>,
    pub(super) lineage: Lineage,
    /// Calls that wait for a link here.
    pub(super) relief: Turns<Waiter<Grant<S>>>,
    pub(super) work: Turns<Waiter<Grant<S>>>,
    /// Calls and new sessions take turns: whether a session is next.
    pub(super) session_next: bool,
    /// Whether the last one who was called is to cancel or close something.
    pub(super) relief_was_next: bool,
    /// The time when it was last looked after: to ask the clock for each call would be too much.
    pub(super) now: Instant,
}

/// A link that no call uses; its slot is over.
pub(super) type Idle<S> = Box<Link<S>>;

/// A place in the line, and what tells that it is one's turn.
pub(crate) type Joined<S> = (Ticket, oneshot::Receiver<Grant<S>>);

/// What a port is made of.
#[derive(Clone, Copy)]
pub(crate) struct PortPlan<'a> {
    pub coordinator: &'a Arc<Coordinator>,
    pub flavor: Flavor,
    pub host: &'a Host,
    pub counters: &'a CoordinatorMetrics,
    pub room: &'a RoomSettings,
}

impl<S: Stream> Port<S> {
    /// A port without links.
    pub(crate) fn new(
        plan: PortPlan<'_>,
        service: Service,
        session_queue: &Arc<SessionQueue<Grant<S>>>,
    ) -> Self {
        let PortPlan { coordinator, flavor, host, counters, room } = plan;
        let queue_length = room.queue_length;
        let state = State {
            room: Room::new(room.limits),
            lineage: Lineage::default(),
            relief: Turns::new(queue_length),
            work: Turns::new(queue_length),
            session_next: false,
            relief_was_next: false,
            now: clock::now(),
        };
        Self {
            coordinator: Arc::clone(coordinator),
            service,
            shares: room.upkeep.is_some() && service == Service::Hs2,
            flavor,
            host: host.clone(),
            counters: counters.clone(),
            watch: Watch::default(),
            parked: Arc::new(Semaphore::new(1)),
            state: Mutex::new(state),
            session_queue: Arc::clone(session_queue),
            unanswered: Arc::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether its coordinator is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether a claim would get something.
    pub(crate) fn has_room(&self, holder: Holder<'_>, kind: Kind) -> bool {
        self.state.lock().room.has_room(holder, Purpose::Work, kind)
    }

    /// Whether a claim would get nothing only because the address that it is for uses its share.
    pub(crate) fn has_room_for_others(&self, holder: Holder<'_>, kind: Kind) -> bool {
        let proven = Holder::ourselves(holder.access);
        self.has_room(proven, kind) && !self.has_room(holder, kind)
    }

    /// What its room looks like.
    pub(crate) fn view(&self) -> RoomView {
        self.state.lock().room.view()
    }

    /// How many calls wait for a link here.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.relief.len() + state.work.len()
    }

    /// What of a poll's figures would be ours now.
    pub(crate) fn own(&self) -> OwnLinks {
        self.state.lock().room.own()
    }

    /// A link, or a slot to dial one; `None` if there is no room.
    pub(crate) fn claim(
        self: &Arc<Self>,
        holder: Holder<'_>,
        purpose: Purpose,
        kind: Kind,
    ) -> Option<Grant<S>> {
        let here = here();
        let (grant, closed) = self.claim_in(&mut self.state.lock(), (holder, here), purpose, kind)?;
        drop(closed);
        Some(grant.rehome(here))
    }

    pub(super) fn claim_in(
        self: &Arc<Self>,
        state: &mut State<S>,
        (holder, here): (Holder<'_>, Option<runtime::Id>),
        purpose: Purpose,
        kind: Kind,
    ) -> Option<(Grant<S>, Vec<Idle<S>>)> {
        let claim = state.room.claim(holder, purpose, kind, |idle: &Idle<S>| idle.made.runtime == here)?;
        let unproven = holder.unproven;
        Some(match claim {
            Claim::Link(mut link) => {
                (link.slot.purpose, link.slot.unproven, link.slot.over) = (purpose, unproven, false);
                (Grant::Link(link), Vec::new())
            }
            Claim::Dial { mut closed } => {
                state.note_ended(&mut closed);
                let (port, access) = (Arc::clone(self), holder.access.clone());
                let (birth, broke, answered, over) = (None, false, false, false);
                let slot = Slot { port, access, unproven, purpose, birth, broke, answered, over };
                (Grant::Slot(slot), closed)
            }
        })
    }

    /// As [`Self::claim`]; if there is no room, the receiver is told when there is.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub(crate) fn claim_or_join(
        self: &Arc<Self>,
        (holder, turn): (Holder<'_>, &Turn),
        purpose: Purpose,
    ) -> Result<Result<Grant<S>, Joined<S>>, QueueFull> {
        let here = here();
        let mut state = self.state.lock();
        if self.is_closed() {
            // Nothing comes free here any more.
            return Err(QueueFull { length: self.session_queue.length });
        }
        if let Some((grant, closed)) = self.claim_in(&mut state, (holder, here), purpose, Kind::Any) {
            drop(state);
            drop(closed);
            return Ok(Ok(grant.rehome(here)));
        }
        let (called, call) = oneshot::channel();
        let Holder { access, unproven } = holder;
        let (access, tried) = (access.clone(), Vec::new());
        let waiter = Waiter { access, unproven, kind: Kind::Any, tried, called };
        let (ticket, displaced) = state.line(purpose).join(turn, waiter)?;
        drop(state);
        drop(displaced);
        self.make_room();
        Ok(Err((ticket, call)))
    }

    /// One who waited for a link here waits no more.
    pub(crate) fn leave(&self, turn: &Turn, purpose: Purpose, ticket: Ticket) {
        let left = self.state.lock().line(purpose).leave(turn, ticket);
        drop(left);
    }

    /// A link on which nothing is under way may serve the next call of its identity.
    pub(crate) fn put(self: &Arc<Self>, mut link: Box<Link<S>>) {
        let mut state = self.state.lock();
        if self.is_closed() || link.made.is_over(state.now) || link.made.is_left_behind(&self.coordinator) {
            // The slot locks by itself.
            drop(state);
            return;
        }
        link.slot.over = true;
        if !std::mem::replace(&mut link.slot.answered, true) {
            state.room.note_answered();
        }
        let (access, purpose) = (link.slot.access.clone(), link.slot.purpose);
        let unproven = link.slot.unproven.take();
        state.room.put(Holder { access: &access, unproven }, purpose, link);
        self.call_next(state);
    }

    /// Closes idle links, now and later: they keep their port, and it keeps them. Whoever waits here,
    /// for a link or an answer, waits no more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        self.closed.store(true, Ordering::Relaxed);
        let now = state.now;
        let idle = state.room.retire(now, |_| true);
        let mut waiting = Vec::new();
        for line in [Purpose::Relief, Purpose::Work] {
            waiting.extend(std::iter::from_fn(|| state.line(line).next(|_| true)));
        }
        drop(state);
        drop((idle, waiting));
        self.unanswered.all_give_way();
        self.watch.tell_removed();
    }

    /// Counts a session of an identity: its links are kept while there is one.
    pub(crate) fn begin_session(&self, access: &Access) -> Tenancy {
        self.state.lock().room.begin_session(access)
    }

    /// Takes in what a poll says of the port; `before` is what was ours when it began.
    pub(crate) fn note_polled(self: &Arc<Self>, polled: PortFigures, before: OwnLinks) {
        let mut state = self.state.lock();
        let own = before.at_most(state.room.own());
        let mut closed = state.room.note_polled(polled, own);
        state.note_ended(&mut closed);
        self.call_next(state);
        drop(closed);
    }

    /// What polls said is known no more.
    pub(crate) fn forget_others(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.room.forget_others();
        self.call_next(state);
    }

    /// Closes idle links that are of no use any more, and calls who may have room in their place or because its coordinator
    /// is fit again. Meant for once a second.
    pub(crate) fn look_after(self: &Arc<Self>, now: Instant) {
        let mut state = self.state.lock();
        state.now = now;
        let mut retired = state.room.retire(now, |idle| {
            let made = idle.made;
            made.is_over(now) || made.is_left_behind(&self.coordinator) || !idle.end.is_clean(Look::Briefly)
        });
        state.note_ended(&mut retired);
        self.call_next(state);
        drop(retired);
        self.make_room();
    }

    /// Whether all links that were there at a moment have broken since. Of links that are not shared others may be broken, too,
    /// without anybody having looked: of those it is not known.
    pub(crate) fn all_broke_since(self: &Arc<Self>, moment: Instant) -> bool {
        let mut state = self.state.lock();
        let now = state.now;
        let mut broken = state.room.retire(now, |idle| !idle.end.is_clean(Look::Closely));
        state.note_ended(&mut broken);
        let all = self.shares && state.lineage.all_broke_since(moment);
        self.call_next(state);
        all
    }

    /// Of which times no link is left.
    pub(crate) fn breaks(&self) -> Breaks {
        self.state.lock().lineage.breaks()
    }

    /// The same if there is one more since this was asked last.
    pub(crate) fn news_of_breaks(&self) -> Option<Breaks> {
        self.state.lock().lineage.news()
    }
}

impl<S: Stream> State<S> {
    /// These links are about to be closed, or are closed already.
    fn note_ended(&mut self, links: &mut [Idle<S>]) {
        for link in links {
            self.lineage.end(link.made.birth, !link.end.is_clean(Look::Closely));
        }
    }

    fn line(&mut self, purpose: Purpose) -> &mut Turns<Waiter<Grant<S>>> {
        match purpose {
            Purpose::Work => &mut self.work,
            Purpose::Relief => &mut self.relief,
        }
    }
}
