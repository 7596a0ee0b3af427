//! The link end of a call. It takes a request's payload and gives a reply's, and hides the framing that the
//! link uses.

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;

use crate::ids::Transport;
use crate::net::flow::{self, Chunk, WriteError};
use crate::net::probe::Speaks;
use crate::net::stream::{Seen, Stream};
use crate::net::tls::io::Io;
use crate::serve::message::coding::{self, Decoder, Follows, Form};
use crate::serve::message::http::account::Proven;
use crate::serve::message::http::answer::Refusal;
use crate::serve::message::http::link::HttpLink;
use crate::serve::message::reply::{BadReply, Reply};
use crate::serve::message::request::Request;

/// The most payload bytes that one frame of a reply may have: as many as a header can say.
const FRAME_LIMIT: usize = i32::MAX as usize;

/// What a chunk brought of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The number of bytes at the chunk's front that belong to the reply, in the form that was asked for.
    pub kept: usize,
    /// Whether the reply has ended.
    pub done: bool,
    /// Whether the link may serve another call: the reply has ended and nothing follows it. Bytes behind it
    /// would be taken for the next reply.
    pub clean: bool,
    /// How many more bytes of payload are to come, if the transport says so before.
    pub left: Option<u64>,
}

/// Reads the replies on one link, one after the other.
#[derive(Debug)]
pub struct Replies {
    transport: Transport,
    decoder: Decoder,
}

impl Replies {
    /// Creates a reader for a link from which nothing was read.
    pub fn new(transport: Transport) -> Self {
        Self { transport, decoder: Decoder::new(transport, FRAME_LIMIT) }
    }

    /// Takes the reply's part of `bytes`, and moves it to their front.
    ///
    /// # Errors
    /// [`BadReply`], when the bytes are not a reply to the request, or when its frame goes on after the
    /// reply.
    pub fn take(&mut self, reply: &mut Reply, bytes: &mut [u8], form: Form) -> Result<Taken, BadReply> {
        if reply.begin() {
            Reply::look_at(bytes, self.decoder.header_len())?;
        }
        let (used, kept) = if self.decoder.is_unframed() {
            let used = reply.scan(bytes)?;
            (used, used)
        } else {
            self.take_pieces(reply, bytes, form)?
        };
        reply.note_boundary(self.decoder.at_boundary());
        reply.check()?;
        let done = reply.is_done();
        Ok(Taken { kept, done, clean: done && used == bytes.len(), left: None })
    }

    /// Takes the reply's part of framed bytes; returns how many were used, and how many were kept.
    fn take_pieces(
        &mut self,
        reply: &mut Reply,
        bytes: &mut [u8],
        form: Form,
    ) -> Result<(usize, usize), BadReply> {
        let (mut used, mut kept) = (0, 0);
        while !(reply.is_whole() && self.decoder.at_boundary())
            && let Some(rest) = bytes.get_mut(used..).filter(|rest| !rest.is_empty())
        {
            let piece = self.decoder.next(rest)?;
            let scanned = reply.scan(rest.get(piece.payload.clone()).unwrap_or_default())?;
            if reply.is_whole() && (scanned < piece.payload.len() || self.decoder.remaining() > 0) {
                return Err(BadReply::AfterReply);
            }
            match form {
                Form::AsItCame => kept += piece.used,
                Form::Payload => {
                    let payload = used + piece.payload.start..used + piece.payload.end;
                    let len = payload.len();
                    bytes.copy_within(payload, kept);
                    kept += len;
                }
            }
            used += piece.used;
        }
        Ok((used, kept))
    }
}

/// How closely to look at a link on which nothing is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Asks the kernel, which knows even what arrived a microsecond ago.
    Closely,
    /// Asks the runtime, which may not yet know what arrived just now.
    Briefly,
}

/// Why nothing more comes of a reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The connection is broken.
    #[error(transparent)]
    Failed(#[from] io::Error),
    /// The coordinator answered over HTTP that there will be no reply.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The coordinator does not accept the router's own ticket, or the cookie that it gave for one.
    #[error("{0}")]
    NotLoggedIn(String),
}

/// A link's connection, together with the transport that it uses.
pub(crate) struct LinkEnd<S: Stream> {
    stream: Io<S>,
    replies: Replies,
    http: Option<Box<HttpLink<S>>>,
}

impl<S: Stream> fmt::Debug for LinkEnd<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkEnd").field("transport", &self.replies.transport).finish_non_exhaustive()
    }
}

impl<S: Stream> LinkEnd<S> {
    /// Wraps a connection to a coordinator on which no message was sent yet.
    pub(crate) fn new(stream: Io<S>, transport: Transport) -> Self {
        Self { stream, replies: Replies::new(transport), http: None }
    }

    /// Wraps a connection to a coordinator on which no request was sent over HTTP yet.
    pub(crate) fn over_http(stream: Io<S>, http: HttpLink<S>) -> Self {
        Self { stream, replies: Replies::new(Transport::Http), http: Some(Box::new(http)) }
    }

    /// Returns the link's transport.
    pub(crate) fn transport(&self) -> Transport {
        self.replies.transport
    }

    /// Returns what the coordinator understands.
    pub(crate) fn speaks(&self) -> Speaks {
        coding::speaks(self.transport())
    }

    /// Returns whether a request that is not held whole may be sent in this form.
    pub(crate) fn takes_pieces(&self, form: Form) -> bool {
        // A frame begins with the length of its message, which is not known yet.
        self.transport() != Transport::Framed || form == Form::AsItCame
    }

    /// Sends what is held of a request; returns how many bytes of it that are on this link. `form` is the form
    /// of the pieces that follow it. The coordinator must take some of them every `stall`.
    ///
    /// # Errors
    /// The error and the number of bytes that were written before it, when the link is broken or the
    /// coordinator takes no byte for `stall`.
    pub(crate) async fn send(
        &mut self,
        request: &mut Request,
        form: Form,
        stall: Duration,
    ) -> Result<usize, (WriteError, usize)> {
        if let Some(http) = &mut self.http {
            let Some(head) = http.begin(request) else {
                // Boxed: few requests go in pieces.
                return Box::pin(http.send(&mut self.stream, request, stall)).await;
            };
            let payload = request.held_bytes();
            flow::write_both(&mut self.stream, head, payload, stall).await?;
            return Ok(payload.len());
        }
        let bytes = request.encode(self.replies.transport, form);
        flow::write_all(&mut self.stream, &bytes, stall).await?;
        Ok(bytes.len())
    }

    /// Sends a whole message.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    pub(crate) async fn send_message(
        &mut self,
        payload: &[u8],
        stall: Duration,
    ) -> Result<(), (WriteError, usize)> {
        if let Some(http) = &mut self.http {
            return Box::pin(http.send_message(&mut self.stream, payload, stall)).await;
        }
        let bytes = coding::encode(payload, self.transport(), Follows::Nothing);
        flow::write_all(&mut self.stream, &bytes, stall).await
    }

    /// Reads the next bytes from the coordinator, which are then to be [taken](Self::take); none if the
    /// coordinator has closed the link. Cancel-safe.
    ///
    /// # Errors
    /// [`ReadError`], when the connection is broken, or when there will be no reply.
    pub(crate) fn read(&mut self) -> impl Future<Output = Result<Option<Chunk>, ReadError>> {
        match &mut self.http {
            None => Either::Left(flow::read(&mut self.stream).map(|read| {
                let chunk = read?;
                Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
            })),
            // Boxed, so that calls in other transports have no room for it.
            Some(http) => Either::Right(Box::pin(http.read(&mut self.stream))),
        }
    }

    /// Returns the user whom the coordinator has just named because of a ticket, once.
    pub(crate) fn take_proven(&mut self) -> Option<Proven> {
        self.http.as_mut()?.proven.take()
    }

    /// Takes the reply's part of a chunk, and removes everything else from the chunk.
    ///
    /// # Errors
    /// The same as [`Replies::take`].
    pub(crate) fn take(
        &mut self,
        reply: &mut Reply,
        chunk: &mut Chunk,
        form: Form,
    ) -> Result<Taken, BadReply> {
        if let Some(http) = &mut self.http {
            return http.take(reply, chunk);
        }
        let taken = self.replies.take(reply, chunk.own_mut().unwrap_or_default(), form)?;
        chunk.truncate(taken.kept);
        Ok(taken)
    }

    /// Returns whether the link is open and no unrequested bytes have come. Only then may it serve a call. To
    /// be used only while nothing is under way on the link.
    pub(crate) fn is_clean(&mut self, look: Look) -> bool {
        let seen = match look {
            Look::Closely => self.stream.look(),
            Look::Briefly => self.stream.glance(),
        };
        seen == Seen::Nothing && self.http.as_ref().is_none_or(|http| http.is_idle())
    }

    /// Ready as soon as the link may no longer be [clean](Self::is_clean); until then the task is woken when
    /// that changes.
    pub(crate) fn poll_unclean(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_seen(cx).map(|_| ())
    }

    /// Moves the link to the runtime that this is called in.
    ///
    /// # Errors
    /// The error of the kernel, when it refuses to register the socket there; the connection is then closed.
    pub(crate) fn rehome(self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.rehome_here()?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::facts::Facts;
    use crate::wire::method::lookup;
    use crate::wire::thrift::MessageType;
    use crate::wire::write::Writer;

    fn message(seqid: i32) -> Vec<u8> {
        let message = Writer::message(MessageType::Reply, b"GetOperationStatus", seqid, |result| {
            result.structure(0, |reply| reply.structure(1, |status| status.i32(1, 0)));
        });
        message.to_vec()
    }

    /// The two halves of a message, each as it is sent by itself.
    fn halves(message: &[u8], transport: Transport) -> Vec<u8> {
        let (front, back) = message.split_at(message.len() / 2);
        let front = coding::encode(front, transport, Follows::More(None));
        [front, coding::encode(back, transport, Follows::Nothing)].concat()
    }

    fn reply_to(seqid: i32) -> Reply {
        Reply::to(lookup(b"GetOperationStatus"), &Facts::of_call(b"GetOperationStatus", seqid))
    }

    #[test]
    fn the_next_reply_on_a_link_is_read_wherever_the_one_before_it_was_cut() {
        for (transport, form) in [
            (Transport::Unframed, Form::AsItCame),
            (Transport::Framed, Form::Payload),
            (Transport::Sasl, Form::AsItCame),
            (Transport::Sasl, Form::Payload),
            (Transport::Lines, Form::Payload),
        ] {
            let sent = halves(&message(1), transport);
            for cut in 1..sent.len() {
                let (mut replies, mut reply, mut kept) = (Replies::new(transport), reply_to(1), Vec::new());
                for (part, is_last) in [(&sent[..cut], false), (&sent[cut..], true)] {
                    let mut bytes = part.to_vec();
                    let taken = replies.take(&mut reply, &mut bytes, form).unwrap();
                    kept.extend_from_slice(&bytes[..taken.kept]);
                    assert_eq!((taken.done, taken.clean), (is_last, is_last), "{transport:?}, cut at {cut}");
                }
                assert_eq!(kept, if form == Form::Payload { message(1) } else { sent.clone() });
                let mut next = reply_to(2);
                let taken = replies.take(&mut next, &mut halves(&message(2), transport), form).unwrap();
                assert!(taken.clean && next.is_checked(), "{transport:?}, cut at {cut}");
            }
        }
    }

    #[test]
    fn a_link_is_not_clean_behind_a_reply_after_which_something_came() {
        for transport in [Transport::Unframed, Transport::Framed, Transport::Sasl, Transport::Lines] {
            let mut sent = [halves(&message(1), transport), vec![0]].concat();
            let taken = Replies::new(transport).take(&mut reply_to(1), &mut sent, Form::Payload).unwrap();
            assert!(taken.done && !taken.clean, "{transport:?}");
        }
    }
}
