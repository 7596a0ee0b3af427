//! The client end of a call. It gives a request's payload and takes a reply's, and hides the framing that the
//! client uses.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Buf;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use tokio::time::timeout;

use crate::clock;
use crate::ids::{ClientAddress, Transport};
use crate::net::flow::Chunk;
use crate::net::linger::linger;
use crate::net::stream::{Seen, Stream};
use crate::serve::message::client::{Client, Unused};
use crate::serve::message::coding::{self, Decoder, Follows, Form};
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::http::answer::{Answer, Given};
use crate::serve::message::http::client::{HttpClient, HttpPeer, Opened};
use crate::serve::message::link_end::LinkEnd;
use crate::serve::message::pace::Pace;
use crate::serve::message::parcel::Parcel;
use crate::serve::message::request::{OverHttp, Request};
use crate::serve::settings::Settings;
use crate::serve::threads::memory::ReplayMemory;
use crate::wire::detect;

/// The most payload bytes that one frame of a request may have.
const FRAME_LIMIT: usize = detect::FRAME_LIMIT as usize;

/// A client's connection whose calls are read, together with the transport that it uses.
#[derive(Debug)]
pub(crate) struct ClientEnd<S: Stream> {
    client: Client<S>,
    transport: Transport,
    decoder: Decoder,
    http: Option<Box<HttpClient<S>>>,
}

impl<S: Stream> ClientEnd<S> {
    /// Wraps a connection whose next bytes begin a request.
    pub(crate) fn new(client: Client<S>, transport: Transport) -> Self {
        Self { client, transport, decoder: Decoder::new(transport, FRAME_LIMIT), http: None }
    }

    /// Wraps a connection whose next bytes begin a request over HTTP.
    pub(crate) fn over_http(client: Client<S>, peer: HttpPeer) -> Self {
        let mut end = Self::new(client, Transport::Http);
        end.http = Some(Box::new(HttpClient::new(peer)));
        end
    }

    /// Takes what has come of the next request, over HTTP, if its head is the same as the one before; else
    /// returns none, and the head is to be [read](Self::open).
    ///
    /// # Errors
    /// [`End::BadInput`], when the bytes behind the head are not a request that the router can follow.
    pub(crate) fn open_again(
        &mut self,
        first: Option<&[u8]>,
        request: &mut Request,
    ) -> Result<Option<OverHttp>, End> {
        let Self { client, http: Some(http), .. } = self else { return Err(End::client_gone()) };
        http.open_again(client, first, request)
    }

    /// Reads the head of the next request over HTTP.
    ///
    /// # Errors
    /// [`End`], when that is bad or does not come in time, or when the client leaves.
    pub(crate) async fn open(&mut self, stall: Duration) -> Result<Opened, End> {
        let Self { client, http: Some(http), .. } = self else { return Err(End::client_gone()) };
        http.open(client, stall).await
    }

    /// Whether each request names the user that it is made for.
    pub(crate) fn asks_each_time(&self) -> bool {
        self.http.is_some()
    }

    /// Says with the answer to the request under way, if the transport can say that, that the connection ends
    /// after it.
    pub(crate) fn say_last(&mut self) {
        if let Some(http) = &mut self.http {
            http.say_last();
        }
    }

    /// Gives the client this field with the answer to the request under way over HTTP.
    pub(crate) fn give(&mut self, field: Given) {
        if let Some(http) = &mut self.http {
            http.given.push(field);
        }
    }

    /// Whether the client came by TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.client.stream.negotiated().is_some()
    }

    /// Answers the request under way over HTTP with something other than a reply; returns false if that is
    /// not possible.
    ///
    /// # Errors
    /// The same as [`Self::deliver`].
    pub(crate) async fn say(&mut self, answer: Answer, stall: Duration) -> Result<bool, End> {
        let Some(http) = &mut self.http else { return Ok(false) };
        http.say(&mut self.client, answer, stall).await.map(|()| true)
    }

    /// Tells a client that waits for an answer why its connection ends, if the transport has words for it.
    pub(crate) async fn say_end(&mut self, end: &End, stall: Duration) {
        if let Some(http) = &mut self.http {
            http.say_end(&mut self.client, end, stall).await;
        }
    }

    /// Returns the address that the client connected from.
    pub(crate) fn address(&self) -> ClientAddress {
        self.client.address
    }

    /// Returns the same address in full.
    pub(crate) fn ip(&self) -> IpAddr {
        self.client.ip
    }

    /// Returns the form in which pieces of messages pass between this client and `link`.
    pub(crate) fn form<L: Stream>(&self, link: &LinkEnd<L>) -> Form {
        Form::between(self.transport, link.transport())
    }

    /// Returns whether bytes of the next request were already read. There is none behind an answer that ended
    /// the connection: a client that was told so may send the rest again elsewhere.
    pub(crate) fn has_pending(&self) -> bool {
        !self.client.pending.is_empty() && !self.is_over()
    }

    /// Returns whether the client was told that its connection has ended.
    fn is_over(&self) -> bool {
        self.http.as_ref().is_some_and(|http| http.is_over())
    }

    /// Reads more of what the client sends, to [begin](Self::begin) a request with. An empty chunk means that
    /// the client has finished sending. Cancel-safe.
    ///
    /// # Errors
    /// [`End::ClientGone`], when the connection is broken.
    pub(crate) fn read(&mut self) -> impl Future<Output = Result<Chunk, End>> {
        if self.is_over() {
            // What it sent meanwhile would have a close destroy the answer. Boxed, so that an idle connection
            // has no room for it.
            let ended = linger(&mut self.client.stream).map(|()| Ok(Chunk::nothing()));
            return Either::Left(Box::pin(ended));
        }
        Either::Right(self.client.read())
    }

    /// Returns whether the client has sent bytes that were not read, or has finished sending. Asks only the
    /// runtime.
    pub(crate) fn has_sent(&mut self) -> bool {
        self.client.stream.glance() != Seen::Nothing
    }

    /// Returns whether the client has sent bytes that were not read. Asks the kernel.
    pub(crate) fn has_unread(&mut self) -> bool {
        self.client.stream.look() == Seen::Bytes
    }

    /// Returns whether the client will send no more: it has left, or has at least finished sending. Bytes
    /// that it sent before that may still be unread.
    pub(crate) fn has_closed(&mut self) -> bool {
        self.client.has_closed()
    }

    /// Resolves when the client will send no more. Cancel-safe.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send {
        self.client.stream.closed()
    }

    /// Resolves when the connection is dead. A client that has only finished sending still waits for its
    /// reply. Cancel-safe.
    pub(crate) fn gone(&self) -> impl Future<Output = ()> + Send {
        self.client.stream.gone()
    }

    /// Moves the connection to the runtime that this is called in.
    ///
    /// # Errors
    /// [`End::ClientGone`], when the kernel refuses to register the socket there.
    pub(crate) fn rehome(mut self) -> Result<Self, End> {
        let stream = self.client.stream.take().rehome_here();
        self.client.stream = stream.map_err(End::ClientGone)?;
        Ok(self)
    }

    /// Sends a piece of a reply, which is in `form`. The client must take some of it every `stall`. If the
    /// connection ends before the reply does, a client inside of TLS does not see an orderly end.
    ///
    /// # Errors
    /// [`End::ClientStalled`], when the client takes no byte for `stall`; [`End::ClientGone`], when the
    /// connection is broken.
    pub(crate) async fn deliver(
        &mut self,
        piece: Parcel<'_>,
        form: Form,
        follows: Follows,
        stall: Duration,
    ) -> Result<(), End> {
        self.client.stream.set_midway(true);
        if let Some(http) = &mut self.http {
            match http.head_before(&piece, follows) {
                Some(head) => {
                    self.client.send_both(head, &piece, stall).await?;
                    http.note_sent(&mut self.client, follows);
                }
                // Boxed: few replies go in chunks.
                None => Box::pin(http.deliver(&mut self.client, piece, follows, stall)).await?,
            }
        } else if form == Form::AsItCame || self.transport == Transport::Unframed {
            self.client.send(&piece, stall).await?;
        } else {
            self.client.send(&coding::encode(&piece, self.transport, follows), stall).await?;
        }
        self.client.stream.set_midway(follows != Follows::Nothing);
        Ok(())
    }

    /// Takes the bytes of the next request that have come: the pending ones, or else `first`. Most requests
    /// are complete after this.
    ///
    /// # Errors
    /// [`End::BadInput`], when the bytes are not a request that the router can follow.
    pub(crate) fn begin(&mut self, request: &mut Request, first: Option<Chunk>) -> Result<(), End> {
        match first {
            Some(chunk) => Ok(self.take_chunk(request, chunk)?),
            None => Ok(self.take_pending(request)?),
        }
    }

    /// Reads until a request that has begun is complete, or until it is too large to be held and enough of it
    /// is known to send it on piece by piece.
    ///
    /// # Errors
    /// [`End::BadInput`], when the bytes are not a request that the router can follow, or when the request is
    /// too large to be held until its handle comes; [`End::ClientStalled`], when the client sends nothing for
    /// `stall_timeout`; [`End::ClientSlow`], when it falls behind the slowest pace for that long;
    /// [`End::ClientBroke`], when it closes the connection inside the request; [`End::ClientGone`], when the
    /// connection is broken.
    pub(crate) async fn fill(
        &mut self,
        request: &mut Request,
        settings: &Settings,
        memory: &ReplayMemory,
    ) -> Result<(), End> {
        while !request.is_complete() && !self.must_stream(request, settings.replay_limit, memory)? {
            self.take_more(request, settings.stall_timeout).await?;
        }
        Ok(())
    }

    async fn take_more(&mut self, request: &mut Request, stall: Duration) -> Result<(), End> {
        if let Some(http) = &mut self.http {
            return http.take_more(&mut self.client, request, stall).await;
        }
        let chunk = read(&mut self.client, &mut request.pace, stall).await?;
        Ok(self.take_chunk(request, chunk)?)
    }

    /// Reads the next piece of a request that is sent on piece by piece. The request then holds only that
    /// piece, in `form`.
    ///
    /// # Errors
    /// The same as [`Self::fill`].
    pub(crate) async fn next_piece(
        &mut self,
        request: &mut Request,
        form: Form,
        settings: &Settings,
    ) -> Result<(), End> {
        request.begin_piece(form);
        if self.http.is_none() {
            self.take_pending(request)?;
        }
        while request.held_bytes().is_empty() && !request.is_complete() {
            self.take_more(request, settings.stall_timeout).await?;
        }
        Ok(())
    }

    /// Reads the rest of a request that goes nowhere.
    ///
    /// # Errors
    /// The same as [`Self::fill`].
    pub(crate) async fn skip_rest(&mut self, request: &mut Request, settings: &Settings) -> Result<(), End> {
        while !request.is_complete() {
            self.next_piece(request, Form::Payload, settings).await?;
        }
        Ok(())
    }

    fn take_pending(&mut self, request: &mut Request) -> Result<(), BadInput> {
        let mut pending = self.client.pending.take();
        if pending.is_empty() {
            return Ok(());
        }
        let used = self.take(request, &mut pending)?;
        pending.advance(used);
        // An idle connection keeps no buffer.
        self.client.pending = if pending.is_empty() { Unused::default() } else { pending.into() };
        Ok(())
    }

    /// Takes the request's part of a chunk; the bytes behind it become pending.
    fn take_chunk(&mut self, request: &mut Request, mut chunk: Chunk) -> Result<(), BadInput> {
        let used = self.take(request, chunk.own_mut().unwrap_or_default())?;
        self.client.pending.extend_from_slice(chunk.get(used..).unwrap_or_default());
        Ok(())
    }

    /// Returns whether the request is too large to be held, so that it must be sent on piece by piece. While
    /// its handle has not come, it is still held as far as memory allows.
    fn must_stream(
        &self,
        request: &mut Request,
        replay_limit: usize,
        memory: &ReplayMemory,
    ) -> Result<bool, BadInput> {
        let held = request.held_bytes().len();
        let fits = request.count_held(memory);
        match (fits && held <= replay_limit, request.is_routable()) {
            (true, _) => Ok(false),
            (false, true) => {
                let to_come = self.decoder.remaining();
                if to_come == 0 && self.transport == Transport::Framed {
                    return Err(BadInput::MessageSplit);
                }
                // A header of which only a part has come would be lost, so the request waits for the rest of
                // it.
                let may_stream = !self.decoder.is_inside_header();
                if may_stream {
                    request.begin_to_stream(to_come);
                }
                Ok(may_stream)
            }
            (false, false) if fits => Ok(false),
            (false, false) => Err(BadInput::HandleTooLate { held }),
        }
    }

    /// Takes the request's part of the bytes; returns how many of them were used.
    fn take(&mut self, request: &mut Request, bytes: &mut [u8]) -> Result<usize, BadInput> {
        if self.decoder.is_unframed() {
            let used = request.push(bytes)?;
            request.keep(bytes.get(..used).unwrap_or_default());
            request.note_boundary(true);
            return Ok(used);
        }
        let passes = request.form() == Form::AsItCame;
        let mut used = 0;
        while !request.is_complete()
            && let Some(rest) = bytes.get_mut(used..).filter(|rest| !rest.is_empty())
        {
            let piece = self.decoder.next(rest)?;
            let payload = rest.get(piece.payload.clone()).unwrap_or_default();
            let taken = request.push(payload)?;
            request.keep(if passes { rest.get(..piece.used).unwrap_or_default() } else { payload });
            used += piece.used;
            if request.has_all() && (taken < piece.payload.len() || self.decoder.remaining() > 0) {
                return Err(BadInput::AfterMessage);
            }
            request.note_boundary(self.decoder.at_boundary());
            if passes && self.transport == Transport::Framed && piece.frame_ended && !request.is_complete() {
                return Err(BadInput::MessageSplit);
            }
        }
        Ok(used)
    }
}

impl<S: Stream> Drop for ClientEnd<S> {
    fn drop(&mut self) {
        if self.http.as_ref().is_some_and(|http| http.would_look_whole()) {
            self.client.stream.reset_on_close();
        }
    }
}

/// Reads a chunk inside a request. The client must send something within `stall`, must on average be as fast
/// as its pace demands, and must not close the connection here.
async fn read<S: Stream>(client: &mut Client<S>, pace: &mut Pace, stall: Duration) -> Result<Chunk, End> {
    let begun = clock::now();
    let read = client.read();
    let cut = || if pace.is_behind() { End::ClientSlow } else { End::ClientStalled { doing: "sent" } };
    let chunk = timeout(pace.patience(stall), read).await.map_err(|_| cut())??;
    pace.note(clock::now().saturating_duration_since(begun), chunk.len());
    if chunk.is_empty() { Err(End::ClientBroke { inside: "request" }) } else { Ok(chunk) }
}
