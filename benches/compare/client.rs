//! A client of the benchmark: requests made before, replies counted by their length.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, ensure};
use hs2router::fake::sasl::Deframer;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::http::{self, Answers};
use crate::wire::{self, Auth, Call, Handle, Rows, SECRET_AFTER};

/// Bytes of a reply that are kept: all of a small one.
const HEAD: usize = 256;

thread_local! {
    /// What is read goes through one buffer: only its length counts, but for the head.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
}

/// The replies to every fetch, made once.
static FETCHES: LazyLock<Vec<Arc<[u8]>>> = LazyLock::new(|| {
    Rows::ALL.map(|rows| wire::reply(Call::FetchResults, &Handle::BLANK, rows).into()).into()
});

/// A call that is made over and over.
pub(crate) struct Exchange {
    call: Call,
    /// With its frame's header, or with the head of its POST, if it has one.
    request: Vec<u8>,
    /// Where in `request` the message begins.
    message_at: usize,
    reply: Arc<[u8]>,
}

impl Exchange {
    fn new(call: Call, handle: &Handle, rows: Rows, wrap: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let message = wire::request(call, handle, rows);
        let request = wrap(&message);
        let reply = match call {
            Call::FetchResults => Arc::clone(&FETCHES[rows as usize]),
            _ => wire::reply(call, &Handle::BLANK, rows).into(),
        };
        Self { call, message_at: request.len() - message.len(), request, reply }
    }
}

/// How much of a reply's rest is compared with what is expected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Head,
    All,
}

/// What a connection runs over: TLS, or the clear.
pub(crate) type Stream = Either<Box<TlsStream<TcpStream>>, TcpStream>;

/// Connects, in the clear.
pub(crate) async fn dial(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(target).await.context("connecting")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Finds replies in what comes.
enum Replies {
    Thrift(Deframer),
    Http(Box<Answers>),
}

impl Replies {
    fn new(auth: Auth) -> Self {
        match auth {
            Auth::Nosasl | Auth::Plain => Self::Thrift(Deframer::new(auth.framing())),
            Auth::HttpBasic => Self::Http(Box::new(Answers::new())),
        }
    }

    /// A request was sent.
    fn begin(&mut self) {
        if let Self::Http(answers) = self {
            answers.begin();
        }
    }

    /// Whether a reply that was read whole has no end that is still to come.
    fn is_over(&self) -> bool {
        match self {
            Self::Thrift(_) => true,
            Self::Http(answers) => answers.is_over(),
        }
    }

    fn push(&mut self, bytes: &[u8], take: impl FnMut(&[u8])) -> anyhow::Result<()> {
        match self {
            Self::Thrift(deframer) => {
                deframer.push(bytes, take);
                Ok(())
            }
            Self::Http(answers) => answers.push(bytes, take),
        }
    }
}

/// A connection to a peer.
pub(crate) struct Client {
    stream: Stream,
    auth: Auth,
    replies: Replies,
    seqid: i32,
    /// The first bytes of the latest reply.
    head: Vec<u8>,
}

impl Client {
    /// Authenticates on a connection.
    pub(crate) async fn over(mut stream: Stream, auth: Auth) -> anyhow::Result<Self> {
        if auth == Auth::Plain {
            stream.write_all(&wire::plain_opening()).await?;
            stream.flush().await?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await.context("authenticating")?;
            ensure!(answer == *wire::plain_accepted(), "the handshake was answered with {answer:?}");
        }
        Ok(Self { stream, auth, replies: Replies::new(auth), seqid: 0, head: Vec::new() })
    }

    /// Goes on with another connection, which needs no handshake, and closes the one before. What it knows of
    /// the session stays.
    pub(crate) fn go_on_over(&mut self, stream: Stream) {
        self.stream = stream;
    }

    /// A call with this handle, to be made on this client's connections; `rows` is what it fetches.
    pub(crate) fn exchange_of(&self, call: Call, handle: &Handle, rows: Rows) -> Exchange {
        Exchange::new(call, handle, rows, |message| match &self.replies {
            Replies::Thrift(_) => self.auth.framing().wrap(message),
            Replies::Http(answers) => http::request(message, &answers.cookies),
        })
    }

    /// Opens a session; its handle.
    pub(crate) async fn open_session(&mut self) -> anyhow::Result<Handle> {
        let mut exchange = self.exchange_of(Call::OpenSession, &Handle::BLANK, Rows::Few);
        self.minted(&mut exchange).await
    }

    /// Runs a statement; its operation's handle.
    pub(crate) async fn execute(&mut self, session: &Handle) -> anyhow::Result<Handle> {
        let mut exchange = self.exchange_of(Call::ExecuteStatement, session, Rows::Few);
        self.minted(&mut exchange).await
    }

    async fn minted(&mut self, exchange: &mut Exchange) -> anyhow::Result<Handle> {
        self.exchange(exchange, Compare::Head, |_| ()).await?;
        let at = wire::blank_at(&exchange.reply).context("this call mints nothing")?;
        let part = |at: usize| self.head.get(at..at + 16).and_then(|part| part.try_into().ok());
        let guid = part(at).context("no guid")?;
        Ok(Handle { guid, secret: part(at + SECRET_AFTER).context("no secret")? })
    }

    /// Makes a call, and compares every byte of the reply.
    pub(crate) async fn compared(&mut self, exchange: &mut Exchange) -> anyhow::Result<()> {
        self.exchange(exchange, Compare::All, |_| ()).await?;
        let mut expected = exchange.reply[..exchange.reply.len().min(HEAD)].to_vec();
        let seqid = exchange.call.seqid_at();
        expected[seqid..seqid + 4].copy_from_slice(&self.seqid.to_be_bytes());
        ensure!(expected == self.head, "a reply to {} was changed", exchange.call.name());
        Ok(())
    }

    /// Makes a call; `came` is told of the reply's bytes as they come.
    pub(crate) async fn call(
        &mut self,
        exchange: &mut Exchange,
        came: impl FnMut(usize),
    ) -> anyhow::Result<()> {
        self.exchange(exchange, Compare::Head, came).await
    }

    /// Ends it; under TLS it says so.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        if matches!(self.stream, Either::Left(_)) {
            self.stream.shutdown().await.context("closing")?;
        }
        Ok(())
    }

    async fn exchange(
        &mut self,
        exchange: &mut Exchange,
        compare: Compare,
        mut came: impl FnMut(usize),
    ) -> anyhow::Result<()> {
        self.seqid = self.seqid.wrapping_add(1);
        let seqid = exchange.call.seqid_at();
        let place = exchange.message_at + seqid;
        exchange.request[place..place + 4].copy_from_slice(&self.seqid.to_be_bytes());
        self.stream.write_all(&exchange.request).await.context("sending")?;
        self.stream.flush().await.context("sending")?;
        self.replies.begin();
        self.head.clear();
        let expected = exchange.reply.len();
        let mut at = 0;
        while at < expected || !self.replies.is_over() {
            let before = at;
            poll_fn(|cx| self.poll_take(cx, &exchange.reply, compare, &mut at)).await?;
            came(at - before);
        }
        ensure!(at == expected, "{at} bytes came instead of {expected}");
        let answered = self.head.get(..seqid + 4).unwrap_or_default();
        let named = &exchange.reply[..seqid];
        ensure!(answered.starts_with(named), "another call was answered than {}", exchange.call.name());
        ensure!(answered.ends_with(&self.seqid.to_be_bytes()), "a reply has another sequence id");
        Ok(())
    }

    /// Reads what is there; `at` bytes of the reply had come.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        expected: &[u8],
        compare: Compare,
        at: &mut usize,
    ) -> Poll<anyhow::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
            let head = &mut self.head;
            let mut same = true;
            let take = |payload: &[u8]| {
                head.extend_from_slice(&payload[..payload.len().min(HEAD - head.len())]);
                if compare == Compare::All {
                    // The head is compared later: the sequence id and handles in it differ.
                    let skip = HEAD.saturating_sub(*at).min(payload.len());
                    let rest = expected.get((*at + skip).min(expected.len())..).unwrap_or_default();
                    same &= rest.starts_with(&payload[skip..]);
                }
                *at += payload.len();
            };
            self.replies.push(bytes, take)?;
            if !same {
                return Poll::Ready(Err(anyhow::anyhow!("the reply's bytes were changed")));
            }
            Poll::Ready(Ok(()))
        })
    }
}
