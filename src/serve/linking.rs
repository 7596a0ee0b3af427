//! The link that a call is sent on: one that is idle, one that is dialed, or one that it waits for.

use std::sync::Arc;

use super::calls::Calls;
use super::dialing::Unreached;
use super::end::End;
use super::link::{Link, NoLink};
use super::pool::Grant;
use super::queue::{self, NotCalled};
use super::request::Request;
use crate::cluster::Coordinator;
use crate::cluster::room::{Holder, Kind};
use crate::cluster::turns::Turn;
use crate::ids::Service;
use crate::net::stream::{Seen, Stream};
use crate::session::retry::wants_live_link;
use crate::wire::method::{Method, Retry};

impl<S: Stream> Calls<S> {
    /// The link to a coordinator's service; dialed if there is none. Waits if there is no room for it.
    ///
    /// # Errors
    /// The client left while it waited.
    pub(super) async fn link_to(
        &mut self,
        coordinator: &Arc<Coordinator>,
        service: Service,
        request: &Request,
    ) -> Result<Result<Box<Link<S>>, NoLink>, End> {
        if let Some(link) = self.links.take(coordinator.id, service, see(request.method())) {
            return Ok(Ok(link));
        }
        let pool = self.fleet.pool(coordinator, service);
        match pool.and_then(|pool| pool.claim(self.holder_for(request), request.purpose, Kind::Idle)) {
            Some(Grant::Link(link)) if see(request.method())(&link.stream) == Seen::Nothing => {
                return Ok(Ok(link));
            }
            // Boxed: few calls dial.
            Some(grant) => return Box::pin(self.link_of(grant, request.method())).await,
            None => {}
        }
        Box::pin(self.new_link(coordinator, service, request)).await
    }

    /// A link that is not there yet: one that is dialed, or was granted after a wait. What can go elsewhere does not wait where
    /// nothing is answered any more.
    async fn new_link(
        &mut self,
        coordinator: &Arc<Coordinator>,
        service: Service,
        request: &Request,
    ) -> Result<Result<Box<Link<S>>, NoLink>, End> {
        let Some(pool) = self.fleet.pool(coordinator, service) else {
            return Ok(Err(Unreached::NoPort(service).into()));
        };
        let turn = Turn::of(self.links.identity(), self.client.address);
        let identity = self.links.identity().clone();
        let who = (Holder { identity: &identity, ..self.holder_for(request) }, turn);
        let client = &self.client;
        let gone = async {
            tokio::select! {
                biased;
                () = client.stream.closed() => {}
                never = self.links.ends() => match never {},
            }
        };
        let granted = queue::link(&self.fleet, pool, who, request.purpose, gone);
        let granted = if request.method().retry == Retry::NextCandidate {
            let speaks = self.framing.speaks();
            let waited = self.fleet.answer(coordinator, service, speaks, granted).await;
            waited.unwrap_or_else(|silent| Err(NotCalled::NoRoom(silent.into())))
        } else {
            granted.await
        };
        match granted {
            Ok(grant) => self.link_of(grant, request.method()).await,
            Err(NotCalled::NoRoom(no_room)) => Ok(Err(no_room.into())),
            Err(NotCalled::ClientGone) => Err(End::client_gone()),
        }
    }

    /// Whose place the link of a request uses: its end may not be where its coordinator sees it, whoever sends it, and then
    /// the link is held until that is sure.
    fn holder_for(&self, request: &Request) -> Holder<'_> {
        let holder = self.holder();
        if request.ends_for_sure() {
            holder
        } else {
            Holder { unproven: Some(self.client.address), ..holder }
        }
    }

    /// The link that was granted, unless a look shows that it was closed: then, or if only a seat was granted, a new one, as
    /// long as there is a client to dial for. For one that has only finished sending no login is begun or waited for.
    pub(super) async fn link_of(
        &mut self,
        grant: Grant<S>,
        method: &Method,
    ) -> Result<Result<Box<Link<S>>, NoLink>, End> {
        let seat = match grant {
            Grant::Link(link) if see(method)(&link.stream) == Seen::Nothing => return Ok(Ok(link)),
            Grant::Link(link) => link.seat.renew(),
            Grant::Seat(seat) => seat,
        };
        let (logs_in, client) = (self.links.logs_in(), &self.client.stream);
        let gone = async { if logs_in { client.closed().await } else { client.gone().await } };
        let mut dialed = tokio::select! {
            biased;
            () = gone => return Err(End::client_gone()),
            dialed = self.links.dial(seat, &self.shared) => dialed,
        };
        if dialed.as_ref().is_err_and(NoLink::is_in_vain) {
            self.note_in_vain();
        }
        if let Ok(link) = dialed.as_mut()
            && link.service() == Service::Beeswax
        {
            let count = link.coordinator.count_session();
            self.links.begin_beeswax(link, count, &self.shared);
        }
        Ok(dialed)
    }
}

/// How hard to look at a link before a call is sent on it.
fn see<S: Stream>(method: &Method) -> fn(&S) -> Seen {
    if wants_live_link(method.retry) { S::look } else { S::glance }
}
