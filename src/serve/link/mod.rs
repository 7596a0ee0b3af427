//! Links: the authenticated connections from the router to coordinators. Each carries the credentials of one identity, so
//! a coordinator judges a call as if the client had made it.

pub(crate) mod dial;
pub(crate) mod login;
pub(crate) mod lost;
pub(crate) mod next;
pub(crate) mod no_link;
pub(crate) mod own_call;
pub(crate) mod port;
pub(crate) mod read_reply;
pub(crate) mod session;
pub(crate) mod session_queue;
pub(crate) mod slot;
pub(crate) mod unanswered;
pub(crate) mod waiting;
pub(crate) mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, TryFutureExt};

use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::flow::{Chunk, WriteError};
use crate::net::stream::{LinkStream, Stream};
use crate::serve::link::lost::LostCause;
use crate::serve::link::session::LinkSession;
use crate::serve::link::slot::{Made, Slot};
use crate::serve::message::link_end::LinkEnd;

/// A connection to a coordinator on which nothing is under way. Passed around in a box: it goes through all stages of a
/// call, and in place it would make the state of each larger.
#[derive(Debug)]
pub(crate) struct Link<S: Stream> {
    /// Where it leads.
    pub coordinator: Arc<Coordinator>,
    /// The connection, and how messages travel on it.
    pub end: LinkEnd<LinkStream<S>>,
    /// The session that ends with it.
    pub session: Option<LinkSession>,
    /// Counts it.
    pub slot: Slot<S>,
    /// What it has been through.
    pub made: Made,
}

impl<S: Stream> Link<S> {
    /// A link that was just made. `moves` is how often its coordinator had come to be elsewhere when it was dialed.
    pub(crate) fn new(end: LinkEnd<LinkStream<S>>, mut slot: Slot<S>, moves: u32) -> Box<Self> {
        let (coordinator, made) = (Arc::clone(&slot.port.coordinator), slot.made(moves));
        Box::new(Self { coordinator, end, session: None, slot, made })
    }

    /// Puts a link that is shared back, on which nothing is under way.
    pub(crate) fn put_back(self: Box<Self>) {
        let port = Arc::clone(&self.slot.port);
        port.put(self);
    }

    /// Which of the coordinator's ports it leads to.
    pub(crate) fn service(&self) -> Service {
        self.slot.port.service
    }
}

impl<S: Stream> Link<S> {
    /// The next bytes from its coordinator; notes if it is broken. Cancel-safe.
    ///
    /// # Errors
    /// Its coordinator, or what is between, has ended it.
    pub(crate) fn read(&mut self) -> impl Future<Output = Result<Chunk, LostCause>> {
        let Self { end, slot, .. } = self;
        end.read().map(|read| {
            let read = match read {
                Ok(chunk) if chunk.is_empty() => Err(LostCause::Closed),
                Ok(chunk) => Ok(chunk),
                Err(error) => Err(error.into()),
            };
            read.inspect_err(|_| slot.note_broken())
        })
    }

    /// Writes all of this within the time that its coordinator may stop reading; notes if it is broken.
    ///
    /// # Errors
    /// What went wrong, and how many bytes were written before.
    pub(crate) fn write_all(
        &mut self,
        bytes: &[u8],
        stall: Duration,
    ) -> impl Future<Output = Result<(), (LostCause, usize)>> {
        let Self { end, slot, .. } = self;
        end.write_all(bytes, stall).map_err(|(error, written)| match error {
            WriteError::Failed(error) => {
                slot.note_broken();
                (LostCause::Failed(error), written)
            }
            stalled @ WriteError::Stalled { .. } => (LostCause::Stalled(stalled), written),
        })
    }
}
