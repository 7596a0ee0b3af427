//! The coordinator's side of a call: takes a request's payload, gives a reply's, whatever stands around them on the link.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::ids::Transport;
use crate::net::flow::{self, Chunk, WriteError};
use crate::net::probe::Speaks;
use crate::net::stream::{Seen, Stream};
use crate::serve::message::coding::{self, Decoder, Form};
use crate::serve::message::reply::{BadReply, Reply};
use crate::serve::message::request::Request;

/// Payload bytes that a frame of a reply may have: as many as a header can say.
const FRAME_LIMIT: usize = i32::MAX as usize;

/// What a chunk brought of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that belong to the reply, from the chunk's front; in the form that was asked for.
    pub kept: usize,
    /// Whether the reply has ended.
    pub done: bool,
    /// Whether the link may serve another call: the reply has ended, and nothing came behind it, which would be taken for the
    /// next one.
    pub clean: bool,
}

/// Reads replies off a link, one after the other.
#[derive(Debug)]
pub struct Replies {
    transport: Transport,
    decoder: Decoder,
}

impl Replies {
    /// Of a link of which nothing was read.
    pub fn new(transport: Transport) -> Self {
        Self { transport, decoder: Decoder::new(transport, FRAME_LIMIT) }
    }

    /// Takes a reply's part of the bytes that came, and leaves it at their front.
    ///
    /// # Errors
    /// [`BadReply`], when what came is no reply to the request, or goes on behind it inside a frame.
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
        reply.check()?;
        let done = reply.is_done();
        Ok(Taken { kept, done, clean: done && used == bytes.len() })
    }

    /// How many bytes were used, and how many were kept.
    fn take_pieces(
        &mut self,
        reply: &mut Reply,
        bytes: &mut [u8],
        form: Form,
    ) -> Result<(usize, usize), BadReply> {
        let (mut used, mut kept) = (0, 0);
        while !reply.is_done()
            && let Some(rest) = bytes.get_mut(used..).filter(|rest| !rest.is_empty())
        {
            let piece = self.decoder.next(rest)?;
            let scanned = reply.scan(rest.get(piece.payload.clone()).unwrap_or_default())?;
            if reply.is_done() && (scanned < piece.payload.len() || !self.decoder.at_boundary()) {
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

/// How hard a link that nothing is under way on is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The kernel is asked: what arrived a microsecond ago is seen.
    Closely,
    /// What the runtime was told is seen; what arrived in this very moment may be missed.
    Briefly,
}

/// A link's connection, and how messages travel on it.
pub(crate) struct LinkEnd<S> {
    stream: S,
    replies: Replies,
}

impl<S> fmt::Debug for LinkEnd<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkEnd").field("transport", &self.replies.transport).finish_non_exhaustive()
    }
}

impl<S: Stream> LinkEnd<S> {
    /// Of a connection to a coordinator on which no message was sent.
    pub(crate) fn new(stream: S, transport: Transport) -> Self {
        Self { stream, replies: Replies::new(transport) }
    }

    /// How messages travel on it.
    pub(crate) fn transport(&self) -> Transport {
        self.replies.transport
    }

    /// What its coordinator understands.
    pub(crate) fn speaks(&self) -> Speaks {
        coding::speaks(self.transport())
    }

    /// Whether a request that is not held whole may be sent on it, in this form.
    pub(crate) fn takes_pieces(&self, form: Form) -> bool {
        // A frame says first how long its message is.
        self.transport() != Transport::Framed || form == Form::AsItCame
    }

    /// What is held of a request, as it goes on the link. `form` is that of the pieces that follow it.
    pub(crate) fn encode<'a>(&self, request: &'a mut Request, form: Form) -> Cow<'a, [u8]> {
        request.encode(self.transport(), form)
    }

    /// A whole message, as it goes on the link.
    pub(crate) fn encode_message<'a>(&self, payload: &'a [u8]) -> Cow<'a, [u8]> {
        coding::encode(payload, self.transport())
    }

    /// Writes bytes that were [encoded](Self::encode), as long as the coordinator takes some every `stall`.
    ///
    /// # Errors
    /// What went wrong, and how many bytes were written before.
    pub(crate) fn write_all(
        &mut self,
        bytes: &[u8],
        stall: Duration,
    ) -> impl Future<Output = Result<(), (WriteError, usize)>> {
        flow::write_all(&mut self.stream, bytes, stall)
    }

    /// The next bytes from the coordinator, to be [taken](Self::take); none at the end. Cancel-safe.
    ///
    /// # Errors
    /// The connection's.
    pub(crate) fn read(&mut self) -> impl Future<Output = io::Result<Chunk>> {
        flow::read(&mut self.stream)
    }

    /// Takes a reply's part of what was read, and leaves no more in the chunk.
    ///
    /// # Errors
    /// As [`Replies::take`].
    pub(crate) fn take(
        &mut self,
        reply: &mut Reply,
        chunk: &mut Chunk,
        form: Form,
    ) -> Result<Taken, BadReply> {
        let taken = self.replies.take(reply, chunk, form)?;
        chunk.truncate(taken.kept);
        Ok(taken)
    }

    /// Whether it is open and nothing came that nobody asked for: only then may it serve a call. For a link on which nothing
    /// is under way.
    pub(crate) fn is_clean(&mut self, look: Look) -> bool {
        let seen = match look {
            Look::Closely => self.stream.look(),
            Look::Briefly => self.stream.glance(),
        };
        seen == Seen::Nothing
    }

    /// Ready as soon as it is not [clean](Self::is_clean) any more; until then the task is woken when it may not be.
    pub(crate) fn poll_unclean(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_seen(cx).map(|_| ())
    }

    /// Moves it to the runtime in which this is called.
    ///
    /// # Errors
    /// The kernel's; the connection is then gone.
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
        [coding::encode(front, transport), coding::encode(back, transport)].concat()
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
        for transport in [Transport::Unframed, Transport::Framed, Transport::Sasl] {
            let mut sent = [halves(&message(1), transport), vec![0]].concat();
            let taken = Replies::new(transport).take(&mut reply_to(1), &mut sent, Form::Payload).unwrap();
            assert!(taken.done && !taken.clean, "{transport:?}");
        }
    }
}
