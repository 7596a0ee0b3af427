//! The probe of a port, counted like every other connection of the router's: what is not served shall not wait in a
//! coordinator's accept queue, also if it only asks whether the coordinator works.

use std::sync::Arc;

use crate::cluster::room::{Holder, Kind, Purpose};
use crate::ids::Access;
use crate::net::probe::{Login, Passed, Probe, ProbeError, Speaks};
use crate::net::stream::Stream;
use crate::serve::link::port::Port;
use crate::serve::link::slot::{Grant, Slot};

/// A probe with the place that it has on its port as long as it keeps a session there.
pub(crate) struct Probing<S: Stream> {
    probe: Probe<S::Network>,
    port: Arc<Port<S>>,
    slot: Option<Slot<S>>,
    /// How often its coordinator had come to be elsewhere when it was probed last.
    moves: u32,
    /// Whether the web port has ever answered.
    pub web_answers: bool,
}

impl<S: Stream> Probing<S> {
    /// A probe that keeps nothing yet.
    pub(crate) fn new(probe: Probe<S::Network>, port: &Arc<Port<S>>) -> Self {
        let moves = port.coordinator.moves();
        Self { probe, port: Arc::clone(port), slot: None, moves, web_answers: false }
    }

    /// Probes once; `None` if there is no room. A session that is kept takes the place of a call; where there is none for
    /// that, the port is only connected to, for the moment of which a place that is kept for cancels will do. If somebody
    /// doubts that the port answers, or it did not the last time, it is asked for an answer, in such a place, too: where there
    /// is room for it, silence does not come from service threads that are all taken.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub(crate) async fn run(
        &mut self,
        login: Login,
        doubt: Option<Speaks>,
    ) -> Option<Result<Passed, ProbeError>> {
        if let Some(speaks) = doubt.or_else(|| self.probe.silent()) {
            let _seat = self.claim(Purpose::Relief)?;
            return Some(self.probe.ask(speaks).await);
        }
        let mut login = login;
        let moves = self.port.coordinator.moves();
        if std::mem::replace(&mut self.moves, moves) != moves {
            self.probe.forget();
            (self.slot, self.web_answers) = (None, false);
        }
        if self.slot.is_none() && login == Login::None {
            self.slot = self.claim(Purpose::Work);
        }
        if self.slot.is_none() {
            login = Login::Unknown;
            self.slot = self.claim(Purpose::Relief);
        }
        let slot = self.slot.as_mut()?;
        let passed = self.probe.run(login).await;
        if self.probe.keeps() {
            slot.note_answered();
        } else {
            self.slot = None;
        }
        Some(passed)
    }

    fn claim(&self, purpose: Purpose) -> Option<Slot<S>> {
        match self.port.claim(Holder::ourselves(&Access::UNREAD), purpose, Kind::New)? {
            Grant::Slot(slot) => Some(slot),
            // None is idle under that name.
            Grant::Link(_) => None,
        }
    }

    /// Ends the session that it keeps.
    pub(crate) async fn close(self) {
        self.probe.close().await;
    }
}
