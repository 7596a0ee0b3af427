//! Clients for whom the router speaks under its own name: their links are the router's own, which all of them
//! share, and each call is made for the user whose session it names.

use std::sync::Arc;

use crate::ids::{Access, ConnId, Delegated, Identity, Transport};
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::fleet::Fleet;
use crate::serve::link::login::Login;
use crate::session::delegation::{Acting, Caller};
use crate::wire::facts::Guid;

impl<S: Stream> Links<S> {
    /// Creates the links of a client for whom the router speaks with this login; none is dialed yet.
    pub(crate) fn speaking_for(fleet: Arc<Fleet<S>>, conn: ConnId, caller: Caller, login: Login) -> Self {
        let access = Access { identity: Identity::Router, transport: Transport::Sasl };
        Self { acting: Some(Acting::new(caller)), ..Self::new(fleet, conn, access, login) }
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
