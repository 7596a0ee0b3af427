//! The link's end over HTTP: each exchange is a POST whose body holds the message.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request as HttpRequest;
use hyper::header::HeaderValue;
use tokio::time::timeout;

use crate::net::flow::{self, Chunk, WriteError};
use crate::net::scratch::Scratch;
use crate::net::stream::Stream;
use crate::net::tls::io::Io;
use crate::serve::message::http::account::{Account, Proven, Shown};
use crate::serve::message::http::answer::Refusal;
use crate::serve::message::http::link_exchange::LinkExchange;
use crate::serve::message::http::outbound::Came;
use crate::serve::message::link_end::{ReadError, Taken};
use crate::serve::message::reply::{BadReply, Reply};
use crate::serve::message::request::Request;
use crate::wire::http::answer::KnownAnswer;
use crate::wire::http::request::CallHead;
use crate::wire::method::Role;

/// How long the text may take that comes with a refusal.
const TEXT_WITHIN: Duration = Duration::from_secs(1);

/// What a link over HTTP needs besides its connection.
pub(crate) struct HttpLink<S: Stream> {
    /// The coordinator's host and port, for the head of each request.
    host: HeaderValue,
    /// The head of calls that the router makes itself.
    own: Arc<CallHead>,
    /// The coordinator's cookies, if the link is for a credential.
    account: Option<Account>,
    /// What was shown for the request under way, if not a cookie or a credential that lasts.
    ticket: Ticket,
    /// The user whom the coordinator has named, until somebody asks.
    pub(in crate::serve::message) proven: Option<Proven>,
    exchange: Option<LinkExchange<S>>,
    known: KnownAnswer,
}

/// What became of the ticket that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticket {
    NotNeeded,
    /// It was shown on this link, which serves no other request: a coordinator may go on to believe in its
    /// user there, whatever the next request shows (Impala: `ConnectionContext`).
    Shown,
    /// There was none to show, so nothing is sent.
    Missing,
}

impl<S: Stream> fmt::Debug for HttpLink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLink").finish_non_exhaustive()
    }
}

impl<S: Stream> HttpLink<S> {
    /// Creates what a link needs on which nothing was sent.
    /// The router's own calls have what `head` proves its user with.
    pub(crate) fn new(host: HeaderValue, head: &CallHead, account: Option<Account>) -> Self {
        let (own, ticket) = (Arc::new(head.for_own_calls()), Ticket::NotNeeded);
        Self { host, own, account, ticket, proven: None, exchange: None, known: KnownAnswer::default() }
    }

    /// Creates what a link of the router's own needs, on which nothing was sent. `head` has a ticket, which the
    /// first request shows; the others show the cookie that the coordinator gives for it.
    pub(crate) fn of_router(host: HeaderValue, head: CallHead) -> Self {
        Self { own: Arc::new(head), ..Self::new(host, &CallHead::anonymous(), Some(Account::of_router())) }
    }

    /// Whether no exchange is under way, and another one may begin.
    pub(in crate::serve::message) fn is_idle(&self) -> bool {
        let routers = self.account.as_ref().filter(|account| account.is_routers());
        self.exchange.is_none() && routers.is_none_or(|account| account.has_something_to_show(&self.own))
    }

    /// The head of a request.
    fn head_of(&self, request: &Request) -> Arc<CallHead> {
        match &request.over_http {
            None => Arc::clone(&self.own),
            Some(asked) if self.is_routers() => Arc::new(self.own.on_behalf_of(&asked.head)),
            Some(asked) => Arc::clone(&asked.head),
        }
    }

    /// Whether the router speaks on it as itself.
    fn is_routers(&self) -> bool {
        self.account.as_ref().is_some_and(Account::is_routers)
    }

    /// Begins to send a request of known length, and returns the head that stands before what is held of it; none
    /// if it is to be [sent](Self::send) in another way.
    pub(in crate::serve::message) fn begin(&mut self, request: &Request) -> Option<Scratch> {
        if self.exchange.is_some() || self.ticket == Ticket::Missing {
            return None;
        }
        let asked = request.over_http.as_ref();
        let length = if request.is_complete() {
            request.held_bytes().len() as u64
        } else {
            asked.and_then(|asked| asked.length)?
        };
        let head = self.head_of(request);
        let cookie = self.show(&head);
        if self.ticket == Ticket::Missing {
            return None;
        }
        self.exchange = Some(LinkExchange::asked(request.method().role == Role::Fetch));
        Some(self.encoded(&head, cookie.as_ref(), length))
    }

    /// Sends what is held of a request, if that is not for [`Self::begin`]; returns how many bytes of payload were
    /// sent.
    ///
    /// # Errors
    /// When the connection breaks, or the coordinator takes no byte for `stall`; with the number of bytes
    /// that were written before.
    pub(in crate::serve::message) async fn send(
        &mut self,
        stream: &mut Io<S>,
        request: &mut Request,
        stall: Duration,
    ) -> Result<usize, (WriteError, usize)> {
        let (payload, is_last) = (request.held_bytes(), request.is_complete());
        if self.ticket == Ticket::Missing {
            // Its front was not sent either, and what stands for the ticket may have come meanwhile.
            return Ok(0);
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.send(stream, payload, is_last, stall).await?;
            return Ok(payload.len());
        }
        let head = self.head_of(request);
        let cookie = self.show(&head);
        if self.ticket == Ticket::Missing {
            return Ok(0);
        }
        let brings_rows = request.method().role == Role::Fetch;
        let head = head.for_coordinator(&self.host, cookie.as_ref());
        let begun = LinkExchange::in_chunks(stream, HttpRequest::from_parts(head, ()), brings_rows);
        let exchange = self.exchange.insert(begun.map_err(|error| (error.into(), 0))?);
        exchange.send(stream, payload, is_last, stall).await?;
        Ok(payload.len())
    }

    /// Sends a whole message of the router's own.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    pub(in crate::serve::message) async fn send_message(
        &mut self,
        stream: &mut Io<S>,
        payload: &[u8],
        stall: Duration,
    ) -> Result<(), (WriteError, usize)> {
        let own = Arc::clone(&self.own);
        let cookie = self.show(&own);
        if self.ticket == Ticket::Missing {
            return Ok(());
        }
        self.exchange = Some(LinkExchange::asked(false));
        let head = self.encoded(&own, cookie.as_ref(), payload.len() as u64);
        flow::write_both(stream, head, payload, stall).await
    }

    fn encoded(&self, head: &CallHead, cookie: Option<&HeaderValue>, length: u64) -> Scratch {
        let mut bytes = Scratch::take();
        head.each_part(&self.host, cookie, length, |part| bytes.push(part));
        bytes
    }

    /// Notes what becomes of a request's ticket; returns the cookie, if there is one, that goes with the request.
    fn show(&mut self, head: &CallHead) -> Option<HeaderValue> {
        let shown = self.account.as_ref().map_or(Shown::Cookie(None), |account| account.show(head));
        let (ticket, cookie) = match shown {
            Shown::Cookie(cookie) => (Ticket::NotNeeded, cookie),
            Shown::Ticket => (Ticket::Shown, None),
            Shown::Nothing => (Ticket::Missing, None),
        };
        self.ticket = ticket;
        cookie
    }

    /// Reads the next piece of the reply, which may be empty where only its end came.
    ///
    /// # Errors
    /// When the connection breaks, or the coordinator answers something other than a reply.
    pub(in crate::serve::message) async fn read(
        &mut self,
        stream: &mut Io<S>,
    ) -> Result<Option<Chunk>, ReadError> {
        if self.ticket == Ticket::Missing && !self.is_routers() {
            return Err(ReadError::Refused(Box::new(Refusal::ticket_needed())));
        }
        let Some(exchange) = &mut self.exchange else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        loop {
            match exchange.next(stream, &mut self.known).await? {
                Came::Accepted(cookie) => {
                    if let (Some(account), Some(cookie)) = (&mut self.account, cookie) {
                        self.proven = account.note(cookie);
                    }
                }
                Came::Refused(head) => {
                    let account = self.account.as_ref();
                    account.inspect(|account| account.note_refused());
                    let refusal =
                        Box::pin(text_behind(exchange, stream, &mut self.known, Refusal::of(&head))).await;
                    if account.is_some_and(Account::is_routers) {
                        return Err(refusal.of_router());
                    }
                    let is_of_cookie =
                        account.is_some_and(Account::shows_cookies_only) && refusal.refuses_cookie();
                    let refusal = if is_of_cookie { Refusal::ticket_needed() } else { refusal };
                    return Err(ReadError::Refused(Box::new(refusal)));
                }
                Came::Piece(piece) => return Ok(Some(piece)),
                Came::End => return Ok(Some(Chunk::nothing())),
            }
        }
    }

    /// Takes a piece of the reply.
    ///
    /// # Errors
    /// [`BadReply`], when the bytes are not a reply to the request, or more came after it.
    pub(in crate::serve::message) fn take(
        &mut self,
        reply: &mut Reply,
        chunk: &Chunk,
    ) -> Result<Taken, BadReply> {
        if reply.begin() {
            Reply::look_at(chunk, 0)?;
        }
        if !chunk.is_empty() && (reply.is_whole() || reply.scan(chunk)? < chunk.len()) {
            return Err(BadReply::AfterReply);
        }
        let Some(exchange) = &mut self.exchange else { return Err(BadReply::AfterReply) };
        if reply.is_whole() {
            let has_ended = exchange.has_ended().map_err(|_| BadReply::AfterReply)?;
            reply.note_boundary(has_ended);
        } else if chunk.is_empty() || exchange.is_over() {
            return Err(BadReply::CutShort);
        }
        reply.check()?;
        let done = reply.is_done();
        let left = exchange.left();
        let finished = done && self.exchange.take().is_some_and(LinkExchange::finish);
        // The router is itself on all of it.
        let clean = finished && (self.ticket == Ticket::NotNeeded || self.is_routers()) && self.is_idle();
        Ok(Taken { kept: chunk.len(), done, clean, left })
    }
}

/// Reads the text that comes with a refusal, as far as it comes in time.
async fn text_behind<S: Stream>(
    exchange: &mut LinkExchange<S>,
    stream: &mut Io<S>,
    known: &mut KnownAnswer,
    mut refusal: Refusal,
) -> Refusal {
    let text = async {
        while let Ok(Came::Piece(piece)) = exchange.next(stream, known).await
            && refusal.add(&piece)
        {}
    };
    let _cut = timeout(TEXT_WITHIN, text).await;
    refusal
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::ids::{Credential, Proof};
    use crate::net::stream::double::pair;
    use crate::serve::message::coding::Form;
    use crate::serve::message::http::cookies::Cookies;
    use crate::wire::facts::Handle;
    use crate::wire::hs2::request::ping;
    use crate::wire::http::cookie::parse;

    const STALL: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn nothing_is_sent_of_a_long_request_whose_ticket_is_missing() {
        let ann = Credential { proof: Proof::Named("ann".into()), do_as: None };
        let cookies = Arc::new(Cookies::default());
        let account = Account { credential: ann.clone(), cookies: Arc::clone(&cookies) };
        let host = HeaderValue::from_static("c1:28000");
        let mut link = HttpLink::new(host, &CallHead::anonymous(), Some(account));
        let (near, mut far) = pair(1 << 10);
        let mut stream = Io::from(near);
        let mut request = Request::new();
        let message = ping(&Handle { guid: [1; 16], secret: [2; 16] }, 0);
        for piece in message.chunks(message.len().div_ceil(2)) {
            let used = request.push(piece).unwrap();
            request.note_boundary(used == piece.len());
            request.keep(piece);
            assert!(link.begin(&request).is_none());
            assert_eq!(link.send(&mut stream, &mut request, STALL).await.unwrap(), 0);
            request.begin_piece(Form::Payload);
            // Meanwhile another call of the same user has earned a cookie.
            cookies.keep(&ann, parse(b"impala.auth=x").unwrap());
        }
        assert!(request.is_complete());
        let read = link.read(&mut stream).await;
        assert!(matches!(read, Err(ReadError::Refused(refusal)) if refusal.is_unauthorized()));
        drop(stream);
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, b"");
    }
}
