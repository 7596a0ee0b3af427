//! What a link, or the right to dial one, is counted by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{self, Handle};

use crate::clock;
use crate::cluster::Coordinator;
use crate::cluster::lineage::Birth;
use crate::cluster::room::Purpose;
use crate::ids::{Access, ClientAddress};
use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::port::Port;
use crate::serve::message::link_end::Look;

/// A shared link is closed after this, in case something adds up in it.
const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// A shared link is closed after so many sessions were opened on it: its coordinator keeps a list of them.
const MOST_SESSIONS: u32 = 10_000;

/// What one who waited, or did not have to, gets.
#[derive(Debug)]
pub(crate) enum Grant<S: Stream> {
    /// A link.
    Link(Box<Link<S>>),
    /// A slot, to dial one.
    Slot(Slot<S>),
}

impl<S: Stream> Grant<S> {
    /// With its link waited for in the runtime in which this is called.
    pub(crate) fn rehome_here(self) -> Self {
        self.rehome(here())
    }

    /// As [`Self::rehome_here`], where it is known which runtime that is.
    pub(crate) fn rehome(self, here: Option<runtime::Id>) -> Self {
        match self {
            Self::Link(link) if link.made.runtime != here => match link.rehome(here) {
                // This runtime has not been told of anything yet.
                Ok(link) => link.live(Look::Closely).map_or_else(Self::Slot, Self::Link),
                Err(slot) => Self::Slot(slot.renew()),
            },
            rehomed => rehomed,
        }
    }

    /// The link, if a look shows that it is still there and clean; else the right to dial one.
    pub(crate) fn live(self, look: Look) -> Result<Box<Link<S>>, Slot<S>> {
        match self {
            Self::Link(link) => link.live(look),
            Self::Slot(slot) => Err(slot),
        }
    }

    /// Where it is.
    pub(crate) fn coordinator(&self) -> &Arc<Coordinator> {
        match self {
            Self::Link(link) => &link.coordinator,
            Self::Slot(slot) => &slot.port.coordinator,
        }
    }
}

impl<S: Stream> Link<S> {
    /// The link, if a look shows that it is open and clean; else the right to dial one in its place.
    fn live(mut self: Box<Self>, look: Look) -> Result<Box<Self>, Slot<S>> {
        if self.end.is_clean(look) { Ok(self) } else { Err(self.slot.renew()) }
    }

    /// The link, waited for in the runtime in which this is called; if that fails it is lost.
    pub(crate) fn rehome_here(self) -> Option<Box<Self>> {
        self.rehome(here()).ok()
    }

    fn rehome(self, here: Option<runtime::Id>) -> Result<Box<Self>, Slot<S>> {
        let Self { coordinator, end, session, slot, mut made } = self;
        made.runtime = here;
        match end.rehome() {
            Ok(end) => Ok(Box::new(Self { coordinator, end, session, slot, made })),
            Err(_) => Err(slot),
        }
    }
}

/// Counts a link, from before it is dialed until it is closed.
#[derive(Debug)]
#[must_use = "the link stops counting when this is dropped"]
pub(crate) struct Slot<S: Stream> {
    /// Whose links it is one of.
    pub port: Arc<Port<S>>,
    pub(crate) access: Access,
    /// Whose share it is of, as long as nobody has proven anything.
    pub(crate) unproven: Option<ClientAddress>,
    pub(crate) purpose: Purpose,
    /// When its link was made; none as long as there is none, or if it tells nothing.
    pub(crate) birth: Option<Birth>,
    /// Whether its link was found broken.
    pub(crate) broke: bool,
    /// Whether the coordinator has answered on it.
    pub(crate) answered: bool,
    /// Whether it counts no more: its link was put back.
    pub(crate) over: bool,
}

impl<S: Stream> Slot<S> {
    /// Its link may serve any call from now on; false if it may not, because it was made for a cancel in a place that is
    /// kept for those.
    pub(crate) fn turn_to_work(&mut self) -> bool {
        if self.purpose == Purpose::Relief && self.port.state.lock().room.turn_to_work(self.unproven) {
            self.purpose = Purpose::Work;
        }
        self.purpose == Purpose::Work
    }

    /// For a new link in the place of the one that it was for, which is broken.
    pub(crate) fn renew(mut self) -> Self {
        let (was_answered, birth) = (std::mem::take(&mut self.answered), self.birth.take());
        let mut state = self.port.state.lock();
        if was_answered {
            state.room.note_unanswered();
        }
        if let Some(birth) = birth {
            state.lineage.end(birth, true);
        }
        drop(state);
        self
    }

    /// The coordinator has accepted the credentials that were shown on its link: they speak for somebody.
    pub(crate) fn prove(&mut self) {
        if let Some(address) = self.unproven.take() {
            self.port.state.lock().room.prove(self.purpose, address);
        }
    }

    /// Its link was made just now. `moves` is how often its coordinator had come to be elsewhere when it was dialed.
    pub(crate) fn made(&mut self, moves: u32) -> Made {
        let at = clock::now();
        let birth = self.port.state.lock().lineage.begin(at);
        self.birth = Some(birth);
        let (sessions, in_doubt) = (0, false);
        Made { until: at + LONGEST_LIFE, sessions, in_doubt, birth, runtime: here(), moves }
    }

    /// Its link is broken: its coordinator, or what is between, ended it.
    pub(crate) fn note_broken(&mut self) {
        self.broke = true;
    }

    /// Whether the coordinator has answered on its link.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered
    }

    /// The coordinator has answered on its link.
    pub(crate) fn note_answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.port.state.lock().room.note_answered();
        }
    }
}

impl<S: Stream> Drop for Slot<S> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut state = self.port.state.lock();
        if !self.answered {
            state.room.note_answered();
        }
        state.room.end(self.purpose, self.unproven);
        if let Some(birth) = self.birth {
            state.lineage.end(birth, self.broke);
        }
        self.port.call_next(state);
    }
}

/// What a link has been through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// It is closed after this.
    until: Instant,
    sessions: u32,
    /// Whether its coordinator may have read other calls on it than we sent.
    in_doubt: bool,
    pub(crate) birth: Birth,
    /// How often its coordinator had come to be elsewhere before.
    moves: u32,
    /// Where its events are waited for; none outside of any.
    pub(crate) runtime: Option<runtime::Id>,
}

/// The runtime in which this is called.
pub(crate) fn here() -> Option<runtime::Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

impl Made {
    /// A session was opened on the link.
    pub(crate) fn note_session(&mut self) {
        self.sessions = self.sessions.saturating_add(1);
    }

    /// A call is sent on the link whose end its coordinator may see elsewhere.
    pub(crate) fn note_doubt(&mut self) {
        self.in_doubt = true;
    }

    /// Whether such a call was sent on it.
    pub(crate) fn is_in_doubt(self) -> bool {
        self.in_doubt
    }

    pub(crate) fn is_over(self, now: Instant) -> bool {
        self.sessions >= MOST_SESSIONS || now >= self.until
    }

    /// Whether its coordinator is elsewhere now: the link leads to another process than new ones do.
    pub(crate) fn is_left_behind(self, coordinator: &Coordinator) -> bool {
        self.moves != coordinator.moves()
    }
}
