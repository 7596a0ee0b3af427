//! Makes links: dials, logs in, and records what both say about the coordinator.

use crate::clock;
use crate::cluster::{Cluster, Demand, Step};
use crate::ids::{Service, Transport};
use crate::net::stream::{LinkStream, Stream};
use crate::net::tls::client::CoordinatorTls;
use crate::net::tls::io::Io;
use crate::serve::fleet::Fleet;
use crate::serve::link::Link;
use crate::serve::link::dial::{self, Unreached};
use crate::serve::link::login::{Login, log_in};
use crate::serve::link::no_link::NoLink;
use crate::serve::link::port::Port;
use crate::serve::link::slot::Slot;
use crate::serve::message::link_end::LinkEnd;
use crate::serve::shared::Shared;

/// The demand of a client with this login. `None` if no credentials are sent.
pub(crate) fn demand(cluster: &Cluster, service: Service, login: &Login) -> Option<Demand> {
    Some(cluster.demand(service, Step::Login, login.opening()?.as_slice()))
}

impl<S: Stream> Fleet<S> {
    /// Dials a coordinator's port, with TLS if there is `tls`, and records at which address it was found.
    ///
    /// # Errors
    /// When the coordinator has no such port or was removed, or when the dial fails or exceeds
    /// `connect_timeout`, or the TLS handshake fails.
    pub(crate) async fn reach(
        &self,
        port: &Port<S>,
        shared: &Shared<S>,
        tls: Option<&CoordinatorTls>,
    ) -> Result<Io<LinkStream<S>>, Unreached> {
        dial::reach(port, shared, tls, || self.note_whereabouts(&port.coordinator)).await
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
        let mut stream = self.reach(port, shared, port.tls.as_deref()).await?;
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
