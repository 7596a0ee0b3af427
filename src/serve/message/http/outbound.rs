//! One request to a coordinator over HTTP, and its answer, by hyper. The router is the client here.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::http::response::Parts;
use hyper::{Method, Request, Response, StatusCode, Version, header};
use hyper_util::rt::TokioIo;

use crate::net::flow::{Chunk, WriteError};
use crate::net::stream::Stream;
use crate::net::tls::io::Io;
use crate::serve::message::http::desk::{Desk, Lent, Pieces, Writes};
use crate::wire::http::cookie::{SetCookie, parse};

/// How many bytes one read takes of an answer that holds rows: as many as a fetch of a typical client has.
/// Other answers are short as a rule, and hyper begins with less.
const ROWS_SIZE: usize = 65 << 10;

type Hyper<S> = Connection<TokioIo<Lent<S>>, Pieces<S>>;
type Answering = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// A request that is sent, and the answer as far as it has come.
pub(super) struct Outbound<S: Stream> {
    hyper: Hyper<S>,
    /// hyper takes the connection for one that ends as soon as this is dropped.
    _sender: SendRequest<Pieces<S>>,
    desk: Desk<S>,
    answering: Answering,
    body: Option<Incoming>,
    /// Whether the coordinator keeps the connection open after the answer.
    keeps_open: bool,
}

impl<S: Stream> fmt::Debug for Outbound<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

/// What an answer brought.
pub(super) enum Came {
    /// The head of an answer that holds a reply, with what stands for the login from now on.
    Accepted(Option<SetCookie>),
    /// The head of another answer.
    Refused(Parts),
    /// A piece of the body.
    Piece(Chunk),
    /// The end of the body.
    End,
}

impl<S: Stream> Outbound<S> {
    /// Begins an exchange whose request has a body of unknown length. `brings_rows` says whether the answer is
    /// expected to hold rows.
    ///
    /// # Errors
    /// Never, as hyper is; but its types allow for it.
    pub(super) fn begin(stream: &Io<S>, head: Request<()>, brings_rows: bool) -> io::Result<Self> {
        Self::on(Desk::new(stream, BytesMut::new(), u64::MAX), head, brings_rows)
    }

    /// Begins where a request was sent, and its answer begins with `begun`. hyper is made to believe that it
    /// has sent the request.
    ///
    /// # Errors
    /// When hyper does not understand what has come.
    pub(super) fn answering(stream: &mut Io<S>, begun: BytesMut, brings_rows: bool) -> io::Result<Self> {
        let desk = Desk::new(stream, begun, 0);
        desk.announce(Some(0));
        desk.put(Bytes::new(), true);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        let mut outbound = Self::on(desk, request, brings_rows)?;
        let Self { hyper, desk, .. } = &mut outbound;
        desk.set_writes(Writes::Dropped);
        let mut aside = Context::from_waker(Waker::noop());
        desk.drive(stream, || hyper.poll_without_shutdown(&mut aside)).map_err(io::Error::other)?;
        desk.set_writes(Writes::Flow);
        desk.let_read(u64::MAX);
        Ok(outbound)
    }

    fn on(desk: Desk<S>, head: Request<()>, brings_rows: bool) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.read_buf_exact_size(brings_rows.then_some(ROWS_SIZE));
        let shaken = builder.handshake(TokioIo::new(desk.connection())).now_or_never();
        let (mut sender, hyper) = shaken.ok_or(io::ErrorKind::WouldBlock)?.map_err(io::Error::other)?;
        let answering = Box::pin(sender.send_request(head.map(|()| desk.body())));
        Ok(Self { hyper, _sender: sender, desk, answering, body: None, keeps_open: false })
    }

    /// Sends a piece of the request's body; nothing follows the last one. The coordinator must take some of
    /// it every `stall`.
    ///
    /// # Errors
    /// When the connection breaks, or the coordinator takes no byte for `stall`; with the number of bytes
    /// that it took of the request.
    pub(super) async fn send(
        &mut self,
        stream: &mut Io<S>,
        piece: Bytes,
        is_last: bool,
        stall: Duration,
    ) -> Result<(), (WriteError, usize)> {
        let Self { hyper, desk, .. } = self;
        desk.put(piece, is_last);
        desk.sent(stall, |cx| desk.drive(stream, || hyper.poll_without_shutdown(cx))).await
    }

    /// Waits for what comes next of the answer. Cancel-safe.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no answer.
    pub(super) fn next(&mut self, stream: &mut Io<S>) -> impl Future<Output = io::Result<Came>> {
        poll_fn(move |cx| {
            let mut driven = None;
            loop {
                if let Poll::Ready(came) = self.poll_came() {
                    return Poll::Ready(came);
                }
                match driven {
                    None => driven = Some(self.desk.drive(stream, || self.hyper.poll_without_shutdown(cx))),
                    Some(Ok(false)) => return Poll::Pending,
                    Some(Ok(true)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                }
            }
        })
    }

    /// Takes what hyper has of the answer.
    fn poll_came(&mut self) -> Poll<io::Result<Came>> {
        // The connection wakes the task; what it gives to hyper is looked for after that.
        let mut aside = Context::from_waker(Waker::noop());
        let Some(body) = &mut self.body else {
            return match self.answering.as_mut().poll(&mut aside) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(Ok(answer)) => {
                    let (head, body) = answer.into_parts();
                    self.keeps_open = head.version == Version::HTTP_11
                        && !head.headers.get_all(header::CONNECTION).iter().any(says_close);
                    self.body = Some(body);
                    Poll::Ready(Ok(came(head)))
                }
            };
        };
        loop {
            return match Pin::new(&mut *body).poll_frame(&mut aside) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(Ok(Came::End)),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => Poll::Ready(Ok(Came::Piece(piece.into()))),
                    // Trailers say nothing to anybody here.
                    Err(_) => continue,
                },
            };
        }
    }

    /// Whether all of the answer was taken, as its announced length says.
    pub(super) fn is_over(&self) -> bool {
        self.body.as_ref().is_some_and(Incoming::is_end_stream)
    }

    /// Whether the answer has ended, as far as can be told without waiting, once its body is whole for whoever
    /// reads it.
    ///
    /// # Errors
    /// When more of the body came, or the connection broke.
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        if self.is_over() {
            return Ok(true);
        }
        match self.poll_came() {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(Came::End)) => Ok(true),
            Poll::Ready(Ok(_)) => Err(io::ErrorKind::InvalidData.into()),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Ends an exchange whose answer has come; returns whether the connection may serve another one: the
    /// coordinator keeps it open, and nothing came after the answer.
    pub(super) fn finish(self) -> bool {
        let Self { hyper, desk, keeps_open, .. } = self;
        keeps_open && !desk.has_read_end() && hyper.into_parts().read_buf.is_empty()
    }
}

/// What a head brings.
fn came(head: Parts) -> Came {
    if head.status != StatusCode::OK {
        return Came::Refused(head);
    }
    let given = head.headers.get_all(header::SET_COOKIE).iter();
    Came::Accepted(given.filter_map(|value| parse(value.as_bytes())).find(SetCookie::is_login))
}

/// Whether a `Connection` header ends the connection.
fn says_close(value: &header::HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close")))
}
