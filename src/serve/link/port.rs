//! One port of a coordinator: its links, which are counted before they are dialed, and the calls that wait
//! for one. [`crate::cluster::room`] decides what has room; the port does it, under one short lock.
//!
//! Every link, and every right to dial one, is counted by a [`Slot`]. When a slot ends or a link is put back,
//! waiters are served at once, so that no later call can overtake them.

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
use crate::ids::{Access, ClientAddress, Service};
use crate::metrics::CoordinatorMetrics;
use crate::net::dial::Destination;
use crate::net::host::Host;
use crate::net::stream::Stream;
use crate::net::tls::client::CoordinatorTls;
use crate::serve::link::Link;
use crate::serve::link::session_queue::{SeenWaiter, SessionQueue, Waiter};
use crate::serve::link::slot::{Grant, Slot, here};
use crate::serve::link::unanswered::AllUnanswered;
use crate::serve::link::watch::Watch;
use crate::serve::message::http::cookies::Cookies;
use crate::serve::message::link_end::Look;
use crate::serve::settings::{RoomSettings, TlsPlan};

/// One port of a coordinator, with its links and those that wait for one.
#[derive(Debug)]
pub(crate) struct Port<S: Stream> {
    /// The coordinator that the port belongs to.
    pub coordinator: Arc<Coordinator>,
    /// The service that the port offers.
    pub service: Service,
    /// Whether idle links are kept here for the next call of their identity. If not, each link belongs to one
    /// client connection.
    pub shares: bool,
    /// What the coordinator can do.
    pub flavor: Flavor,
    /// The coordinator's address, shared by everything that dials it.
    pub host: Host,
    /// TLS on the port; `None` if links are in the clear.
    pub tls: Option<Arc<CoordinatorTls>>,
    /// The coordinator's metrics.
    pub counters: Arc<CoordinatorMetrics>,
    /// Tells those that wait for answers on this port whether it still answers.
    pub watch: Watch,
    /// Permits one dial at a time on behalf of a silent client: two unfinished handshakes block the port of a
    /// secured impalad (Impala: `accepted_cnxn_setup_thread_pool_size`).
    pub parked: Arc<Semaphore>,
    /// What the coordinator has given clients that show it credentials over HTTP.
    pub cookies: Arc<Cookies>,
    pub(super) state: Mutex<State<S>>,
    pub(super) session_queue: Arc<SessionQueue<Grant<S>>>,
    /// Connections that the coordinator has not answered yet. They give way to waiters.
    pub unanswered: Arc<AllUnanswered>,
    /// Whether the coordinator was removed, so that links are neither kept nor made any more. Set under the
    /// lock of `state`.
    closed: AtomicBool,
}

#[derive(Debug)]
pub(super) struct State<S: Stream> {
    pub(super) room: Room<Idle<S>>,
    pub(super) lineage: Lineage,
    /// Cancels and closes that wait for a link to this port. Other calls wait in `work`.
    pub(super) relief: Turns<Waiter<Grant<S>>>,
    pub(super) work: Turns<Waiter<Grant<S>>>,
    /// Whether a new session is served before a call. They take turns.
    pub(super) session_next: bool,
    /// Whether the waiter served last was a cancel or a close.
    pub(super) relief_was_next: bool,
    /// The time of the last [`Port::look_after`]. Reading the clock for each call would cost too much.
    pub(super) now: Instant,
}

/// A link that no call uses; its slot no longer counts it as in use.
pub(super) type Idle<S> = Box<Link<S>>;

/// A place in a queue, and the channel by which the waiter is served.
pub(crate) type Joined<S> = (Ticket, oneshot::Receiver<Grant<S>>);

/// A call that claims a link to a port, and may wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Claimant<'a> {
    /// The client that the link's slot is counted for.
    pub holder: Holder<'a>,
    /// Where the client is; none if the router claims it for itself.
    pub client: Option<ClientAddress>,
    /// The turn in which it waits.
    pub turn: Turn,
    /// What the link is for.
    pub purpose: Purpose,
}

/// The link that is wanted of a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkWanted<'a> {
    pub(super) holder: Holder<'a>,
    pub(super) purpose: Purpose,
    pub(super) kind: Kind,
    /// The runtime that an idle link is best registered with.
    pub(super) here: Option<runtime::Id>,
}

/// What a port is created from.
#[derive(Clone, Copy)]
pub(crate) struct PortPlan<'a> {
    pub coordinator: &'a Arc<Coordinator>,
    pub flavor: Flavor,
    pub host: &'a Host,
    pub tls: Option<&'a TlsPlan>,
    pub counters: &'a Arc<CoordinatorMetrics>,
    pub room: &'a RoomSettings,
}

impl<S: Stream> Port<S> {
    /// Creates a port without links.
    pub(crate) fn new(
        plan: PortPlan<'_>,
        service: Service,
        session_queue: &Arc<SessionQueue<Grant<S>>>,
    ) -> Self {
        let PortPlan { coordinator, flavor, host, tls, counters, room } = plan;
        let queue_length = room.queue_length;
        let state = State {
            room: Room::new(room.limits),
            lineage: Lineage::new(flavor.ends_idle_links(service)),
            relief: Turns::new(queue_length),
            work: Turns::new(queue_length),
            session_next: false,
            relief_was_next: false,
            now: clock::now(),
        };
        Self {
            coordinator: Arc::clone(coordinator),
            service,
            shares: room.upkeep.is_some() && service != Service::Beeswax,
            flavor,
            host: host.clone(),
            tls: tls.zip(coordinator.tls.as_ref()).map(|(tls, name)| tls.towards(name)),
            counters: Arc::clone(counters),
            watch: Watch::default(),
            parked: Arc::new(Semaphore::new(1)),
            cookies: Arc::default(),
            state: Mutex::new(state),
            session_queue: Arc::clone(session_queue),
            unanswered: Arc::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Where the port is; `None` if the coordinator does not offer the service.
    pub(crate) fn destination(&self) -> Option<Destination> {
        let port = self.coordinator.ports.of(self.service)?;
        Some(Destination { host: self.host.clone(), port, tls: self.tls.clone() })
    }

    /// Whether the coordinator was removed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether [`Self::claim`] would return something.
    pub(crate) fn has_room(&self, holder: Holder<'_>, kind: Kind) -> bool {
        self.state.lock().room.has_room(holder, Purpose::Work, kind)
    }

    /// Whether a claim would fail only because the client's address has used up its share.
    pub(crate) fn has_room_for_others(&self, holder: Holder<'_>, kind: Kind) -> bool {
        let proven = Holder::ourselves(holder.access);
        self.has_room(proven, kind) && !self.has_room(holder, kind)
    }

    /// How the port's room is used.
    pub(crate) fn view(&self) -> RoomView {
        self.state.lock().room.view()
    }

    /// How many calls wait for a link to this port.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.relief.len() + state.work.len()
    }

    /// The calls that wait for a link to this port, in order: first cancels and closes, then the others.
    pub(crate) fn seen_waiting(&self) -> [Vec<SeenWaiter>; 2] {
        let state = self.state.lock();
        [&state.relief, &state.work].map(SeenWaiter::all)
    }

    /// The links of this router that the coordinator would report if it were polled now.
    pub(crate) fn own(&self) -> OwnLinks {
        self.state.lock().room.own()
    }

    /// Takes an idle link into use, or a slot to dial one. Returns `None` if there is no room.
    pub(crate) fn claim(
        self: &Arc<Self>,
        holder: Holder<'_>,
        purpose: Purpose,
        kind: Kind,
    ) -> Option<Grant<S>> {
        let here = here();
        let wanted = LinkWanted { holder, purpose, kind, here };
        let (grant, closed) = self.claim_in(&mut self.state.lock(), wanted)?;
        drop(closed);
        Some(grant.rehome(here))
    }

    pub(super) fn claim_in(
        self: &Arc<Self>,
        state: &mut State<S>,
        wanted: LinkWanted<'_>,
    ) -> Option<(Grant<S>, Vec<Idle<S>>)> {
        let LinkWanted { holder, purpose, kind, here } = wanted;
        let claim = state.room.claim(holder, purpose, kind, |idle: &Idle<S>| idle.life.runtime == here)?;
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

    /// Like [`Self::claim`], but joins the queue if there is no room: the receiver then gets the grant when
    /// its turn comes.
    ///
    /// # Errors
    /// [`QueueFull`] when there is no room, the queue is full, and nobody in it gives way to this waiter.
    pub(crate) fn claim_or_join(
        self: &Arc<Self>,
        claimant: &Claimant<'_>,
    ) -> Result<Result<Grant<S>, Joined<S>>, QueueFull> {
        let here = here();
        let mut state = self.state.lock();
        if self.is_closed() {
            // Nothing comes free here any more.
            return Err(QueueFull { length: self.session_queue.length });
        }
        let Claimant { holder, client, turn, purpose } = claimant;
        let wanted = LinkWanted { holder: *holder, purpose: *purpose, kind: Kind::Any, here };
        if let Some((grant, closed)) = self.claim_in(&mut state, wanted) {
            drop(state);
            drop(closed);
            return Ok(Ok(grant.rehome(here)));
        }
        let (called, call) = oneshot::channel();
        let waiter = Waiter {
            access: holder.access.clone(),
            unproven: holder.unproven,
            client: *client,
            since: clock::now(),
            kind: Kind::Any,
            tried: Vec::new(),
            called,
        };
        let (ticket, displaced) = state.line(*purpose).join(turn, waiter)?;
        drop(state);
        drop(displaced);
        self.make_room();
        Ok(Err((ticket, call)))
    }

    /// Removes a waiter from the queue.
    pub(crate) fn leave(&self, turn: &Turn, purpose: Purpose, ticket: Ticket) {
        let left = self.state.lock().line(purpose).leave(turn, ticket);
        drop(left);
    }

    /// Puts a link back, so that it can serve the next call of its identity. No call may be under way on it.
    pub(crate) fn put(self: &Arc<Self>, mut link: Box<Link<S>>) {
        let mut state = self.state.lock();
        if self.is_closed() || link.life.is_over(state.now) || link.life.is_left_behind(&self.coordinator) {
            // Dropping the slot takes the lock again.
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
        self.serve_waiters_in(state);
    }

    /// Closes the port: its idle links now, and every link that is put back later. (A link and its port own
    /// each other, so neither would end by itself.) Everything that waits here, for a link or for an answer,
    /// is told that it waits in vain.
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

    /// Counts a session of an identity. Idle links of the identity are kept while it has a session.
    pub(crate) fn begin_session(&self, access: &Access) -> Tenancy {
        self.state.lock().room.begin_session(access)
    }

    /// Records the figures of a poll. `before` are this router's links when the poll began.
    pub(crate) fn note_polled(self: &Arc<Self>, polled: PortFigures, before: OwnLinks) {
        let mut state = self.state.lock();
        let own = before.at_most(state.room.own());
        let mut closed = state.room.note_polled(polled, own);
        state.note_ended(&mut closed);
        self.serve_waiters_in(state);
        drop(closed);
    }

    /// Forgets the figures of earlier polls.
    pub(crate) fn forget_others(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.room.forget_others();
        self.serve_waiters_in(state);
    }

    /// Closes idle links that are no longer useful, and serves waiters that now have room, or whose
    /// coordinator is fit again. Meant to be called once a second.
    pub(crate) fn look_after(self: &Arc<Self>, now: Instant) {
        let mut state = self.state.lock();
        state.now = now;
        let mut retired = state.room.retire(now, |idle| {
            let life = idle.life;
            life.is_over(now) || life.is_left_behind(&self.coordinator) || !idle.end.is_clean(Look::Briefly)
        });
        state.note_ended(&mut retired);
        self.serve_waiters_in(state);
        drop(retired);
        self.make_room();
    }

    /// Whether all links that existed at `moment` have broken since. Always false where links are not shared:
    /// some of them may be broken without anybody having looked.
    pub(crate) fn all_broke_since(self: &Arc<Self>, moment: Instant) -> bool {
        let mut state = self.state.lock();
        let now = state.now;
        let mut broken = state.room.retire(now, |idle| !idle.end.is_clean(Look::Closely));
        state.note_ended(&mut broken);
        let all = self.shares && state.lineage.all_broke_since(moment);
        self.serve_waiters_in(state);
        all
    }

    /// The spans of time from which no link is left, because all of them broke.
    pub(crate) fn breaks(&self) -> Breaks {
        self.state.lock().lineage.breaks()
    }

    /// Like [`Self::breaks`], but `None` unless there is a new span since the last call.
    pub(crate) fn news_of_breaks(&self) -> Option<Breaks> {
        self.state.lock().lineage.news()
    }
}

impl<S: Stream> State<S> {
    /// Records that these links are closed, or will be at once.
    fn note_ended(&mut self, links: &mut [Idle<S>]) {
        for link in links {
            self.lineage.end(link.life.birth, !link.end.is_clean(Look::Closely));
        }
    }

    fn line(&mut self, purpose: Purpose) -> &mut Turns<Waiter<Grant<S>>> {
        match purpose {
            Purpose::Work => &mut self.work,
            Purpose::Relief => &mut self.relief,
        }
    }
}
