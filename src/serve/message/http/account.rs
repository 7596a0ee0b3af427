//! For whom a link over HTTP is, and what its coordinator says about that: cookies, and the user whom a ticket
//! of Kerberos has proven.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;

use crate::ids::{Credential, Proof};
use crate::serve::message::http::cookies::Cookies;
use crate::wire::http::cookie::SetCookie;
use crate::wire::http::request::CallHead;

/// For whom a link is, where coordinators may give cookies.
pub(crate) struct Account {
    /// What each request on the link has.
    pub credential: Credential,
    /// The coordinator's cookies.
    pub cookies: Arc<Cookies>,
}

/// A user whom a coordinator has named because of a ticket that was shown to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    /// What stands for the user from now on.
    pub credential: Credential,
    /// The user's name.
    pub user: Arc<str>,
    /// The hash of the ticket.
    pub ticket: [u64; 2],
    /// For how long the coordinator's cookie is good.
    pub good_for: Duration,
}

/// What a request is sent with.
pub(super) enum Shown {
    /// The cookie that stands for the credential, if there is one, and what lasts of the credential.
    Cookie(Option<HeaderValue>),
    /// The ticket that the request brought.
    Ticket,
    /// Nothing: the ticket is missing, or was sent before.
    Nothing,
}

impl Account {
    /// The router's own, on one link. Its cookies are that link's alone, so none outlives the process that gave it.
    pub(super) fn of_router() -> Self {
        let credential = Credential { proof: Proof::Router, do_as: None };
        Self { credential, cookies: Arc::default() }
    }

    /// Whether it is the router's own.
    pub(super) fn is_routers(&self) -> bool {
        self.credential.proof == Proof::Router
    }

    /// Whether there is something to send a request with that has this head.
    pub(crate) fn has_something_to_show(&self, head: &CallHead) -> bool {
        !self.credential.needs_tickets() || head.has_fresh_ticket() || self.cookies.has(&self.credential)
    }

    /// What to send a request with that has this head. Takes the ticket that it has, if that is to be sent.
    pub(super) fn show(&self, head: &CallHead) -> Shown {
        match self.cookies.find(&self.credential) {
            None if !self.credential.needs_tickets() => Shown::Cookie(None),
            None if head.spend_ticket() => Shown::Ticket,
            None => Shown::Nothing,
            cookie => Shown::Cookie(cookie),
        }
    }

    /// Notes the cookie that came with the answer to an accepted request. If that brought a ticket, returns the
    /// user whom the coordinator names.
    pub(super) fn note(&mut self, cookie: SetCookie) -> Option<Proven> {
        let Proof::Ticket(ticket) = self.credential.proof else {
            self.cookies.note(&self.credential, cookie);
            return None;
        };
        let user: Arc<str> = cookie.ticket_user().filter(|_| !cookie.is_taken_back())?.into();
        self.credential.proof = Proof::Named(Arc::clone(&user));
        let good_for = self.cookies.keep(&self.credential, cookie);
        Some(Proven { credential: self.credential.clone(), user, ticket, good_for })
    }

    /// Notes that the coordinator has refused a request.
    pub(super) fn note_refused(&self) {
        self.cookies.note_refused(&self.credential);
    }

    /// Whether cookies are all that is shown for it.
    pub(super) fn shows_cookies_only(&self) -> bool {
        matches!(self.credential.proof, Proof::Named(_))
    }
}
