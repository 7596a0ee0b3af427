//! How a request over HTTP begins: its head is read, unless it is the same as the one before.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use hyper::Version;
use hyper::http::request::Parts as RequestParts;
use tokio::time::timeout;
use zeroize::Zeroize as _;

use super::{HttpClient, HttpPeer, Opened, take};
use crate::net::linger::linger;
use crate::net::stream::Stream;
use crate::serve::message::client::{Client, Unused};
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::http::answer::Answer;
use crate::serve::message::http::client_exchange::{ClientExchange, broken};
use crate::serve::message::http::inbound::Inbound;
use crate::serve::message::http::known::KnownHead;
use crate::serve::message::request::{OverHttp, Request};
use crate::wire::http::head::{Framing, HeadScan};
use crate::wire::http::request::{Asked, Peer, closes, judge, ordinary};

/// A request whose head has come.
struct Begun {
    head: RequestParts,
    /// The head's bytes, if it is an ordinary one.
    ordinary: Option<HeadBytes>,
}

/// The bytes of a head, which are zeroed when they are dropped, because they may hold a password.
struct HeadBytes(BytesMut);

impl Drop for HeadBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<S: Stream> HttpClient<S> {
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
        let Some(head_len) = whole.unwrap_or(Err(End::HeadTimedOut(stall)))? else {
            // An idle connection keeps no buffer.
            client.pending = Unused::default();
            return Ok(Opened::Nothing);
        };
        let framing = std::mem::take(&mut self.scan).framing();
        let Begun { head, ordinary } = self.begin(client, head_len, framing)?;
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
                if let (Some(length), Some(bytes), false) = (length, ordinary, self.is_last) {
                    self.known = KnownHead::keep(&bytes.0, length, &head);
                }
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

    /// Begins an exchange if the client sends the same head again, and takes what has come of its message; if
    /// not, returns none, and keeps what came `first` for [`Self::open`].
    ///
    /// # Errors
    /// [`End::BadInput`], when the body does not hold one message.
    pub(in crate::serve::message) fn open_again(
        &mut self,
        client: &mut Client<S>,
        first: Option<&[u8]>,
        request: &mut Request,
    ) -> Result<Option<OverHttp>, End> {
        let first = first.unwrap_or_default();
        // Nothing is copied where all that has come is one whole request.
        if !client.pending.is_empty() {
            client.pending.extend_from_slice(first);
        }
        let bytes = if client.pending.is_empty() { first } else { &client.pending };
        let (again, used) = match self.known.as_ref().and_then(|known| known.is_before(bytes)) {
            None => (None, 0),
            Some(head_len) => self.again(head_len, bytes, request)?,
        };
        if client.pending.is_empty() {
            client.pending.extend_from_slice(first.get(used..).unwrap_or_default());
        } else {
            client.pending.get_mut(..used).unwrap_or_default().fill(0);
            client.pending.advance(used);
        }
        Ok(again)
    }

    /// Takes what has come of a request with the known head; returns how many bytes that is.
    fn again(
        &mut self,
        head_len: usize,
        bytes: &[u8],
        request: &mut Request,
    ) -> Result<(Option<OverHttp>, usize), End> {
        let Some(known) = &self.known else { return Ok((None, 0)) };
        let call = OverHttp { head: Arc::clone(&known.head), length: Some(known.length) };
        (self.scan, self.is_old) = (HeadScan::new(), false);
        let exchange = self.exchange.insert(ClientExchange::counted(known.length));
        let body = bytes.get(head_len..).unwrap_or_default();
        let len = exchange.count(body.len()).unwrap_or_default();
        take(request, body.get(..len).unwrap_or_default(), exchange)?;
        Ok((Some(call), head_len + len))
    }

    /// Begins an exchange; `pending` begins with a head that was checked.
    fn begin(&mut self, client: &mut Client<S>, head_len: usize, framing: Framing) -> Result<Begun, End> {
        let bytes = client.pending.get(..head_len).unwrap_or_default();
        if let Framing::Length(length) = framing
            && let Some(head) = ordinary(bytes)
        {
            self.exchange = Some(ClientExchange::counted(length));
            return Ok(Begun { head, ordinary: Some(HeadBytes(client.pending.split_to(head_len))) });
        }
        let unread = client.pending.take();
        let mut exchange = Inbound::new(&client.stream, unread, head_len, framing);
        let head = exchange.head(&mut client.stream).map_err(broken)?;
        self.exchange = Some(ClientExchange::hyper(exchange));
        Ok(Begun { head, ordinary: None })
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
}
