//! Slots: each counts one link, or the right to dial one.

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

/// The longest life of a shared link, in case something accumulates in it.
const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// The most sessions that are opened on a shared link: its coordinator keeps a list of them.
const MOST_SESSIONS: u32 = 10_000;

/// What a claim gets, at once or after a wait.
#[derive(Debug)]
pub(crate) enum Grant<S: Stream> {
    /// A link that is ready for a call.
    Link(Box<Link<S>>),
    /// A slot in which a link may be dialed.
    Slot(Slot<S>),
}

impl<S: Stream> Grant<S> {
    /// Registers its link with the current runtime.
    pub(crate) fn rehome_here(self) -> Self {
        self.rehome(here())
    }

    /// Like [`Self::rehome_here`], where the id of the current runtime is already known.
    pub(crate) fn rehome(self, here: Option<runtime::Id>) -> Self {
        match self {
            Self::Link(link) if link.life.runtime != here => match link.rehome(here) {
                // This runtime has not yet received any event of the link, so its socket must be read to see
                // its state.
                Ok(link) => link.live(Look::Closely).map_or_else(Self::Slot, Self::Link),
                Err(slot) => Self::Slot(slot.renew()),
            },
            rehomed => rehomed,
        }
    }

    /// Returns the link if it is still open and clean, else the slot to dial one in.
    pub(crate) fn live(self, look: Look) -> Result<Box<Link<S>>, Slot<S>> {
        match self {
            Self::Link(link) => link.live(look),
            Self::Slot(slot) => Err(slot),
        }
    }

    /// The coordinator that the link leads to, or that the slot belongs to.
    pub(crate) fn coordinator(&self) -> &Arc<Coordinator> {
        match self {
            Self::Link(link) => &link.coordinator,
            Self::Slot(slot) => &slot.port.coordinator,
        }
    }
}

impl<S: Stream> Link<S> {
    /// Returns the link if it is open and clean, else the slot to dial another in its place.
    fn live(mut self: Box<Self>, look: Look) -> Result<Box<Self>, Slot<S>> {
        if self.end.is_clean(look) { Ok(self) } else { Err(self.slot.renew()) }
    }

    /// Registers the link with the current runtime. The link is lost if that fails.
    pub(crate) fn rehome_here(self) -> Option<Box<Self>> {
        self.rehome(here()).ok()
    }

    fn rehome(self, here: Option<runtime::Id>) -> Result<Box<Self>, Slot<S>> {
        let Self { coordinator, end, session, slot, mut life } = self;
        life.runtime = here;
        match end.rehome() {
            Ok(end) => Ok(Box::new(Self { coordinator, end, session, slot, life })),
            Err(_) => Err(slot),
        }
    }
}

/// One counted place for a link on a port, from before the link is dialed until it is closed.
#[derive(Debug)]
#[must_use = "the link stops counting when this is dropped"]
pub(crate) struct Slot<S: Stream> {
    /// The port on which it counts.
    pub port: Arc<Port<S>>,
    pub(crate) access: Access,
    /// The address whose share it uses, until the client has proven who it is.
    pub(crate) unproven: Option<ClientAddress>,
    pub(crate) purpose: Purpose,
    /// When its link was made. `None` while there is no link.
    pub(crate) birth: Option<Birth>,
    /// Whether its link was found to be broken.
    pub(crate) broke: bool,
    /// Whether the coordinator has answered on it.
    pub(crate) answered: bool,
    /// Whether it no longer counts as in use, because its link was put back.
    pub(crate) over: bool,
}

impl<S: Stream> Slot<S> {
    /// Lets its link serve any call from now on. Returns false if that is not possible, because the link was
    /// made for a cancel, in a slot that is reserved for those.
    pub(crate) fn turn_to_work(&mut self) -> bool {
        if self.purpose == Purpose::Relief && self.port.state.lock().room.turn_to_work(self.unproven) {
            self.purpose = Purpose::Work;
        }
        self.purpose == Purpose::Work
    }

    /// Returns the slot for a new link in place of its own, which is broken.
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

    /// Records that the coordinator has accepted the client's credentials on its link. It then no longer uses
    /// the share of the client's address.
    pub(crate) fn prove(&mut self) {
        if let Some(address) = self.unproven.take() {
            self.port.state.lock().room.prove(self.purpose, address);
        }
    }

    /// Records that its link was made just now. `moves` is the number of times that the coordinator's address
    /// had changed when the link was dialed.
    pub(crate) fn begin_life(&mut self, moves: u32) -> LinkLife {
        let at = clock::now();
        let birth = self.port.state.lock().lineage.begin(at);
        self.birth = Some(birth);
        let (sessions, in_doubt) = (0, false);
        LinkLife { until: at + LONGEST_LIFE, sessions, in_doubt, birth, runtime: here(), moves }
    }

    /// Records that the coordinator, or something on the way to it, has ended the link.
    pub(crate) fn note_broken(&mut self) {
        self.broke = true;
    }

    /// Whether the coordinator has answered a call on its link.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered
    }

    /// Records that the coordinator has answered on its link.
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
        self.port.serve_waiters_in(state);
    }
}

/// The age of a link and what has happened on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkLife {
    /// The link is closed after this moment.
    until: Instant,
    sessions: u32,
    /// Whether the coordinator may have read calls on the link that differ from those sent.
    in_doubt: bool,
    pub(crate) birth: Birth,
    /// The number of times that the coordinator's address had changed when the link was dialed.
    moves: u32,
    /// The runtime that the link's socket is registered with; `None` outside of any.
    pub(crate) runtime: Option<runtime::Id>,
}

/// The id of the current runtime, if there is one.
pub(crate) fn here() -> Option<runtime::Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

impl LinkLife {
    /// Counts a session that was opened on the link.
    pub(crate) fn note_session(&mut self) {
        self.sessions = self.sessions.saturating_add(1);
    }

    /// Records that a call is sent on the link which the coordinator may consider longer or shorter than the
    /// router does.
    pub(crate) fn note_doubt(&mut self) {
        self.in_doubt = true;
    }

    /// Whether [`Self::note_doubt`] was called.
    pub(crate) fn is_in_doubt(self) -> bool {
        self.in_doubt
    }

    /// Whether the link has served so long, or opened so many sessions, that it must be closed.
    pub(crate) fn is_over(self, now: Instant) -> bool {
        self.sessions >= MOST_SESSIONS || now >= self.until
    }

    /// Whether the coordinator's address has changed since, so that the link leads to another process than
    /// new links do.
    pub(crate) fn is_left_behind(self, coordinator: &Coordinator) -> bool {
        self.moves != coordinator.moves()
    }
}
