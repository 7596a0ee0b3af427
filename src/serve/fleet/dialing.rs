//! Making links: a dial, a login, and what both tell of a coordinator.

use crate::clock;
use crate::cluster::{Cluster, Demand, Step};
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::fleet::shared::Fleet;
use crate::serve::link::Link;
use crate::serve::link::dial::{self, Unreached};
use crate::serve::link::login::log_in;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::port::Port;
use crate::serve::link::slot::Slot;
use crate::serve::shared::Shared;
use crate::wire::sasl::Credentials;

/// What somebody wants who shows these credentials.
pub(in crate::serve) fn demand(cluster: &Cluster, service: Service, credentials: &Credentials) -> Demand {
    cluster.demand(service, Step::Login, credentials.opening().as_slice())
}

impl<S: Stream> Fleet<S> {
    /// Dials a coordinator's port, and takes in where it was found.
    ///
    /// # Errors
    /// [`Unreached`].
    pub(in crate::serve) async fn reach(&self, port: &Port<S>, shared: &Shared<S>) -> Result<S, Unreached> {
        dial::reach(port, shared, || self.note_whereabouts(&port.coordinator)).await
    }

    /// Dials the port that a slot is for and, with credentials, authenticates.
    ///
    /// # Errors
    /// [`NoLink`].
    pub(in crate::serve) async fn dial(
        &self,
        slot: Slot<S>,
        credentials: Option<&Credentials>,
        shared: &Shared<S>,
    ) -> Result<Box<Link<S>>, NoLink> {
        let port = &slot.port;
        let moves = port.coordinator.moves();
        let mut stream = self.reach(port, shared).await?;
        if let Some(credentials) = credentials {
            let verdict = log_in(&mut stream, credentials, port, shared).await;
            self.note_verdict(port, credentials, &verdict);
            verdict?;
        }
        Ok(Link::new(stream, slot, moves))
    }

    /// A verdict, as a close is with Impala, says something about the coordinator if another's is different.
    fn note_verdict(&self, port: &Port<S>, credentials: &Credentials, verdict: &Result<(), NoLink>) {
        let (coordinator, now) = (&port.coordinator, clock::now());
        let demand = || demand(&self.cluster, port.service, credentials);
        match verdict {
            Ok(()) => self.cluster.note_done(demand(), coordinator, now),
            Err(no_link) if no_link.is_verdict() => self.cluster.note_failed(demand(), coordinator, now),
            Err(_) => {}
        }
    }
}
