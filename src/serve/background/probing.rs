//! Probes a port. A probe is counted like every other connection of the router: no connection that is not
//! served may wait in a coordinator's accept queue, not even one that only checks whether the coordinator
//! works.

use std::sync::Arc;

use crate::cluster::room::{Holder, Kind, Purpose};
use crate::ids::Access;
use crate::net::probe::{Login, Passed, Probe, ProbeError, Speaks};
use crate::net::stream::Stream;
use crate::serve::link::port::Port;
use crate::serve::link::slot::{Grant, Slot};

/// A probe, and the slot that it has on its port while it keeps a session there.
pub(crate) struct Probing<S: Stream> {
    probe: Probe<S::Network>,
    port: Arc<Port<S>>,
    slot: Option<Slot<S>>,
    /// How often its coordinator had changed its address when it was probed last.
    moves: u32,
    /// Whether the web port has ever answered.
    pub web_answers: bool,
}

impl<S: Stream> Probing<S> {
    /// Creates a probe that keeps no session yet.
    pub(crate) fn new(probe: Probe<S::Network>, port: &Arc<Port<S>>) -> Self {
        let moves = port.coordinator.moves();
        Self { probe, port: Arc::clone(port), slot: None, moves, web_answers: false }
    }

    /// Probes once; `None` if there is no room. A kept session takes a slot for work. If there is none, the
    /// port is only connected to, for which one of the slots that are reserved for cancels will do. If there
    /// is a doubt that the port answers, or it did not answer the last time, the port is asked for an answer,
    /// also in a reserved slot: as there is room for the probe, silence then does not mean that all service
    /// threads are taken.
    ///
    /// # Errors
    /// [`ProbeError`], when the port cannot be reached or does not answer as it should.
    pub(crate) async fn run(
        &mut self,
        login: Login,
        doubt: Option<Speaks>,
    ) -> Option<Result<Passed, ProbeError>> {
        if let Some(speaks) = doubt.or_else(|| self.probe.silent()) {
            let _slot = self.claim(Purpose::Relief)?;
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
            // No link of this access is ever idle.
            Grant::Link(_) => None,
        }
    }

    /// Closes the session that the probe keeps.
    pub(crate) async fn close(self) {
        self.probe.close().await;
    }
}
