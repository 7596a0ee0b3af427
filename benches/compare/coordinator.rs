//! The simulated coordinators: one process, one thread, an address for each; with SASL and over HTTP there are
//! three. They look at a request's name and nothing else, and answer with bytes that were made before.

use std::io::{IoSlice, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use hs2router::fake::sasl::{self, Deframer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{Request, answer_head};
use crate::wire::{self, Auth, Call, Handle, Rows, SECRET_AFTER};

/// How many coordinators a proxy is told of, where the work says nothing else.
pub(crate) const COORDINATORS: usize = 3;
/// How many there are without SASL.
pub(crate) const MOST_COORDINATORS: usize = 1_000;
/// How many there are of each kind, in the order in which their addresses are told.
const KINDS: [(Auth, usize); 3] =
    [(Auth::Nosasl, MOST_COORDINATORS), (Auth::Plain, COORDINATORS), (Auth::HttpBasic, COORDINATORS)];
/// Replies up to this size are copied, so that they go out in one piece.
const COPIED: usize = 4096;

/// The replies to every call, made once.
struct Answers {
    /// How long a request of each call is, in the order of [`Call::ALL`].
    requests: Vec<usize>,
    /// The replies to each call, in the order of [`Call::ALL`]; to fetches: in that of [`Rows::ALL`].
    replies: Vec<Vec<u8>>,
    fetches: Vec<Vec<u8>>,
    /// Numbers the handles.
    minted: AtomicU64,
}

impl Answers {
    fn new() -> Self {
        let blank = Handle::BLANK;
        Self {
            requests: Call::ALL.map(|call| wire::request(call, &blank, Rows::Few).len()).into(),
            replies: Call::ALL.map(|call| wire::reply(call, &blank, Rows::Few)).into(),
            fetches: Rows::ALL.map(|rows| wire::reply(Call::FetchResults, &blank, rows)).into(),
            minted: AtomicU64::new(1),
        }
    }

    /// The call of a request, and how long it is; none while its name has not come.
    fn recognise(&self, request: &[u8]) -> anyhow::Result<Option<(usize, Call)>> {
        let Some(length) = request.get(4..8) else { return Ok(None) };
        let length = u32::from_be_bytes(length.try_into()?) as usize;
        let Some(name) = request.get(8..8 + length) else { return Ok(None) };
        let Some(at) = Call::ALL.iter().position(|call| call.name().as_bytes() == name) else {
            bail!("a call of {:?}", String::from_utf8_lossy(name));
        };
        Ok(Some((self.requests[at], Call::ALL[at])))
    }

    fn reply(&self, call: Call, request: &[u8]) -> &[u8] {
        if call == Call::FetchResults {
            let rows = wire::rows_of(request).unwrap_or(Rows::Few);
            return &self.fetches[rows as usize];
        }
        &self.replies[call as usize]
    }

    /// A handle that no other has.
    fn mint(&self) -> Handle {
        let number = self.minted.fetch_add(1, Ordering::Relaxed);
        let mut handle = Handle::BLANK;
        // Spread over the bytes, as random ones are.
        handle.guid[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        handle.guid[8..].copy_from_slice(&number.to_be_bytes());
        handle
    }
}

/// The addresses of the coordinators for connections of this kind, among all that their process tells.
pub(crate) fn of_kind(all: &[SocketAddr], wanted: Auth) -> &[SocketAddr] {
    let mut rest = all;
    for (auth, count) in KINDS {
        let (of_this, others) = rest.split_at(count);
        if auth == wanted {
            return of_this;
        }
        rest = others;
    }
    rest
}

/// Runs until standard input ends; tells the addresses on standard output, kind by kind.
pub(crate) fn run() -> anyhow::Result<()> {
    crate::process::end_with_parent();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answers = Arc::new(Answers::new());
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for (auth, count) in KINDS {
            for _ in 0..count {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                addresses.push(listener.local_addr()?);
                tokio::spawn(listen(listener, auth, Arc::clone(&answers)));
            }
        }
        println!("{}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        std::io::stdout().flush()?;
        std::future::pending().await
    })
}

async fn listen(listener: TcpListener, auth: Auth, answers: Arc<Answers>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            // A connection that ends in the middle of something is the other side's doing, and counted there.
            let _ended = match auth {
                Auth::HttpBasic => serve_http(stream, &answers).await,
                Auth::Nosasl | Auth::Plain => serve(stream, auth, &answers).await,
            };
        });
    }
}

async fn serve(mut stream: TcpStream, auth: Auth, answers: &Answers) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    if auth == Auth::Plain {
        let mut opening = vec![0; wire::plain_opening().len()];
        stream.read_exact(&mut opening).await?;
        stream.write_all(&wire::plain_accepted()).await?;
    }
    let mut deframer = Deframer::new(auth.framing());
    let mut pending = Vec::new();
    let mut out = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        deframer.push(&chunk[..count], |payload| pending.extend_from_slice(payload));
        while let Some((length, call)) = answers.recognise(&pending)? {
            if pending.len() < length {
                break;
            }
            let reply = answers.reply(call, &pending[..length]);
            out.clear();
            if auth == Auth::Plain {
                out.extend(sasl::length(reply.len()));
            }
            let copied = copy_front(&mut out, reply, call, &pending, answers);
            pending.drain(..length);
            write_both(&mut stream, &out, &reply[copied..]).await?;
        }
    }
}

async fn serve_http(mut stream: TcpStream, answers: &Answers) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut pending = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        pending.extend_from_slice(&chunk[..count]);
        while let Some(request) = Request::first_of(&pending)? {
            let (_, call) = answers.recognise(request.body)?.context("a body that is no call")?;
            let reply = answers.reply(call, request.body);
            let mut out = answer_head(reply.len(), request.head);
            let copied = copy_front(&mut out, reply, call, request.body, answers);
            let length = request.len();
            pending.drain(..length);
            write_both(&mut stream, &out, &reply[copied..]).await?;
        }
    }
}

/// Appends as much of a reply as is not sent from where it was made; how many bytes that are.
fn copy_front(out: &mut Vec<u8>, reply: &[u8], call: Call, request: &[u8], answers: &Answers) -> usize {
    let copied = if reply.len() <= COPIED { reply.len() } else { call.seqid_at() + 4 };
    let start = out.len();
    out.extend_from_slice(&reply[..copied]);
    complete(&mut out[start..], call, request, answers);
    copied
}

/// Puts the request's sequence id and a new handle into the copied part of a reply.
fn complete(reply: &mut [u8], call: Call, request: &[u8], answers: &Answers) {
    let seqid = call.seqid_at()..call.seqid_at() + 4;
    reply[seqid.clone()].copy_from_slice(&request[seqid]);
    if matches!(call, Call::OpenSession | Call::ExecuteStatement)
        && let Some(at) = wire::blank_at(reply)
    {
        let minted = answers.mint();
        reply[at..at + minted.guid.len()].copy_from_slice(&minted.guid);
        let at = at + SECRET_AFTER;
        reply[at..at + minted.secret.len()].copy_from_slice(&minted.secret);
    }
}

async fn write_both(stream: &mut TcpStream, first: &[u8], second: &[u8]) -> anyhow::Result<()> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let mut rest = &mut slices[..];
    let mut left = first.len() + second.len();
    while left > 0 {
        let written = stream.write_vectored(rest).await.context("writing")?;
        if written == 0 {
            bail!("nothing more is taken");
        }
        left -= written;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}
