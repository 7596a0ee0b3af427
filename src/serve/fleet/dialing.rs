//! Makes links: dials, logs in, and records what both say about the coordinator.

use crate::clock;
use crate::cluster::{Cluster, Demand, Step};
use crate::ids::{Service, Transport};
use crate::metrics::DialOutcome;
use crate::net::dial::{Destination, DialFailure, dial};
use crate::net::stream::{LinkStream, Stream};
use crate::serve::fleet::Fleet;
use crate::serve::link::Link;
use crate::serve::link::login::{Login, log_in};
use crate::serve::link::no_link::{NoLink, Unreached};
use crate::serve::link::port::Port;
use crate::serve::link::slot::Slot;
use crate::serve::message::link_end::LinkEnd;
use crate::serve::shared::Shared;

/// The demand of a client with this login. `None` if no credentials are sent.
pub(crate) fn demand(cluster: &Cluster, service: Service, login: &Login) -> Option<Demand> {
    Some(cluster.demand(service, Step::Login, login.opening()?.as_slice()))
}

impl<S: Stream> Fleet<S> {
    /// Dials a coordinator's port, and records what the result says about the coordinator: first at which
    /// address it was found. If the dial fails for a reason that lies with the coordinator, the coordinator
    /// is tried last for that service for a while.
    ///
    /// # Errors
    /// When the coordinator has no such port or was removed from its cluster, before or during the dial; or
    /// when the dial fails or exceeds `connect_timeout`.
    pub(crate) async fn reach(&self, port: &Port<S>, shared: &Shared<S>) -> Result<LinkStream<S>, Unreached> {
        let (coordinator, service) = (&port.coordinator, port.service);
        if port.is_closed() {
            return Err(Unreached::Removed);
        }
        let number = coordinator.ports.of(service).ok_or(Unreached::NoPort(service))?;
        coordinator.note_used(service);
        let destination = Destination { host: port.host.clone(), port: number };
        let dialed = dial(&shared.network, &destination, shared.settings.connect_timeout).await;
        self.note_whereabouts(coordinator);
        let reached = dialed.as_ref().err().map_or(DialOutcome::Connected, |error| outcome(&error.failure));
        port.counters.dials.count(reached);
        match dialed {
            Ok(_) if port.is_closed() => Err(Unreached::Removed),
            Ok(stream) => {
                coordinator.note_dialed(service);
                Ok(stream)
            }
            Err(error) => {
                tracing::debug!(coordinator = %coordinator.name, %error, "dial failed");
                if error.failure.is_remote() {
                    coordinator.note_dial_failed(service, clock::now());
                    port.watch.probe_now();
                }
                Err(error.failure.into())
            }
        }
    }

    /// Dials the port that a slot belongs to and logs in. `transport` says how messages travel on the link.
    ///
    /// # Errors
    /// [`NoLink`] when the port was not reached or did not accept the login.
    pub(crate) async fn dial(
        &self,
        slot: Slot<S>,
        login: &Login,
        transport: Transport,
        shared: &Shared<S>,
    ) -> Result<Box<Link<S>>, NoLink> {
        let port = &slot.port;
        let moves = port.coordinator.moves();
        let mut stream = self.reach(port, shared).await?;
        if login.is_shown() {
            let verdict = log_in(&mut stream, login, port, shared).await;
            self.note_verdict(port, login, &verdict);
            verdict?;
        }
        Ok(Link::new(LinkEnd::new(stream, transport), slot, moves))
    }

    /// Records a verdict on credentials: a refusal says something about the coordinator if another one
    /// accepts the same. With Impala, closing the connection is a verdict, too.
    fn note_verdict(&self, port: &Port<S>, login: &Login, verdict: &Result<(), NoLink>) {
        let Some(demand) = demand(&self.cluster, port.service, login) else { return };
        let (coordinator, now) = (&port.coordinator, clock::now());
        match verdict {
            Ok(()) => self.cluster.note_done(demand, coordinator, now),
            Err(no_link) if no_link.is_verdict() => self.cluster.note_failed(demand, coordinator, now),
            Err(_) => {}
        }
    }
}

fn outcome(failure: &DialFailure) -> DialOutcome {
    match failure {
        DialFailure::Resolve(_) => DialOutcome::Unresolved,
        DialFailure::Refused => DialOutcome::Refused,
        DialFailure::TimedOut { .. } => DialOutcome::TimedOut,
        DialFailure::Unreachable(_) | DialFailure::Local(_) => DialOutcome::Unreachable,
    }
}
