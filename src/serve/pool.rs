//! The links to one port of a coordinator, counted before they are dialed, and who waits for one. What has room is decided
//! in [`crate::cluster::room`]; here it is done, under one short lock a port.
//!
//! Whoever has a link, or may dial one, has a [`Seat`]. When a seat ends or a link is put back, those who wait are called
//! at once, so nobody who comes later can be faster.

mod lobby;
mod next;
mod seat;
mod unanswered;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime;
use tokio::sync::oneshot;

pub(super) use lobby::Lobby;
use seat::here;
pub(super) use seat::{Grant, Made, Seat};
use unanswered::AllUnanswered;
pub(super) use unanswered::{BrokenOff, Patience, Unanswered};

use super::link::Link;
use crate::clock;
use crate::cluster::Coordinator;
use crate::cluster::lineage::{Breaks, Lineage};
use crate::cluster::room::{
    Claim, Holder, Kind, Limits, OwnLinks, PortFigures, Purpose, Room, RoomView, Tenancy,
};
use crate::cluster::turns::{QueueFull, Ticket, Turn, Turns};
use crate::ids::{ClientAddress, CoordinatorId, Identity, Service};
use crate::net::stream::{Seen, Stream};

/// One port of a coordinator.
#[derive(Debug)]
pub(super) struct Pool<S: Stream> {
    /// Whose port it is.
    pub coordinator: Arc<Coordinator>,
    /// Which port.
    pub service: Service,
    /// Whether idle links wait here for the next call of their identity; else each is its connection's.
    pub shares: bool,
    state: Mutex<State<S>>,
    lobby: Arc<Lobby<S>>,
}

#[derive(Debug)]
struct State<S: Stream> {
    room: Room<Idle<S>>,
    lineage: Lineage,
    /// Connections that give way to those who wait.
    unanswered: AllUnanswered,
    /// Calls that wait for a link here.
    relief: Turns<Waiter<S>>,
    work: Turns<Waiter<S>>,
    /// Calls and new sessions take turns: whether a session is next.
    session_next: bool,
    /// Whether the last one who was called is to cancel or close something.
    relief_was_next: bool,
    /// Whether no more links are kept.
    closed: bool,
    /// The time when it was last looked after: to ask the clock for each call would be too much.
    now: Instant,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter<S: Stream> {
    /// Whom the link is for.
    pub identity: Identity,
    /// Whose share it uses, if nobody has proven anything.
    pub unproven: Option<ClientAddress>,
    /// Which link will do.
    pub kind: Kind,
    /// Coordinators that it has tried.
    pub tried: Vec<CoordinatorId>,
    /// Where it is called; dropped if it gives way to another.
    pub called: oneshot::Sender<Grant<S>>,
}

impl<S: Stream> Waiter<S> {
    fn holder(&self) -> Holder<'_> {
        Holder { identity: &self.identity, unproven: self.unproven }
    }
}

/// A link that no call uses; its seat is over.
type Idle<S> = Box<Link<S>>;

/// A place in the line, and what tells that it is one's turn.
pub(super) type Joined<S> = (Ticket, oneshot::Receiver<Grant<S>>);

impl<S: Stream> Pool<S> {
    /// A port without links.
    pub(super) fn new(
        place: (&Arc<Coordinator>, Service),
        limits: Limits,
        (shares, queue_length): (bool, usize),
        lobby: &Arc<Lobby<S>>,
    ) -> Self {
        let state = State {
            room: Room::new(limits),
            lineage: Lineage::default(),
            unanswered: AllUnanswered::default(),
            relief: Turns::new(queue_length),
            work: Turns::new(queue_length),
            session_next: false,
            relief_was_next: false,
            closed: false,
            now: clock::now(),
        };
        Self {
            coordinator: Arc::clone(place.0),
            service: place.1,
            shares,
            state: Mutex::new(state),
            lobby: Arc::clone(lobby),
        }
    }

    /// Whether a claim would get something.
    pub(super) fn has_room(&self, holder: Holder<'_>, kind: Kind) -> bool {
        self.state.lock().room.has_room(holder, Purpose::Work, kind)
    }

    /// Whether a claim would get nothing only because the address that it is for uses its share.
    pub(super) fn has_room_for_others(&self, holder: Holder<'_>, kind: Kind) -> bool {
        let proven = Holder::ourselves(holder.identity);
        self.has_room(proven, kind) && !self.has_room(holder, kind)
    }

    /// What its room looks like.
    pub(super) fn view(&self) -> RoomView {
        self.state.lock().room.view()
    }

    /// How many calls wait for a link here.
    pub(super) fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.relief.len() + state.work.len()
    }

    /// What of a poll's figures would be ours now.
    pub(super) fn own(&self) -> OwnLinks {
        self.state.lock().room.own()
    }

    /// A link, or a seat to dial one; `None` if there is no room.
    pub(super) fn claim(
        self: &Arc<Self>,
        holder: Holder<'_>,
        purpose: Purpose,
        kind: Kind,
    ) -> Option<Grant<S>> {
        let here = here();
        let (grant, closed) = self.claim_in(&mut self.state.lock(), (holder, here), purpose, kind)?;
        drop(closed);
        Some(grant.settle(here))
    }

    fn claim_in(
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
                (link.seat.purpose, link.seat.unproven, link.seat.over) = (purpose, unproven, false);
                (Grant::Link(link), Vec::new())
            }
            Claim::Dial { closed } => {
                state.note_ended(&closed);
                let (pool, identity) = (Arc::clone(self), holder.identity.clone());
                let (birth, broke, settled, over) = (None, false, false, false);
                let seat = Seat { pool, identity, unproven, purpose, birth, broke, settled, over };
                (Grant::Seat(seat), closed)
            }
        })
    }

    /// As [`Self::claim`]; if there is no room, the receiver is told when there is.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub(super) fn claim_or_join(
        self: &Arc<Self>,
        (holder, turn): (Holder<'_>, &Turn),
        purpose: Purpose,
    ) -> Result<Result<Grant<S>, Joined<S>>, QueueFull> {
        let here = here();
        let mut state = self.state.lock();
        if let Some((grant, closed)) = self.claim_in(&mut state, (holder, here), purpose, Kind::Any) {
            drop(state);
            drop(closed);
            return Ok(Ok(grant.settle(here)));
        }
        let (called, call) = oneshot::channel();
        let Holder { identity, unproven } = holder;
        let (identity, tried) = (identity.clone(), Vec::new());
        let waiter = Waiter { identity, unproven, kind: Kind::Any, tried, called };
        let (ticket, displaced) = state.line(purpose).join(turn, waiter)?;
        drop(state);
        drop(displaced);
        self.make_room();
        Ok(Err((ticket, call)))
    }

    /// One who waited for a link here waits no more.
    pub(super) fn leave(&self, turn: &Turn, purpose: Purpose, ticket: Ticket) {
        let left = self.state.lock().line(purpose).leave(turn, ticket);
        drop(left);
    }

    /// A link on which nothing is under way may serve the next call of its identity.
    pub(super) fn put(self: &Arc<Self>, mut link: Box<Link<S>>) {
        let mut state = self.state.lock();
        if state.closed || link.made.is_over(state.now) || link.made.is_left_behind(&self.coordinator) {
            // The seat locks by itself.
            drop(state);
            return;
        }
        link.seat.over = true;
        if !std::mem::replace(&mut link.seat.settled, true) {
            state.room.settle();
        }
        let (identity, purpose) = (link.seat.identity.clone(), link.seat.purpose);
        let unproven = link.seat.unproven.take();
        state.room.put(Holder { identity: &identity, unproven }, purpose, link);
        self.call_next(state);
    }

    /// Closes idle links, now and later: they keep their pool, and it keeps them.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let now = state.now;
        let idle = state.room.retire(now, |_| true);
        drop(state);
        drop(idle);
    }

    /// Counts a session of an identity: its links are kept while there is one.
    pub(super) fn begin_session(&self, identity: &Identity) -> Tenancy {
        self.state.lock().room.begin_session(identity)
    }

    /// Takes in what a poll says of the port; `before` is what was ours when it began.
    pub(super) fn note_polled(self: &Arc<Self>, polled: PortFigures, before: OwnLinks) {
        let mut state = self.state.lock();
        let own = before.at_most(state.room.own());
        let closed = state.room.note_polled(polled, own);
        state.note_ended(&closed);
        self.call_next(state);
        drop(closed);
    }

    /// What polls said is known no more.
    pub(super) fn forget_others(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.room.forget_others();
        self.call_next(state);
    }

    /// Closes idle links that are of no use any more, and calls who may have room in their place or because its coordinator
    /// is fit again. Meant for once a second.
    pub(super) fn look_after(self: &Arc<Self>, now: Instant) {
        let mut state = self.state.lock();
        state.now = now;
        let retired = state.room.retire(now, |idle| {
            let made = idle.made;
            made.is_over(now)
                || made.is_left_behind(&self.coordinator)
                || idle.stream.glance() != Seen::Nothing
        });
        state.note_ended(&retired);
        self.call_next(state);
        drop(retired);
        self.make_room();
    }

    /// Whether all links that were there at a moment have broken since. Of links that are not shared others may be broken, too,
    /// without anybody having looked: of those it is not known.
    pub(super) fn all_broke_since(self: &Arc<Self>, moment: Instant) -> bool {
        let mut state = self.state.lock();
        let now = state.now;
        let broken = state.room.retire(now, |idle| idle.stream.look() != Seen::Nothing);
        state.note_ended(&broken);
        let all = self.shares && state.lineage.all_broke_since(moment);
        self.call_next(state);
        all
    }

    /// Of which times no link is left.
    pub(super) fn breaks(&self) -> Breaks {
        self.state.lock().lineage.breaks()
    }

    /// The same if there is one more since this was asked last.
    pub(super) fn news_of_breaks(&self) -> Option<Breaks> {
        self.state.lock().lineage.news()
    }
}

impl<S: Stream> State<S> {
    /// These links are about to be closed, or are closed already.
    fn note_ended(&mut self, links: &[Idle<S>]) {
        for link in links {
            self.lineage.end(link.made.birth, link.stream.look() != Seen::Nothing);
        }
    }

    fn line(&mut self, purpose: Purpose) -> &mut Turns<Waiter<S>> {
        match purpose {
            Purpose::Work => &mut self.work,
            Purpose::Relief => &mut self.relief,
        }
    }
}
