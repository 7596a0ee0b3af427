//! Clients for whom the router speaks under its own name: their links are the router's own, which all of them
//! share, and each call is made for the user whose session it names.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::ids::{Access, Delegated, Identity, Transport};
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::connections::Listed;
use crate::serve::fleet::Fleet;
use crate::serve::link::login::Login;
use crate::session::delegation::{Acting, Caller};
use crate::wire::facts::Guid;

impl<S: Stream> Links<S> {
    /// Creates the links of a client for whom the router speaks with this login; none is dialed yet.
    pub(crate) fn speaking_for(
        fleet: Arc<Fleet<S>>,
        listed: &Arc<Listed>,
        caller: Caller,
        login: Login,
    ) -> Self {
        let access = own_access(&fleet.cluster, Transport::Sasl);
        let mut links = Self::new(fleet, listed, access, login);
        links.act_as(caller);
        links
    }

    /// Makes them the router's own, for a client over HTTP that it has let in.
    pub(crate) fn speak_for(&mut self, caller: Caller, login: Login) {
        let access = own_access(&self.fleet.cluster, Transport::Http);
        if self.access != access {
            self.become_access(access, login);
        }
        self.act_as(caller);
    }

    fn act_as(&mut self, caller: Caller) {
        let acting = Acting::new(caller);
        if self.acting.as_ref().is_none_or(|former| former.identity() != acting.identity()) {
            let (identity, transport) = (acting.identity().clone(), self.access.transport);
            self.listed.note(|known| known.access = Some(Access { identity, transport }));
        }
        self.acting = Some(acting);
    }

    /// Makes the client's call one that is for this user and nobody else, if the router speaks for the client. Holds
    /// until [`Self::speak_for`] is called for the next request.
    ///
    /// # Errors
    /// The client, when it may not speak for that user.
    pub(crate) fn speak_only_for(&mut self, user: &str) -> Result<(), &Caller> {
        self.acting.as_mut().map_or(Ok(()), |acting| acting.speak_only_for(user))
    }

    /// The client, if the router speaks for it.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.acting.as_ref().map(Acting::caller)
    }

    /// Makes the calls from now on those of this user, if the client may speak for it.
    pub(crate) fn act_for(&mut self, owner: Arc<Delegated>) {
        if let Some(acting) = &mut self.acting {
            acting.act_for(owner);
        }
    }

    /// Makes the calls from now on those of the user whose session has this guid, as [`Self::act_for`] does. A
    /// connection may have used sessions of several users.
    pub(crate) fn act_for_owner_of(&mut self, session: &Guid) {
        if let Some(owner) = self.fleet.table.delegated_owner(session) {
            self.act_for(owner);
        }
    }
}

/// How the router comes to coordinators as itself, for clients with this transport: by the same one if
/// coordinators have a port for it, because what ends with a connection differs between the ports of `HiveServer2`;
/// else by the other one.
fn own_access(cluster: &Cluster, client: Transport) -> Access {
    let (same, other) = match client {
        Transport::Http => (Transport::Http, Transport::Sasl),
        _ => (Transport::Sasl, Transport::Http),
    };
    let is_other = !cluster.serves(same.hs2()) && cluster.serves(other.hs2());
    Access { identity: Identity::Router, transport: if is_other { other } else { same } }
}
