//! One request of a client, and the answer to it. An ordinary request, with a body of known length, is only
//! counted, as a frame would be, and so is an answer of known length to it. hyper does the rest: what comes or
//! goes in chunks, clients that ask before they send, and those of HTTP/1.0.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::http::response::Parts;
use parking_lot::Mutex;

use crate::net::stream::Stream;
use crate::serve::message::client::{Client, Unused};
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::http::answer::head_bytes;
use crate::serve::message::http::inbound::{Broken, Inbound};
use crate::serve::message::parcel::Parcel;

/// A request whose head has come, and the answer as far as it was sent.
pub(super) enum ClientExchange<S: Stream> {
    /// The request is an ordinary one, and the answer has a known length if it has begun.
    Counted(Counted),
    /// It is hyper's. Locked by nobody: this makes the connection one that threads may look at.
    Hyper(Box<Mutex<Inbound<S>>>),
}

pub(super) struct Counted {
    /// How many bytes of the request's body are to come.
    left: u64,
    has_answered: bool,
}

impl<S: Stream> ClientExchange<S> {
    /// An exchange whose request has a body of `length` bytes, of which none is taken yet.
    pub(super) fn counted(length: u64) -> Self {
        Self::Counted(Counted { left: length, has_answered: false })
    }

    /// An exchange that hyper has begun.
    pub(super) fn hyper(inbound: Inbound<S>) -> Self {
        Self::Hyper(Box::new(Mutex::new(inbound)))
    }

    /// Whether the answer has begun.
    pub(super) fn has_answered(&mut self) -> bool {
        match self {
            Self::Counted(counted) => counted.has_answered,
            Self::Hyper(inbound) => inbound.get_mut().has_answered,
        }
    }

    /// Whether the whole body has come.
    pub(super) fn has_all(&mut self) -> bool {
        match self {
            Self::Counted(counted) => counted.left == 0,
            Self::Hyper(inbound) => inbound.get_mut().has_all(),
        }
    }

    /// Whether more of the body is to come, as far as is known.
    pub(super) fn has_more(&mut self) -> bool {
        match self {
            Self::Counted(counted) => counted.left > 0,
            Self::Hyper(inbound) => inbound.get_mut().has_more(),
        }
    }

    /// Counts those of so many bytes that belong to the body as taken, and returns how many they are; none if the
    /// body has ended, or if hyper has the connection.
    pub(super) fn count(&mut self, bytes: usize) -> Option<usize> {
        let Self::Counted(counted @ Counted { left: 1.., .. }) = self else { return None };
        let len = usize::try_from(counted.left).unwrap_or(usize::MAX).min(bytes);
        counted.left -= len as u64;
        Some(len)
    }

    /// Whether the router itself sends an answer of known length.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Self::Counted(_))
    }

    /// Notes that the router itself begins the answer.
    pub(super) fn begin_answer(&mut self) {
        if let Self::Counted(counted) = self {
            counted.has_answered = true;
        }
    }

    /// Waits for the next piece of the body; none at its end. Cancel-safe.
    ///
    /// # Errors
    /// When the client closes the connection before that, or sends what is no body.
    pub(super) async fn piece(&mut self, client: &mut Client<S>) -> Result<Option<Bytes>, End> {
        let counted = match self {
            Self::Counted(counted) => counted,
            Self::Hyper(inbound) => return inbound.get_mut().piece(&mut client.stream).await.map_err(broken),
        };
        if counted.left == 0 {
            return Ok(None);
        }
        if client.pending.is_empty() && !client.more().await? {
            return Err(broken(Broken::Cut));
        }
        // What follows the body stays: it is another request.
        let len = usize::try_from(counted.left).unwrap_or(usize::MAX).min(client.pending.len());
        counted.left -= len as u64;
        Ok(Some(client.pending.split_to(len).freeze()))
    }

    /// Sends the head of the answer and the front of its body; `length` is that of the whole body, if that is
    /// known, and `ends` says whether nothing follows. The client must take some of it every `stall`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(super) async fn answer(
        &mut self,
        client: &mut Client<S>,
        head: Parts,
        front: Front<'_>,
        stall: Duration,
    ) -> Result<(), End> {
        let Front { piece, length, ends } = front;
        if let (Self::Counted(_), Some(length)) = (&*self, length) {
            self.begin_answer();
            return client.send_both(head_bytes(&head, length), &piece, stall).await;
        }
        if let Self::Counted(_) = self {
            *self = Self::hyper(Inbound::answering(&mut client.stream).map_err(broken)?);
        }
        if let Self::Hyper(inbound) = self {
            inbound.get_mut().answer(&mut client.stream, Response::from_parts(head, ()), length);
        }
        self.send(client, piece, ends, stall).await
    }

    /// Sends a piece of the answer's body; nothing follows the last one. The client must take some of it every
    /// `stall`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(super) async fn send(
        &mut self,
        client: &mut Client<S>,
        piece: Parcel<'_>,
        ends: bool,
        stall: Duration,
    ) -> Result<(), End> {
        match self {
            Self::Counted(_) => client.send(&piece, stall).await,
            Self::Hyper(inbound) => {
                let sent = inbound.get_mut().send(&mut client.stream, piece.to_bytes(), ends, stall).await;
                sent.map_err(End::untaken)
            }
        }
    }

    /// Ends the exchange, and leaves what was read and belongs to the next one to the client.
    pub(super) fn finish(self, client: &mut Client<S>) {
        if let Self::Hyper(inbound) = self {
            let mut unread = inbound.into_inner().finish();
            unread.extend_from_slice(&client.pending);
            client.pending = unread.into();
        }
        if client.pending.is_empty() {
            // An idle connection keeps no buffer.
            client.pending = Unused::default();
        }
    }
}

/// The front of an answer's body.
pub(super) struct Front<'a> {
    pub(super) piece: Parcel<'a>,
    /// How many bytes the body has, if that is known.
    pub(super) length: Option<u64>,
    /// Whether nothing follows.
    pub(super) ends: bool,
}

/// What a broken exchange is for the connection.
pub(super) fn broken(broken: Broken) -> End {
    match broken {
        Broken::Cut => End::ClientBroke { inside: "request" },
        // hyper says where it was, and the cause says what it found there.
        Broken::Failed(error) => {
            BadInput::Http(error.source().map_or_else(|| error.to_string(), ToString::to_string)).into()
        }
    }
}
