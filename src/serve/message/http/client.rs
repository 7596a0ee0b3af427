//! The client's end over HTTP: each request is a POST whose body holds one message.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Response, Version};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::clock;
use crate::net::flow::WriteError;
use crate::net::linger::linger;
use crate::net::stream::Stream;
use crate::serve::message::client::Client;
use crate::serve::message::coding::Follows;
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::http::answer::Answer;
use crate::serve::message::http::inbound::{Broken, Inbound};
use crate::serve::message::pace::Pace;
use crate::serve::message::parcel::Parcel;
use crate::serve::message::request::{OverHttp, Request};
use crate::wire::http::head::{Framing, HeadScan};
use crate::wire::http::request::{Asked, Peer, closes, judge};

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
    /// Locked by nobody: this makes the connection one that threads may look at.
    exchange: Option<Mutex<Inbound<S>>>,
    /// Whether the request under way is one of HTTP/1.0, which has no chunks.
    is_old: bool,
    /// Whether the connection ends with the answer to this request.
    pub(in crate::serve::message) is_last: bool,
    /// Whether the end of the answer is that of the connection.
    is_unbounded: bool,
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
            is_old: false,
            is_last: false,
            is_unbounded: false,
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

    /// Reads the head of the next request, and answers what is no call. The client must send the whole head,
    /// and take the answer, within `stall`.
    ///
    /// # Errors
    /// [`End`], when the head is bad or does not come in time, or when the client leaves.
    pub(in crate::serve::message) async fn open(
        &mut self,
        client: &mut Client<S>,
        stall: Duration,
    ) -> Result<Opened, End> {
        let whole = timeout(stall, self.whole_head(client)).await;
        let Some(head_len) = whole.unwrap_or(Err(End::ClientStalled { doing: "sent" }))? else {
            // An idle connection keeps no buffer.
            client.pending = BytesMut::new();
            return Ok(Opened::Nothing);
        };
        let framing = std::mem::take(&mut self.scan).framing();
        let unread = std::mem::take(&mut client.pending);
        let mut exchange = Inbound::new(&client.stream, unread, head_len, framing);
        let head = exchange.head(&mut client.stream).map_err(broken)?;
        self.exchange = Some(Mutex::new(exchange));
        let HttpPeer { address, is_trusted_proxy, trusted_headers: forbidden } = &self.peer;
        let peer = Peer { address: *address, is_trusted_proxy: *is_trusted_proxy, forbidden };
        self.is_old = head.version < Version::HTTP_11;
        self.is_last |= closes(&head);
        let asked = judge(&head, peer);
        let answer = match asked.map_err(BadInput::Asked)? {
            Asked::Call(head) => {
                let length = match framing {
                    Framing::Length(length) => Some(length),
                    Framing::Chunked => None,
                };
                return Ok(Opened::Call(OverHttp { head, length }));
            }
            Asked::Health => Answer::healthy(),
            Asked::Options => Answer::options(),
            Asked::NotAllowed => Answer::not_allowed(),
        };
        // A body that came with it is of no use.
        let has_body = framing != Framing::Length(0);
        self.is_last |= has_body;
        self.say(client, answer, stall).await?;
        if has_body {
            linger(&mut client.stream).await;
        }
        Ok(Opened::Nothing)
    }

    /// Reads until the head has ended; returns its length, or none if all that has come is an empty line.
    async fn whole_head(&mut self, client: &mut Client<S>) -> Result<Option<usize>, End> {
        loop {
            if let Some(head_len) = self.scan.look(&client.pending).map_err(BadInput::Head)? {
                return Ok(Some(head_len));
            }
            if self.scan.forget_empty_line(&client.pending) {
                return Ok(None);
            }
            if !client.more().await? {
                return Err(End::ClientBroke { inside: "request" });
            }
        }
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
        let Some(exchange) = &mut self.exchange else { return Err(End::client_gone()) };
        let (exchange, begun) = (exchange.get_mut(), clock::now());
        let piece = timeout(request.pace.patience(stall), exchange.piece(&mut client.stream)).await;
        let cut = |pace: &Pace| {
            if pace.is_behind() { End::ClientSlow } else { End::ClientStalled { doing: "sent" } }
        };
        let piece = piece.map_err(|_| cut(&request.pace))?.map_err(broken)?;
        let Some(piece) = piece else {
            request.note_boundary(true);
            return if request.is_complete() { Ok(()) } else { Err(BadInput::ShortBody.into()) };
        };
        request.pace.note(clock::now().saturating_duration_since(begun), piece.len());
        let used = if request.has_all() { 0 } else { request.push(&piece).map_err(BadInput::from)? };
        request.keep(piece.get(..used).unwrap_or_default());
        if used < piece.len() || (request.has_all() && exchange.has_more()) {
            return Err(BadInput::AfterMessage.into());
        }
        request.note_boundary(exchange.has_all());
        Ok(())
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
        if self.has_to_answer() {
            let (mut head, ()) = Response::new(()).into_parts();
            head.headers.insert(header::CONTENT_TYPE, THRIFT);
            let length = (follows == Follows::Nothing).then_some(piece.len() as u64);
            self.begin_answer(client, head, length);
        }
        self.send(client, piece.to_bytes(), follows, stall).await
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
        let Answer { head, text } = answer;
        if self.exchange.is_none() {
            // There is no request that hyper would answer.
            self.is_last = true;
            return client.send(&Answer { head, text }.encoded(), stall).await;
        }
        self.is_last |= head.headers.get(header::CONNECTION) == Some(&CLOSE);
        self.begin_answer(client, head, Some(text.len() as u64));
        self.send(client, text, Follows::Nothing, stall).await
    }

    /// Whether a request waits for an answer that has not begun.
    fn has_to_answer(&mut self) -> bool {
        self.exchange.as_mut().is_some_and(|exchange| !exchange.get_mut().has_answered)
    }

    fn begin_answer(&mut self, client: &mut Client<S>, mut head: Parts, length: Option<u64>) {
        let Some(exchange) = &mut self.exchange else { return };
        // Without chunks and without a length, a body ends where the connection does.
        self.is_unbounded = self.is_old && length.is_none();
        self.is_last |= self.is_unbounded;
        if self.is_last {
            head.headers.insert(header::CONNECTION, CLOSE);
        }
        exchange.get_mut().answer(&mut client.stream, Response::from_parts(head, ()), length);
    }

    async fn send(
        &mut self,
        client: &mut Client<S>,
        piece: Bytes,
        follows: Follows,
        stall: Duration,
    ) -> Result<(), End> {
        let Some(exchange) = &mut self.exchange else { return Err(End::client_gone()) };
        let ends = follows == Follows::Nothing;
        exchange.get_mut().send(&mut client.stream, piece, ends, stall).await.map_err(
            |error| match error {
                WriteError::Stalled { .. } => End::ClientStalled { doing: "taken" },
                WriteError::Failed(error) => End::broken(error),
            },
        )?;
        if ends && let Some(exchange) = self.exchange.take() {
            let unread = exchange.into_inner().finish();
            // An idle connection keeps no buffer.
            client.pending = if unread.is_empty() { BytesMut::new() } else { unread };
        }
        Ok(())
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

fn broken(broken: Broken) -> End {
    match broken {
        Broken::Cut => End::ClientBroke { inside: "request" },
        Broken::Failed(error) => BadInput::Http(error.to_string()).into(),
    }
}
