//! Calls coordinators in the place of clients: to cancel an operation or to close a session, under the identity
//! that it belongs to.

use std::future::pending;
use std::sync::Arc;

use crate::cluster::Coordinator;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::Turn;
use crate::ids::{Access, Service};
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::link::own_call::OwnCall;
use crate::serve::link::port::Claimant;
use crate::serve::link::waiting::{self, NotCalled};
use crate::serve::link::{Link, no_link::NoLink};
use crate::serve::message::link_end::Look;
use crate::serve::shared::Shared;
use crate::session::table::{Named, Target};
use crate::wire::verdict::Verdict;

/// Why a coordinator did not do what it was called for.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Nobody has it any more.
    #[error("its coordinator was removed")]
    Removed,
    /// There is nothing to show to the coordinator.
    #[error(
        "the router has no login for it: no client of its user is connected, and no link of theirs is idle"
    )]
    NoLogin,
    /// No link could be had.
    #[error("no link to its coordinator became free: {0}")]
    NoRoom(String),
    /// The coordinator was not reached, or refused the login.
    #[error("its coordinator was not reached: {0}")]
    NoLink(String),
    /// The link was lost, or what came was no answer.
    #[error("its coordinator did not answer")]
    Unanswered,
    /// The coordinator answered otherwise.
    #[error("its coordinator refused")]
    Refused,
}

/// Calls one coordinator.
pub(super) struct Deputy<S: Stream> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) fleet: Arc<Fleet<S>>,
    pub(super) coordinator: Arc<Coordinator>,
}

impl<S: Stream> Deputy<S> {
    /// Cancels one operation, on the link that the last call left or on another. It is over then.
    ///
    /// # Errors
    /// [`NotDone`]; a link that is still good is left.
    pub(super) async fn cancel(
        &self,
        access: &Access,
        operation: Named,
        link: &mut Option<Box<Link<S>>>,
    ) -> Result<(), NotDone> {
        let service = match operation {
            Named::Operation(_) => access.hs2(),
            Named::Query(_) => Service::Beeswax,
        };
        let there = match link.take() {
            Some(link) => link,
            None => self.link(access, service).await?,
        };
        match self.call(there, OwnCall::Cancel(operation), link).await? {
            Verdict::Success | Verdict::NoSuchOperation => Ok(()),
            _ => Err(NotDone::Refused),
        }
    }

    /// Closes a session. The coordinator has it no more then.
    ///
    /// # Errors
    /// [`NotDone`].
    pub(super) async fn close(&self, session: &Target) -> Result<(), NotDone> {
        let (there, mut link) = (self.link(&session.access, session.access.hs2()).await?, None);
        let verdict = self.call(there, OwnCall::Close(session.handle), &mut link).await;
        put_back(link);
        match verdict? {
            Verdict::Success | Verdict::NoSuchSession => Ok(()),
            _ => Err(NotDone::Refused),
        }
    }

    async fn call(
        &self,
        there: Box<Link<S>>,
        call: OwnCall,
        link: &mut Option<Box<Link<S>>>,
    ) -> Result<Verdict, NotDone> {
        let answer = self.fleet.own_call(there, call).await.ok_or(NotDone::Unanswered)?;
        let verdict = answer.verdict(self.fleet.cluster.flavor.family());
        *link = answer.link;
        Ok(verdict)
    }

    /// Gets a link of the identity: an idle one, or one that is dialed with the credentials of a client that
    /// is connected.
    async fn link(&self, access: &Access, service: Service) -> Result<Box<Link<S>>, NotDone> {
        let port = self.fleet.port(&self.coordinator, service).ok_or(NotDone::Removed)?;
        let Some(login) = self.fleet.keyring.login_of(&access.identity) else {
            let idle = port.claim(Holder::ourselves(access), Purpose::Relief, Kind::Idle);
            return idle.and_then(|idle| idle.live(Look::Closely).ok()).ok_or(NotDone::NoLogin);
        };
        let holder = Holder::ourselves(access);
        let claimant = Claimant { holder, client: None, turn: Turn::of(holder), purpose: Purpose::Relief };
        // It waits for `queue_timeout`: there is no client that could give up earlier.
        let granted =
            waiting::link(&port, claimant, pending()).await.map_err(|not_called| no_room(&not_called))?;
        let slot = match granted.live(Look::Closely) {
            Ok(link) => return Ok(link),
            Err(slot) => slot,
        };
        let dialed = self.fleet.dial(slot, &login, &self.shared).await;
        dialed.map_err(|cause| self.not_dialed(&cause))
    }

    fn not_dialed(&self, cause: &NoLink) -> NotDone {
        let name = &self.coordinator.name;
        if let Some(left_out) = self.shared.admit_line("no link in the place of a client", "") {
            tracing::info!(coordinator = %name, %cause, left_out, "no link in the place of a client");
        }
        NotDone::NoLink(cause.to_string())
    }
}

/// Returns a link to its port, if it is a shared one.
pub(super) fn put_back<S: Stream>(link: Option<Box<Link<S>>>) {
    if let Some(link) = link.filter(|link| link.slot.port.shares) {
        link.put_back();
    }
}

fn no_room(not_called: &NotCalled) -> NotDone {
    match not_called {
        NotCalled::NoRoom(no_room) => NotDone::NoRoom(no_room.to_string()),
        NotCalled::ClientGone => NotDone::Unanswered,
    }
}
