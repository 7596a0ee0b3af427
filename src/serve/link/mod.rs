//! Links: the authenticated connections from the router to coordinators. Each carries the credentials of one
//! identity, so a coordinator judges a call as if the client had made it.

pub(crate) mod handshake;
pub(crate) mod login;
pub(crate) mod lost;
pub(crate) mod next;
pub(crate) mod no_link;
pub(crate) mod no_verdict;
pub(crate) mod own_call;
pub(crate) mod port;
pub(crate) mod read_reply;
pub(crate) mod router_login;
pub(crate) mod session;
pub(crate) mod session_queue;
pub(crate) mod slot;
pub(crate) mod unanswered;
pub(crate) mod waiting;
pub(crate) mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, TryFutureExt};

use crate::chance::Chance;
use crate::cluster::{Coordinator, SessionCount};
use crate::ids::Service;
use crate::net::flow::{Chunk, WriteError};
use crate::net::stream::{LinkStream, Stream};
use crate::serve::link::lost::LostCause;
use crate::serve::link::router_login::NotLoggedIn;
use crate::serve::link::session::{LinkSession, beeswax_session};
use crate::serve::link::slot::{LinkLife, Slot};
use crate::serve::message::coding::Form;
use crate::serve::message::link_end::{LinkEnd, ReadError};
use crate::serve::message::request::Request;
use crate::serve::shared::Shared;
use crate::session::table::Table;
use crate::wire::facts::{Guid, GuidText};

/// An authenticated connection to one port of a coordinator. It is passed around in a box, because it goes
/// through all stages of a call and would make the future of each one larger.
#[derive(Debug)]
pub(crate) struct Link<S: Stream> {
    /// The coordinator at the other end.
    pub coordinator: Arc<Coordinator>,
    /// The connection, and how messages travel on it.
    pub end: LinkEnd<LinkStream<S>>,
    /// The session that ends when the link is closed, if there is one.
    pub session: Option<LinkSession>,
    /// The slot that counts the link.
    pub slot: Slot<S>,
    /// The age of the link and what has happened on it.
    pub life: LinkLife,
}

impl<S: Stream> Link<S> {
    /// Creates a link from a connection that was just dialed. `moves` is the number of times that the
    /// coordinator's address had changed when it was dialed.
    pub(crate) fn new(end: LinkEnd<LinkStream<S>>, mut slot: Slot<S>, moves: u32) -> Box<Self> {
        let (coordinator, life) = (Arc::clone(&slot.port.coordinator), slot.begin_life(moves));
        Box::new(Self { coordinator, end, session: None, slot, life })
    }

    /// Returns a shared link to its port. No call may be under way on it.
    pub(crate) fn put_back(self: Box<Self>) {
        let port = Arc::clone(&self.slot.port);
        port.put(self);
    }

    /// The service of the port that the link leads to.
    pub(crate) fn service(&self) -> Service {
        self.slot.port.service
    }
}

impl<S: Stream> Link<S> {
    /// Reads the next bytes from the coordinator, and records it if the link is broken. Cancel-safe.
    ///
    /// # Errors
    /// When the coordinator, or something on the way to it, has ended the connection, or when the coordinator
    /// says over HTTP that there will be no reply.
    pub(crate) fn read(&mut self) -> impl Future<Output = Result<Chunk, LostCause>> {
        let Self { end, slot, .. } = self;
        end.read().map(|read| {
            let broken = match read {
                Ok(Some(chunk)) => return Ok(chunk),
                Ok(None) => LostCause::Closed,
                Err(ReadError::Failed(error)) => error.into(),
                Err(ReadError::Refused(refusal)) => return Err(LostCause::Refused(refusal)),
                Err(ReadError::NotLoggedIn(text)) => NotLoggedIn::Refused { text }.into(),
            };
            slot.note_broken();
            Err(broken)
        })
    }

    /// Sends what is held of a request; returns how many bytes that are on this link. The coordinator may stop
    /// reading for at most `stall`. Records it if the link is broken.
    ///
    /// # Errors
    /// When the connection breaks, or the coordinator reads nothing for `stall`. The number says how many
    /// bytes were written before.
    pub(crate) fn send(
        &mut self,
        request: &mut Request,
        form: Form,
        stall: Duration,
    ) -> impl Future<Output = Result<usize, (LostCause, usize)>> {
        let Self { end, slot, .. } = self;
        end.send(request, form, stall).map_err(|unsent| note_unsent(slot, unsent))
    }

    /// Sends a whole message.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    pub(crate) fn send_message(
        &mut self,
        payload: &[u8],
        stall: Duration,
    ) -> impl Future<Output = Result<(), (LostCause, usize)>> {
        let Self { end, slot, .. } = self;
        end.send_message(payload, stall).map_err(|unsent| note_unsent(slot, unsent))
    }
}

/// Records it if a link broke while something was written.
fn note_unsent<S: Stream>(slot: &mut Slot<S>, (error, written): (WriteError, usize)) -> (LostCause, usize) {
    match error {
        WriteError::Failed(error) => {
            slot.note_broken();
            (LostCause::Failed(error), written)
        }
        stalled @ WriteError::Stalled { .. } => (LostCause::Stalled(stalled), written),
    }
}

impl<S: Stream> Link<S> {
    /// Adds the session of a Beeswax link to the table; with Beeswax, the connection is the session. `count`
    /// counts it as load.
    pub(crate) fn begin_beeswax(
        &mut self,
        count: SessionCount,
        table: &Arc<Table>,
        chance: &Chance,
        shared: &Shared<S>,
    ) {
        let session = beeswax_session(self.slot.access.clone(), count, chance);
        let guid = GuidText(session.guid);
        match LinkSession::begin(table, session) {
            Ok(session) => self.session = Some(session),
            Err(error) => shared.warn_unknown(&guid, error),
        }
    }

    /// Records a session that was just opened on the link. Unless sessions outlive connections, it ends with
    /// the link.
    pub(crate) fn note_opened(&mut self, guid: Guid, outlives: bool, table: &Arc<Table>) {
        if !outlives {
            LinkSession::follow(&mut self.session, table, guid);
        }
        self.life.note_session();
    }
}
