//! Makes links: dials, logs in, and records what both say about the coordinator.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::time::timeout;

use crate::clock;
use crate::cluster::{Cluster, Demand, Step};
use crate::ids::{Credential, Identity, Service, Transport};
use crate::metrics::DialOutcome;
use crate::net::dial::dial;
use crate::net::probe::Speaks;
use crate::net::stream::{LinkStream, Stream};
use crate::net::tls::client::CoordinatorTls;
use crate::net::tls::handshake::secure;
use crate::net::tls::io::Io;
use crate::serve::fleet::Fleet;
use crate::serve::link::Link;
use crate::serve::link::login::{First, Login, log_in, log_own};
use crate::serve::link::no_link::{NoLink, Unreached};
use crate::serve::link::port::Port;
use crate::serve::link::slot::Slot;
use crate::serve::link::watch::Silent;
use crate::serve::message::http::account::Account;
use crate::serve::message::http::link::HttpLink;
use crate::serve::message::link_end::LinkEnd;
use crate::serve::shared::Shared;

/// The demand of a client with this login. `None` if no credentials are sent.
pub(crate) fn demand(cluster: &Cluster, service: Service, login: &Login) -> Option<Demand> {
    Some(cluster.demand(service, Step::Login, login.opening()?.as_slice()))
}

impl<S: Stream> Fleet<S> {
    /// Dials a coordinator's port, and begins TLS there as `tls` says. Records what the result says about the
    /// coordinator: first at which address it was found. If it was not reached for a reason that lies with
    /// it, it is tried last for that service for a while.
    ///
    /// # Errors
    /// When the coordinator has no such port or was removed from its cluster, before or during the dial; when
    /// the dial fails or exceeds `connect_timeout`; or when the TLS handshake fails or exceeds
    /// `handshake_timeout`.
    pub(crate) async fn reach(
        &self,
        port: &Port<S>,
        shared: &Shared<S>,
        tls: Option<&CoordinatorTls>,
    ) -> Result<Io<LinkStream<S>>, Unreached> {
        let (coordinator, service) = (&port.coordinator, port.service);
        if port.is_closed() {
            return Err(Unreached::Removed);
        }
        let destination = port.destination().ok_or(Unreached::NoPort(service))?;
        coordinator.note_used(service);
        let dialed = dial(&shared.network, &destination, shared.settings.connect_timeout).await;
        self.note_whereabouts(coordinator);
        let reached = match dialed {
            Ok(stream) if tls.is_none() => Ok(stream.into()),
            // Boxed: a handshake needs much room, which no other dial needs.
            Ok(stream) => Box::pin(encrypt(port, stream, tls, shared.settings.handshake_timeout)).await,
            Err(error) => Err(error.failure.into()),
        };
        port.counters.dials.count(reached.as_ref().err().map_or(DialOutcome::Connected, Unreached::outcome));
        match &reached {
            Ok(_) if port.is_closed() => return Err(Unreached::Removed),
            Ok(_) => coordinator.note_dialed(service),
            Err(unreached) => {
                tracing::debug!(coordinator = %coordinator.name, %destination, error = %unreached, "dial failed");
                warn_of(unreached, port, shared);
                if unreached.is_remote() {
                    coordinator.note_dial_failed(service, clock::now());
                    port.watch.probe_now();
                }
            }
        }
        reached
    }

    /// Dials the port that a slot belongs to and logs in. How messages travel on the link is said by the
    /// slot's access.
    ///
    /// # Errors
    /// [`NoLink`] when the port was not reached or did not accept the login, and without a dial when there is
    /// nothing to prove the user with.
    pub(crate) async fn dial(
        &self,
        slot: Slot<S>,
        login: &Login,
        shared: &Shared<S>,
    ) -> Result<Box<Link<S>>, NoLink> {
        let port = &slot.port;
        let moves = port.coordinator.moves();
        let account = account(port, &slot.access.identity);
        if account.as_ref().is_some_and(|account| !account.has_something_to_show(&login.head())) {
            return Err(NoLink::TicketNeeded);
        }
        // Before the dial: a coordinator has few threads for handshakes, and a ticket may take a while.
        let first = match login.begin(port, shared.settings.handshake_timeout).await {
            Err(no_ticket) => {
                log_own(shared, &port.coordinator, &no_ticket);
                return Err(no_ticket);
            }
            Ok(first) => first,
        };
        let mut stream = self.reach(port, shared, port.tls.as_deref()).await?;
        let mut own_head = None;
        match first {
            First::Nothing => {}
            First::Head(head) => own_head = Some(*head),
            First::Handshake(begun) => {
                let verdict = Box::pin(log_in(&mut stream, begun, port, shared)).await;
                if let Err(NoLink::Unreached(unreached)) = &verdict {
                    warn_of(unreached, port, shared);
                }
                self.note_verdict(port, login, &verdict);
                verdict?;
            }
        }
        let end = match (slot.access.transport, own_head) {
            (Transport::Http, Some(head)) => {
                LinkEnd::over_http(stream, HttpLink::of_router(host(port)?, head))
            }
            (Transport::Http, None) => {
                LinkEnd::over_http(stream, HttpLink::new(host(port)?, &login.head(), account))
            }
            (transport, _) => LinkEnd::new(stream, transport),
        };
        Ok(Link::new(end, slot, moves))
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

fn account<S: Stream>(port: &Port<S>, identity: &Identity) -> Option<Account> {
    let Identity::Credential(credential) = identity else { return None };
    Some(Account { credential: Credential::clone(credential), cookies: Arc::clone(&port.cookies) })
}

/// The port as requests over HTTP name it.
fn host<S: Stream>(port: &Port<S>) -> Result<HeaderValue, Unreached> {
    let no_port = || Unreached::NoPort(port.service);
    let destination = port.destination().ok_or_else(no_port)?;
    HeaderValue::try_from(destination.to_string()).map_err(|_| no_port())
}

/// Logs why there is no TLS with a coordinator, if that is why it was not reached: each cause at first, and
/// then seldom.
fn warn_of<S: Stream>(unreached: &Unreached, port: &Port<S>, shared: &Shared<S>) {
    let Unreached::Tls(failure) = unreached else { return };
    if let Some(left_out) = shared.admit_line("no TLS with a coordinator", failure.as_str()) {
        let (coordinator, service) = (&port.coordinator.name, port.service);
        tracing::warn!(%coordinator, %service, cause = %unreached, left_out, "no TLS with a coordinator");
    }
}

/// Begins TLS on a connection that was just dialed.
async fn encrypt<S: Stream>(
    port: &Port<S>,
    stream: LinkStream<S>,
    tls: Option<&CoordinatorTls>,
    allowed: Duration,
) -> Result<Io<LinkStream<S>>, Unreached> {
    let speaks = match port.service {
        Service::Hs2 | Service::Beeswax => Speaks::Thrift,
        Service::Hs2Http => Speaks::Http,
    };
    let secured = timeout(allowed, secure(stream, tls));
    let secured = port.watch.answer(speaks, secured).await.map_err(|silent| match silent {
        Silent::Port => Unreached::TlsSilent,
        Silent::Removed => Unreached::Removed,
    })?;
    Ok(secured.map_err(|_elapsed| Unreached::TlsTimedOut(allowed))??)
}
