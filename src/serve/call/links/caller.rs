//! For whom the links of a client connection are: who the client is, what proves that, and what coordinators
//! have said about it.

use std::sync::Arc;

use crate::clock;
use crate::cluster::Demand;
use crate::cluster::room::Holder;
use crate::ids::{
    Access, ClientAddress, ConnId, CoordinatorId, Credential, Identity, Proof, Service, Transport,
};
use crate::net::probe::Speaks;
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::connections::Listed;
use crate::serve::fleet::{Fleet, dialing};
use crate::serve::link::login::Login;
use crate::serve::message::coding;
use crate::session::delegation::Acting;
use crate::wire::http::request::{CallHead, CredentialKey};
use crate::wire::sasl::Credentials;

impl<S: Stream> Links<S> {
    pub(super) fn new(fleet: Arc<Fleet<S>>, listed: &Arc<Listed>, access: Access, login: Login) -> Self {
        let (listed, key, idle) = (Arc::clone(listed), None, Vec::new());
        listed.note(|known| known.access = Some(access.clone()));
        Self { fleet, listed, access, login, acting: None, key, refused: false, no_moves: false, idle }
    }

    /// Creates the links of a client without a login; none is dialed yet.
    pub(crate) fn anonymous(fleet: Arc<Fleet<S>>, listed: &Arc<Listed>, transport: Transport) -> Self {
        let access = Access { identity: Identity::Anonymous, transport };
        Self::new(fleet, listed, access, Login::Nobody)
    }

    /// Creates the links of a client that logs in; none is dialed yet.
    pub(crate) fn of(fleet: Arc<Fleet<S>>, listed: &Arc<Listed>, credentials: Credentials) -> Self {
        let access = Login::access_of(&credentials);
        let login = Login::Plain(Arc::new(credentials));
        Self::new(fleet, listed, access, login)
    }

    /// Creates the links of a client whose requests each name their user; none is dialed yet.
    pub(crate) fn over_http(fleet: Arc<Fleet<S>>, listed: &Arc<Listed>) -> Self {
        Self::anonymous(fleet, listed, Transport::Http)
    }

    /// Makes them the links of whoever the request with this head is made for: of the user whom the router's
    /// own cookie names, if there is one, else of whoever the request says. Nobody else's link is kept. For
    /// the same one, the first head stays: the keyring may have it.
    pub(crate) fn be_for(&mut self, head: &Arc<CallHead>, named: Option<Credential>, key: &CredentialKey) {
        let is_same = match (&named, &self.access.identity) {
            (Some(named), Identity::Credential(former)) => *named == **former,
            (Some(_), _) => false,
            // A ticket, or none where one was before, is judged anew each time.
            (None, former) if former.needs_tickets() => false,
            (None, _) => self.is_shown_by(head),
        };
        if !is_same {
            let credential = named.or_else(|| head.credential(key)).map(Arc::new);
            self.become_for(credential.map_or(Identity::Anonymous, Identity::Credential), head);
        }
    }

    /// Whether the last request had the same credential as this head.
    fn is_shown_by(&self, head: &Arc<CallHead>) -> bool {
        matches!(&self.login, Login::EachTime(former) if Arc::ptr_eq(former, head)
            || (former.authorization() == head.authorization() && former.do_as() == head.do_as()))
    }

    fn become_for(&mut self, identity: Identity, head: &Arc<CallHead>) {
        let access = Access { identity, transport: Transport::Http };
        self.become_access(access, Login::EachTime(Arc::clone(head)));
    }

    /// Forgets whose they were.
    pub(super) fn become_access(&mut self, access: Access, login: Login) {
        self.listed.note(|known| known.access = Some(access.clone()));
        (self.access, self.login, self.acting) = (access, login, None);
        (self.key, self.refused, self.no_moves) = (None, false, false);
        self.idle.clear();
    }

    /// Makes them the links of the user whom a coordinator has named because of the last request's ticket.
    pub(crate) fn become_proven(&mut self, credential: Credential) {
        if let Login::EachTime(head) = &self.login {
            let head = Arc::new(head.for_own_calls());
            self.become_for(Identity::Credential(Arc::new(credential)), &head);
        }
    }

    /// For whom calls are made: the identity that the links belong to, or the user for whom the router speaks.
    pub(crate) fn identity(&self) -> &Identity {
        self.acting.as_ref().map_or(&self.access.identity, Acting::identity)
    }

    /// The access that sessions are opened with.
    pub(crate) fn session_access(&self) -> Access {
        Access { identity: self.identity().clone(), transport: self.access.transport }
    }

    /// The identity that the links belong to, and the transport of their messages.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The client connection that the links belong to.
    pub(crate) fn conn(&self) -> ConnId {
        self.listed.id
    }

    /// Whether credentials are sent on each new link.
    pub(crate) fn logs_in(&self) -> bool {
        self.login.is_shown()
    }

    /// Whether credentials are sent with each call.
    pub(crate) fn shows_each_time(&self) -> bool {
        matches!(self.access.identity, Identity::Credential(_))
    }

    /// Whether coordinators are shown something of the client's: a few wrong passwords lock an account. The
    /// router's own ticket locks nobody out.
    pub(crate) fn may_lock_out(&self) -> bool {
        self.access.identity != Identity::Router && (self.logs_in() || self.shows_each_time())
    }

    /// Whether a ticket is sent with the call under way, and nobody has named its user yet.
    pub(crate) fn shows_ticket(&self) -> bool {
        matches!(&self.access.identity, Identity::Credential(credential) if matches!(credential.proof, Proof::Ticket(_)))
    }

    /// The protocol that the coordinators at the other ends understand.
    pub(crate) fn speaks(&self) -> Speaks {
        coding::speaks(self.access.transport)
    }

    /// Whether a probe can do what the client does: the client uses neither frames nor a login.
    pub(crate) fn are_plain(&self) -> bool {
        coding::is_plain(self.access.transport) && !self.logs_in()
    }

    /// The client's login as a demand. `None` if it sends no credentials.
    pub(crate) fn login(&self, service: Service) -> Option<Demand> {
        dialing::demand(&self.fleet.cluster, service, &self.login)
    }

    /// The holder that slots of a client at this address are counted for.
    pub(crate) fn holder(&self, client: ClientAddress) -> Holder<'_> {
        if self.is_accepted() { Holder::accepted(&self.access) } else { Holder::of(&self.access, client) }
    }

    /// Whether a coordinator has lately accepted the credential that the client sends with each call.
    pub(crate) fn is_accepted(&self) -> bool {
        match &self.access.identity {
            Identity::Credential(credential) => self.fleet.verdicts.are_good(credential, clock::now()),
            Identity::Anonymous
            | Identity::Plain(_)
            | Identity::Delegated(_)
            | Identity::Router
            | Identity::Unread => false,
        }
    }

    /// Records that a coordinator has accepted the credentials.
    pub(crate) fn note_accepted(&mut self) {
        self.key = self.fleet.keyring.add(&self.access.identity, self.listed.id, &self.login);
    }

    /// Records that a coordinator has answered a call, and so has accepted the credential that came with it.
    pub(crate) fn note_answered(&mut self, coordinator: CoordinatorId) {
        if let Identity::Credential(credential) = &self.access.identity {
            self.refused = false;
            if let Proof::Ticket(_) = credential.proof {
                // It was good for that call, and is for nothing else.
                return;
            }
            self.fleet.verdicts.note_accepted(credential, coordinator, clock::now());
            if self.key.is_none() {
                self.note_accepted();
            }
        }
    }

    /// Records that a coordinator has refused the credential that came with a call.
    pub(crate) fn note_unauthorized(&mut self, coordinator: CoordinatorId) {
        if let Identity::Credential(credential) = &self.access.identity {
            // A ticket or a cookie that is over locks nobody out.
            if !credential.needs_tickets() {
                self.fleet.verdicts.note_refused(credential, coordinator);
            }
            self.key = None;
        }
    }

    /// Records that a coordinator has refused the credentials, although one accepted them before: they are
    /// not sent to further coordinators any more.
    pub(crate) fn note_refused(&mut self) {
        self.refused = true;
        self.key = None;
    }

    /// Records that the credentials were refused when a session was to move.
    pub(crate) fn note_move_refused(&mut self) {
        self.no_moves = true;
    }

    /// Whether sessions may move with the credentials. Over HTTP, a coordinator may go on to accept a credential
    /// by its cookie that another one, which takes sessions, refuses: no session of it moves then, whatever
    /// connection uses it.
    pub(crate) fn may_move_sessions(&self) -> bool {
        let takes_sessions = |id: &CoordinatorId| {
            let coordinator = self.fleet.cluster.coordinator(*id);
            coordinator.is_some_and(|coordinator| coordinator.is_wanted())
        };
        let differ = match &self.access.identity {
            Identity::Credential(credential) => self.fleet.verdicts.differ(credential, takes_sessions),
            Identity::Anonymous
            | Identity::Plain(_)
            | Identity::Delegated(_)
            | Identity::Router
            | Identity::Unread => false,
        };
        !self.no_moves && !differ
    }

    /// Whether [`Self::note_refused`] was called.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }
}
