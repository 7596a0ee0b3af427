//! HTTP as the load client and the coordinators speak it: heads made before, and of what comes the few fields
//! that matter. Neither side leans on the router's own reader or on its library.

use std::time::UNIX_EPOCH;

use anyhow::{Context as _, bail, ensure};
use hs2router::clock::time_of_day;

/// What a client's request begins with, but for the length (impyla: `ImpalaHttpClient.flush`).
const REQUEST: &str = "POST /cliservice HTTP/1.1\r\nHost: bench.test:28000\r\nAccept-Encoding: identity\r\n\
     Content-Type: application/x-thrift\r\nUser-Agent: Python/ImpylaHttpClient (bench)\r\n\
     Authorization: Basic YmVuY2g6c2VjcmV0\r\n";
/// What a coordinator's answer has behind its date, but for the length (Impala: `THttpServer::getHeader`).
const ANSWER: &str = "Server: Thrift/0.16.0\r\n\
     Access-Control-Allow-Origin: *\r\nContent-Type: application/x-thrift\r\nConnection: Keep-Alive\r\n";
/// The cookie that a coordinator gives to whoever comes without it, as Impala does.
const COOKIE_NAME: &str = "impala.auth";
const COOKIE: &str = "Set-Cookie: impala.auth=4Ktr1wWPbm9Ff0cnRMJYQG7m1S2vBmuhFWCWdHxWcbc=&u=bench&t=6283911&r=846930886&\
     a=Basic;HttpOnly;Max-Age=86400\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";
const LINE_END: &[u8] = b"\r\n";

/// A request for this message; `cookies` is what the client was given.
pub(crate) fn request(message: &[u8], cookies: &Cookies) -> Vec<u8> {
    let Cookies(pairs) = cookies;
    let cookie = if pairs.is_empty() { String::new() } else { format!("Cookie: {}\r\n", pairs.join("; ")) };
    let head = format!("{REQUEST}Content-Length: {}\r\n{cookie}\r\n", message.len());
    [head.as_bytes(), message].concat()
}

/// The head of an answer to the request with this head, with a body of so many bytes.
pub(crate) fn answer_head(length: usize, request: &[u8]) -> Vec<u8> {
    let is_known = field(request, "cookie").is_some_and(|value| {
        value.split(|byte| *byte == b';').any(|pair| pair.trim_ascii().starts_with(COOKIE_NAME.as_bytes()))
    });
    let cookie = if is_known { "" } else { COOKIE };
    let since_1970 = time_of_day().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (hours, minutes, seconds) = (since_1970 / 3600 % 24, since_1970 / 60 % 60, since_1970 % 60);
    // Another one each second, as the answers of a coordinator have.
    let date = format!("Date: Tue, 01 Dec 2026 {hours}:{minutes}:{seconds} GMT\r\n");
    format!("HTTP/1.1 200 OK\r\n{date}{ANSWER}Content-Length: {length}\r\n{cookie}\r\n").into_bytes()
}

/// A request that has come whole.
pub(crate) struct Request<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The first one in what has come; none if more of it must come.
    pub(crate) fn first_of(bytes: &'a [u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END) else {
            return Ok(None);
        };
        let (head, rest) = bytes.split_at(end + HEAD_END.len());
        let length = length(head)?.context("a request without a length")?;
        Ok(rest.get(..length).map(|body| Self { head, body }))
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// The cookies of one client, each `name=value`; it gives them back with every request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cookies(Vec<String>);

impl Cookies {
    fn take(&mut self, set_cookie: &[u8]) {
        let Self(pairs) = self;
        let text = String::from_utf8_lossy(set_cookie);
        let pair = text.split(';').next().unwrap_or_default().trim();
        let name = pair.split('=').next().unwrap_or_default();
        pairs.retain(|kept| kept.split('=').next() != Some(name));
        pairs.push(pair.to_owned());
    }
}

/// Where in an answer the next byte stands.
#[derive(Debug)]
enum Place {
    Head,
    /// So many bytes before the end of a body that said its length.
    Body(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    LastLine,
    /// Behind it.
    Over,
}

/// Reads the answers on a connection, one after another, with what a client remembers of them.
#[derive(Debug)]
pub(crate) struct Answers {
    place: Place,
    /// A head or a line of which not all has come.
    begun: Vec<u8>,
    pub(crate) cookies: Cookies,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self { place: Place::Over, begun: Vec::new(), cookies: Cookies::default() }
    }

    /// A request was sent: an answer to it may come.
    pub(crate) fn begin(&mut self) {
        self.place = Place::Head;
    }

    /// Whether the answer has come whole.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.place, Place::Over)
    }

    /// Takes what has come; `take` is told of the body's bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            match self.place {
                Place::Head => {
                    if let Some(head) = self.gather(&mut bytes, HEAD_END) {
                        self.place = self.judge(&head)?;
                    }
                }
                Place::Body(left) => {
                    let left = cut(&mut bytes, left, &mut take);
                    self.place = if left == 0 { Place::Over } else { Place::Body(left) };
                }
                Place::ChunkSize => {
                    if let Some(line) = self.gather(&mut bytes, LINE_END) {
                        let size = str::from_utf8(line.trim_ascii())?;
                        let size = usize::from_str_radix(size, 16).context("the size of a chunk")?;
                        self.place = if size == 0 { Place::LastLine } else { Place::Chunk(size) };
                    }
                }
                Place::Chunk(left) => {
                    let left = cut(&mut bytes, left, &mut take);
                    self.place = if left == 0 { Place::ChunkEnd } else { Place::Chunk(left) };
                }
                Place::ChunkEnd => {
                    if self.gather(&mut bytes, LINE_END).is_some() {
                        self.place = Place::ChunkSize;
                    }
                }
                Place::LastLine => {
                    if self.gather(&mut bytes, LINE_END).is_some() {
                        self.place = Place::Over;
                    }
                }
                Place::Over => bail!("{} bytes came after an answer", bytes.len()),
            }
        }
        Ok(())
    }

    /// Takes bytes up to such an end; all up to it, once it has come.
    fn gather(&mut self, bytes: &mut &[u8], end: &[u8]) -> Option<Vec<u8>> {
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(at + 1);
            self.begun.extend_from_slice(line);
            *bytes = rest;
            if self.begun.ends_with(end) {
                return Some(std::mem::take(&mut self.begun));
            }
        }
        self.begun.extend_from_slice(std::mem::take(bytes));
        None
    }

    /// Looks at a whole head; where the next byte stands.
    fn judge(&mut self, head: &[u8]) -> anyhow::Result<Place> {
        ensure!(head.starts_with(b"HTTP/1.1 200 "), "it answered: {}", String::from_utf8_lossy(head));
        for (name, value) in fields(head) {
            if name.eq_ignore_ascii_case(b"set-cookie") {
                self.cookies.take(value);
            }
        }
        Ok(match length(head)? {
            Some(0) => Place::Over,
            Some(length) => Place::Body(length),
            None => Place::ChunkSize,
        })
    }
}

/// Takes at most `left` bytes from the front; how many are then left.
fn cut(bytes: &mut &[u8], left: usize, take: &mut impl FnMut(&[u8])) -> usize {
    let (piece, rest) = bytes.split_at(bytes.len().min(left));
    take(piece);
    *bytes = rest;
    left - piece.len()
}

/// How long the body is; none if the head does not say it, because it comes in chunks.
fn length(head: &[u8]) -> anyhow::Result<Option<usize>> {
    let value = field(head, "content-length").map(str::from_utf8).transpose()?;
    value.map(|value| value.parse().with_context(|| format!("Content-Length: {value}"))).transpose()
}

fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut fields = fields(head);
    fields.find_map(|(there, value)| there.eq_ignore_ascii_case(name.as_bytes()).then_some(value))
}

/// Names and values, in their order.
fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        Some((name, value[1..].trim_ascii()))
    })
}
