//! One request of a client over HTTP, and the answer to it, by hyper. The router is the server here.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use crate::net::flow::WriteError;
use crate::net::stream::Stream;
use crate::net::tls::io::Io;
use crate::serve::message::http::desk::{Desk, Lent, Pieces, Writes};
use crate::wire::http::head::Framing;

/// The most bytes that hyper keeps of what the client sent.
const BUFFER_LIMIT: usize = 128 << 10;

/// Why an exchange with a client did not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The client closed the connection inside the request.
    #[error("the client closed the connection inside its request")]
    Cut,
    /// hyper gave up on the connection.
    #[error(transparent)]
    Failed(#[from] hyper::Error),
}

/// Where hyper leaves the request and finds the answer's head.
struct Hatch<S: Stream>(Arc<Mutex<Heads<S>>>);

struct Heads<S: Stream> {
    request: Option<Request<Incoming>>,
    answer: Option<Response<Pieces<S>>>,
}

impl<S: Stream> Service<Request<Incoming>> for Hatch<S> {
    type Response = Response<Pieces<S>>;
    type Error = Infallible;
    type Future = Awaited<S>;

    fn call(&self, request: Request<Incoming>) -> Awaited<S> {
        self.0.lock().request = Some(request);
        Awaited(Self(Arc::clone(&self.0)))
    }
}

/// The answer's head, which comes when the router has it.
struct Awaited<S: Stream>(Hatch<S>);

impl<S: Stream> Future for Awaited<S> {
    type Output = Result<Response<Pieces<S>>, Infallible>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Whoever puts the answer there polls hyper then.
        self.0.0.lock().answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)))
    }
}

type Hyper<S> = Connection<TokioIo<Lent<S>>, Hatch<S>>;

/// A request whose head has come, and the answer as far as it was sent.
pub(super) struct Inbound<S: Stream> {
    hyper: Hyper<S>,
    desk: Desk<S>,
    heads: Arc<Mutex<Heads<S>>>,
    body: Option<Incoming>,
    /// Whether the request's body marks its own end, so that hyper may have read bytes behind it.
    is_chunked: bool,
    /// Whether the answer has begun.
    pub(super) has_answered: bool,
}

impl<S: Stream> fmt::Debug for Inbound<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("has_answered", &self.has_answered).finish_non_exhaustive()
    }
}

impl<S: Stream> Inbound<S> {
    /// Begins an exchange. `unread` begins with a head of `head_len` bytes that was checked.
    pub(super) fn new(stream: &Io<S>, unread: BytesMut, head_len: usize, framing: Framing) -> Self {
        // What follows a body of known length stays unread: it is another request.
        let may_read = match framing {
            Framing::Length(length) => length.saturating_add(head_len as u64),
            Framing::Chunked => u64::MAX,
        };
        let desk = Desk::new(stream, unread, may_read);
        let heads = Arc::new(Mutex::new(Heads { request: None, answer: None }));
        let mut builder = Builder::new();
        // The router itself notices that a client has left, and it has its own words for a bad head.
        builder.half_close(true).max_buf_size(BUFFER_LIMIT).auto_date_header(false);
        let hyper = builder.serve_connection(TokioIo::new(desk.connection()), Hatch(Arc::clone(&heads)));
        Self { hyper, desk, heads, body: None, is_chunked: framing == Framing::Chunked, has_answered: false }
    }

    /// Begins where a request was read, and its answer is to be sent. hyper is made to believe that it has read
    /// the request.
    ///
    /// # Errors
    /// Never, as hyper is; but its types allow for it.
    pub(super) fn answering(stream: &mut Io<S>) -> Result<Self, Broken> {
        const REQUEST: &[u8] = b"POST / HTTP/1.1\r\n\r\n";
        let mut inbound = Self::new(stream, REQUEST.into(), REQUEST.len(), Framing::Length(0));
        let _head = inbound.head(stream)?;
        Ok(inbound)
    }

    /// Takes the request's head, all of which has come. After an error nothing was sent.
    ///
    /// # Errors
    /// When hyper does not understand the head.
    pub(super) fn head(&mut self, stream: &mut Io<S>) -> Result<Parts, Broken> {
        self.desk.set_writes(Writes::Held);
        let driven = self.desk.drive(stream, || self.hyper.poll_without_shutdown(&mut aside()));
        self.desk.set_writes(Writes::Flow);
        let request = self.heads.lock().request.take();
        let Some(request) = request else { return Err(driven.err().map_or(Broken::Cut, Broken::Failed)) };
        let (head, body) = request.into_parts();
        self.body = Some(body);
        Ok(head)
    }

    /// Whether the whole body has come.
    pub(super) fn has_all(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    /// Whether more of the body is to come, as far as is known.
    pub(super) fn has_more(&self) -> bool {
        !self.is_chunked && !self.has_all()
    }

    /// Waits for the next piece of the body; none at its end. Cancel-safe.
    ///
    /// # Errors
    /// When the client closes the connection before that, or sends what is no body.
    pub(super) fn piece(
        &mut self,
        stream: &mut Io<S>,
    ) -> impl Future<Output = Result<Option<Bytes>, Broken>> {
        poll_fn(move |cx| {
            let mut driven = false;
            loop {
                let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
                match Pin::new(body).poll_frame(&mut aside()) {
                    Poll::Ready(None) => self.body = None,
                    Poll::Ready(Some(Ok(frame))) => {
                        // Trailers say nothing to anybody here.
                        if let Ok(piece) = frame.into_data() {
                            return Poll::Ready(Ok(Some(piece)));
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        let is_cut = self.desk.has_read_end();
                        return Poll::Ready(Err(if is_cut { Broken::Cut } else { error.into() }));
                    }
                    Poll::Pending if driven => return Poll::Pending,
                    Poll::Pending => {
                        driven = true;
                        // An error is found where the body ends.
                        let _ended = self.desk.drive(stream, || self.hyper.poll_without_shutdown(cx));
                    }
                }
            }
        })
    }

    /// Puts down the head of the answer. `length` is that of its body, if that is known.
    pub(super) fn answer(&mut self, stream: &mut Io<S>, head: Response<()>, length: Option<u64>) {
        self.has_answered = true;
        self.desk.announce(length);
        self.heads.lock().answer = Some(head.map(|()| self.desk.body()));
        if self.is_chunked {
            // hyper may have read a part of the next request, and must leave it alone. The head is written
            // before that is said, because it would else say that the connection ends.
            self.desk.set_writes(Writes::Held);
            let _never = self.desk.drive(stream, || self.hyper.poll_without_shutdown(&mut aside()));
            self.desk.set_writes(Writes::Flow);
            Pin::new(&mut self.hyper).graceful_shutdown();
        }
    }

    /// Sends a piece of the answer's body; nothing follows the last one. The client must take some of it every
    /// `stall`.
    ///
    /// # Errors
    /// When the connection breaks, or the client takes no byte for `stall`.
    pub(super) async fn send(
        &mut self,
        stream: &mut Io<S>,
        piece: Bytes,
        is_last: bool,
        stall: Duration,
    ) -> Result<(), WriteError> {
        let Self { hyper, desk, .. } = self;
        desk.put(piece, is_last);
        desk.sent(stall, |cx| desk.drive(stream, || hyper.poll_without_shutdown(cx)))
            .await
            .map_err(|(error, _)| error)
    }

    /// Ends the exchange; returns what was read and belongs to the next one.
    pub(super) fn finish(self) -> BytesMut {
        if !self.is_chunked {
            // hyper could read no more than the request.
            return self.desk.take_unread();
        }
        let mut unread = BytesMut::from(self.hyper.into_parts().read_buf);
        unread.unsplit(self.desk.take_unread());
        unread
    }
}

/// A context that wakes nobody. Within an exchange hyper and whatever it gives or takes are polled in turn, so
/// only what the connection does wakes the task.
fn aside() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
