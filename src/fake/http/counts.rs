//! What a coordinator's HTTP port counts, and the key of its cookies.

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use serde_json::{Map, Value};

use super::cookies::Signer;
use super::tickets::Tickets;
use crate::chance::Chance;

/// How often a way to authenticate led somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that it let in.
    pub success: u64,
    /// Requests that it did not let in; another way may have.
    pub failure: u64,
}

impl Tally {
    pub(super) fn count(&mut self, success: bool) {
        *if success { &mut self.success } else { &mut self.failure } += 1;
    }
}

/// What came by HTTP so far (Impala: `metrics.json`,
/// `impala.thrift-server.hiveserver2-http-frontend.total-*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpCounts {
    /// Heads of requests.
    pub requests: u64,
    /// Authentications by name and password.
    pub basic: Tally,
    /// Authentications by ticket.
    pub negotiate: Tally,
    /// Authentications by cookie.
    pub cookie: Tally,
    /// Requests that were believed because of the trusted header.
    pub trusted_header: u64,
    /// Bodies with more in them than a message. With Impala that is **a call that nobody authenticated**, so
    /// whoever forwards must keep this at zero.
    pub leftovers: u64,
    /// Requests of which a part was there before the last one was answered. Impala does not notice them
    /// until more comes, so this has to be zero as well.
    pub pipelined: u64,
}

impl HttpCounts {
    /// Adds them to a page of metrics.
    pub(in crate::fake) fn write(self, metrics: &mut Map<String, Value>) {
        let numbers = [
            ("total-basic-auth-success", self.basic.success),
            ("total-basic-auth-failure", self.basic.failure),
            ("total-negotiate-auth-success", self.negotiate.success),
            ("total-negotiate-auth-failure", self.negotiate.failure),
            ("total-cookie-auth-success", self.cookie.success),
            ("total-cookie-auth-failure", self.cookie.failure),
            ("total-trusted-auth-header-check-success", self.trusted_header),
        ];
        for (name, number) in numbers {
            let name = format!("impala.thrift-server.hiveserver2-http-frontend.{name}");
            metrics.insert(name, number.into());
        }
    }
}

/// What all connections over HTTP share.
#[derive(Debug)]
pub(in crate::fake) struct Ledger(Mutex<Books>);

#[derive(Debug)]
struct Books {
    counts: HttpCounts,
    signer: Signer,
    tickets: Tickets,
}

impl Ledger {
    pub(in crate::fake) fn new(chance: &Chance) -> Self {
        let (counts, tickets) = (HttpCounts::default(), Tickets::default());
        Self(Mutex::new(Books { counts, signer: Signer::new(chance), tickets }))
    }

    pub(in crate::fake) fn counts(&self) -> HttpCounts {
        self.0.lock().counts
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut HttpCounts)) {
        count(&mut self.0.lock().counts);
    }

    pub(super) fn signer(&self) -> MappedMutexGuard<'_, Signer> {
        MutexGuard::map(self.0.lock(), |books| &mut books.signer)
    }

    /// The user whom an authorization proves by a ticket that was not seen before.
    pub(super) fn ticket_user(&self, authorization: &str) -> Option<String> {
        let books = &mut *self.0.lock();
        let user = books.tickets.user(authorization);
        books.counts.negotiate.count(user.is_some());
        user
    }

    /// Knows no cookie from before any more.
    pub(in crate::fake) fn renew(&self, chance: &Chance) {
        self.0.lock().signer = Signer::new(chance);
    }
}
