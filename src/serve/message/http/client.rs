//! The client's end over HTTP: each request is a POST whose body holds one message.

mod opening;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Response, Version};
use tokio::time::timeout;

use crate::clock;
use crate::net::linger::linger;
use crate::net::scratch::Scratch;
use crate::net::stream::Stream;
use crate::serve::message::client::Client;
use crate::serve::message::coding::Follows;
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::http::answer::{Answer, Given, head_bytes, reply_head};
use crate::serve::message::http::client_exchange::{ClientExchange, Front};
use crate::serve::message::http::known::KnownHead;
use crate::serve::message::pace::Pace;
use crate::serve::message::parcel::Parcel;
use crate::serve::message::request::{OverHttp, Request};
use crate::wire::http::head::HeadScan;

/// The type of a body that holds a message (Impala: `THttpServer::getHeader`).
const THRIFT: HeaderValue = HeaderValue::from_static("application/x-thrift");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What a request turned out to be.
pub(crate) enum Opened {
    /// A call: its message is to be read.
    Call(OverHttp),
    /// Something that the router has answered, or the empty line that old clients send behind a body: the
    /// connection is as idle as before.
    Nothing,
}

/// Whose connection it is, as far as HTTP is concerned.
#[derive(Clone, Debug)]
pub(crate) struct HttpPeer {
    /// The address of the connection, or the one that a PROXY header has announced.
    pub address: IpAddr,
    /// Whether to believe what it says in X-Forwarded-For.
    pub is_trusted_proxy: bool,
    /// Headers by which the coordinators trust whoever sends them.
    pub trusted_headers: Arc<[HeaderName]>,
}

/// What a client's connection needs for HTTP.
pub(crate) struct HttpClient<S: Stream> {
    /// The client, as coordinators are told of it.
    peer: HttpPeer,
    /// Looks for the end of the next request's head.
    scan: HeadScan,
    exchange: Option<ClientExchange<S>>,
    /// The last ordinary head.
    known: Option<KnownHead>,
    /// Whether the request under way is one of HTTP/1.0, which has no chunks.
    is_old: bool,
    /// Whether the connection ends with the answer to this request.
    pub(in crate::serve::message) is_last: bool,
    /// Whether the end of the answer is that of the connection.
    is_unbounded: bool,
    /// What the client gets with the answer to this request.
    pub(in crate::serve::message) given: Vec<Given>,
}

impl<S: Stream> fmt::Debug for HttpClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

impl<S: Stream> HttpClient<S> {
    /// Creates what a connection needs whose next bytes begin a request.
    pub(crate) fn new(peer: HttpPeer) -> Self {
        Self {
            peer,
            scan: HeadScan::new(),
            exchange: None,
            known: None,
            is_old: false,
            is_last: false,
            is_unbounded: false,
            given: Vec::new(),
        }
    }

    /// Whether an orderly end of the connection would now make an answer look whole that is not.
    pub(in crate::serve::message) fn would_look_whole(&self) -> bool {
        self.is_unbounded && self.exchange.is_some()
    }

    /// Whether the connection has ended with an answer.
    pub(in crate::serve::message) fn is_over(&self) -> bool {
        self.is_last && self.exchange.is_none()
    }

    /// Reads more of the request's message.
    ///
    /// # Errors
    /// [`End`], when the client stalls or leaves, or when the body holds something other than one message.
    pub(in crate::serve::message) async fn take_more(
        &mut self,
        client: &mut Client<S>,
        request: &mut Request,
        stall: Duration,
    ) -> Result<(), End> {
        if !client.pending.is_empty() && self.take_pending(client, request)? {
            return Ok(());
        }
        let Some(exchange) = &mut self.exchange else { return Err(End::client_gone()) };
        let begun = clock::now();
        let cut = |pace: &Pace| {
            if pace.is_behind() { End::ClientSlow } else { End::ClientStalled { doing: "sent" } }
        };
        let piece = timeout(request.pace.patience(stall), exchange.piece(client)).await;
        let piece = piece.map_err(|_| cut(&request.pace))??;
        let len = piece.as_ref().map_or(0, Bytes::len);
        request.pace.note(clock::now().saturating_duration_since(begun), len);
        if let Some(piece) = piece {
            return take(request, &piece, exchange);
        }
        request.note_boundary(true);
        match request.is_complete() {
            true => Ok(()),
            false if request.has_begun() => Err(BadInput::ShortBody.into()),
            false => Err(BadInput::NoBody.into()),
        }
    }

    /// Takes the bytes of the message that were read already; returns false if the body has ended, or if hyper has
    /// them.
    fn take_pending(&mut self, client: &mut Client<S>, request: &mut Request) -> Result<bool, End> {
        let Some(exchange) = &mut self.exchange else { return Err(End::client_gone()) };
        let Some(len) = exchange.count(client.pending.len()) else { return Ok(false) };
        take(request, client.pending.get(..len).unwrap_or_default(), exchange)?;
        // What follows the body stays: it is another request.
        client.pending.advance(len);
        Ok(true)
    }

    /// Returns what stands before a piece of the reply, if the router itself sends the answer: its head or, where
    /// that was sent, nothing. When both were sent, [`Self::note_sent`] is to be called.
    pub(in crate::serve::message) fn head_before(
        &mut self,
        piece: &Parcel<'_>,
        follows: Follows,
    ) -> Option<Scratch> {
        let exchange = self.exchange.as_mut().filter(|exchange| exchange.is_counted())?;
        if exchange.has_answered() {
            return Some(Scratch::take());
        }
        let length = follows.left()? + piece.len() as u64;
        exchange.begin_answer();
        // The rest of the body would be taken for the next request.
        self.is_last |= !exchange.has_all();
        self.is_unbounded = false;
        Some(reply_head(length, self.is_last, &std::mem::take(&mut self.given)))
    }

    /// Sends a piece of the reply. The client must take some of it every `stall`.
    ///
    /// # Errors
    /// [`End::ClientStalled`], when the client takes no byte for `stall`; [`End::ClientGone`], when the
    /// connection is broken.
    pub(in crate::serve::message) async fn deliver(
        &mut self,
        client: &mut Client<S>,
        piece: Parcel<'_>,
        follows: Follows,
        stall: Duration,
    ) -> Result<(), End> {
        let ends = follows == Follows::Nothing;
        if self.has_to_answer() {
            let (mut head, ()) = Response::new(()).into_parts();
            head.headers.insert(header::CONTENT_TYPE, THRIFT);
            let length = follows.left().map(|left| left + piece.len() as u64);
            return self.answer(client, head, Front { piece, length, ends }, stall).await;
        }
        let Some(exchange) = &mut self.exchange else { return Err(End::client_gone()) };
        exchange.send(client, piece, ends, stall).await?;
        self.note_sent(client, follows);
        Ok(())
    }

    /// Answers the request with something other than a reply.
    ///
    /// # Errors
    /// The same as [`Self::deliver`].
    pub(in crate::serve::message) async fn say(
        &mut self,
        client: &mut Client<S>,
        answer: Answer,
        stall: Duration,
    ) -> Result<(), End> {
        let Answer { mut head, text } = answer;
        let length = text.len() as u64;
        if self.exchange.is_none() {
            // There is no request: the head was bad.
            self.is_last = true;
            head.headers.insert(header::CONNECTION, CLOSE);
            return client.send_both(head_bytes(&head, length), &text, stall).await;
        }
        self.is_last |= head.headers.get(header::CONNECTION) == Some(&CLOSE);
        let front = Front { piece: Parcel::Shared(&text), length: Some(length), ends: true };
        self.answer(client, head, front, stall).await
    }

    /// Says with the answer to the request under way that the connection ends, unless the answer has begun.
    pub(in crate::serve::message) fn say_last(&mut self) {
        self.is_last |= self.has_to_answer();
    }

    /// Whether a request waits for an answer that has not begun.
    fn has_to_answer(&mut self) -> bool {
        self.exchange.as_mut().is_some_and(|exchange| !exchange.has_answered())
    }

    async fn answer(
        &mut self,
        client: &mut Client<S>,
        mut head: Parts,
        front: Front<'_>,
        stall: Duration,
    ) -> Result<(), End> {
        let Some(exchange) = &mut self.exchange else { return Err(End::client_gone()) };
        // The rest of the body would be taken for the next request. And without chunks and
        // without a length, a body ends where the connection does.
        self.is_unbounded = self.is_old && front.length.is_none();
        self.is_last |= self.is_unbounded || !exchange.has_all();
        if self.is_last {
            head.headers.insert(header::CONNECTION, CLOSE);
            if self.is_old {
                // Or hyper adds that the connection goes on, if the client has asked for that.
                head.version = Version::HTTP_10;
            }
        }
        for Given { name, value } in std::mem::take(&mut self.given) {
            head.headers.append(name, value);
        }
        let follows = if front.ends { Follows::Nothing } else { Follows::More(None) };
        exchange.answer(client, head, front, stall).await?;
        self.note_sent(client, follows);
        Ok(())
    }

    /// Notes that a piece of the answer was sent.
    pub(in crate::serve::message) fn note_sent(&mut self, client: &mut Client<S>, follows: Follows) {
        if follows == Follows::Nothing
            && let Some(exchange) = self.exchange.take()
        {
            exchange.finish(client);
        }
    }

    /// Tells the client why its connection ends, if it waits for an answer.
    pub(in crate::serve::message) async fn say_end(
        &mut self,
        client: &mut Client<S>,
        end: &End,
        stall: Duration,
    ) {
        let awaits = self.exchange.is_none() || self.has_to_answer();
        let Some(answer) = Answer::to_end(end).filter(|_| awaits) else { return };
        self.is_last = true;
        if self.say(client, answer, stall).await.is_ok() {
            linger(&mut client.stream).await;
        }
    }
}

/// Takes a piece of a request's body.
///
/// # Errors
/// [`End::BadInput`], when the body does not hold one message.
fn take<S: Stream>(request: &mut Request, piece: &[u8], exchange: &mut ClientExchange<S>) -> Result<(), End> {
    let used = if request.has_all() { 0 } else { request.push(piece).map_err(BadInput::from)? };
    request.keep(piece.get(..used).unwrap_or_default());
    if used < piece.len() || (request.has_all() && exchange.has_more()) {
        return Err(BadInput::LongBody.into());
    }
    request.note_boundary(exchange.has_all());
    Ok(())
}
