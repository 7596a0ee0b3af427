//! HS2 over HTTP in a simulated world: who speaks it, how clients read answers, and in which ways
//! coordinators answer.

use data_encoding::BASE64;
use hs2router::fake::Password;
use hs2router::fake::client::HttpLogin;
use hs2router::fake::client::http::{self, Jar};
use rand::RngExt as _;
use rand::rngs::StdRng;

/// Which clients of HS2 speak it over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    Nobody,
    /// Every other one.
    Some,
    All,
}

impl Http {
    /// What a world's seed says of it, without drawing: what is drawn from the seed stays the same.
    pub(crate) fn of(seed: u64) -> Self {
        match (seed % 3, seed / 3 % 2) {
            (1, 0) => Self::All,
            (1, _) => Self::Some,
            _ => Self::Nobody,
        }
    }

    /// Whether the client of this number does.
    pub(crate) fn is_spoken_by(self, number: usize) -> bool {
        match self {
            Self::Nobody => false,
            Self::Some => number.is_multiple_of(2),
            Self::All => true,
        }
    }
}

/// How a client uses its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// For all of its calls, as JDBC does.
    Kept,
    /// One for each call, as impyla and `PyHive` do.
    ForOneCall,
    /// The same in HTTP/1.0, where an answer may end with its connection.
    Old,
}

impl Keeping {
    /// Draws one.
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..10) {
            0..5 => Self::Kept,
            5..9 => Self::ForOneCall,
            _ => Self::Old,
        }
    }
}

/// A request of a client around this message.
pub(crate) fn request(login: Option<(&str, &str)>, keeping: Keeping, message: &[u8]) -> Vec<u8> {
    let basic = login.map(|(user, password)| (user.to_owned(), Password::new(password)));
    let login = HttpLogin { basic, ..HttpLogin::default() };
    let request = http::request(&login, &Jar::default(), message);
    if keeping != Keeping::Old {
        return request;
    }
    let line = request.windows(8).position(|window| window == b"HTTP/1.1").unwrap();
    let mut request = request;
    request[line + 7] = b'0';
    request
}

/// The head of an answer to a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many bytes it has.
    pub(crate) len: usize,
    pub(crate) status: u16,
    /// Whether the connection ends with the answer.
    pub(crate) is_last: bool,
    /// How many bytes the body has, if the head says that.
    pub(crate) length: Option<usize>,
    /// Whether the body comes in chunks.
    pub(crate) is_chunked: bool,
}

impl Head {
    /// The one that these bytes begin with; none until all of it has come.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let len = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&bytes[..len]).to_ascii_lowercase();
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let length = value("content-length").map(|length| length.parse().unwrap());
        let is_last = value("connection") == Some("close");
        let is_chunked = value("transfer-encoding") == Some("chunked");
        Some(Self { len, status, is_last, length, is_chunked })
    }
}

/// An answer to a client, all of which has come.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    /// Its body, freed of what says where it ends.
    pub(crate) body: Vec<u8>,
    /// How many bytes it took.
    pub(crate) used: usize,
}

impl Answer {
    /// The one that these bytes begin with; none until all of it has come. `has_ended` says whether the
    /// connection has ended after them, in order.
    pub(crate) fn of(bytes: &[u8], has_ended: bool) -> Option<Self> {
        let head = Head::of(bytes)?;
        let rest = &bytes[head.len..];
        let (body, used) = match head.length {
            Some(length) => (rest.get(..length)?.to_vec(), length),
            None if head.is_chunked => chunks(rest)?,
            None if has_ended => (rest.to_vec(), rest.len()),
            None => return None,
        };
        Some(Self { used: head.len + used, head, body })
    }
}

/// The body that these bytes begin with, and how many bytes its chunks took.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        let chunk = rest.get(line + 2..line + 2 + size + 2)?;
        body.extend_from_slice(&chunk[..size]);
        at += line + 2 + size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}

/// In which form a coordinator answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// With a length, as Impala does (Impala: `THttpServer.cpp` `flush`).
    Length,
    /// In chunks, as Jetty does with what is long (Hive, Spark).
    Chunks,
    /// With a length, and the connection ends after it.
    LengthAndEnd,
    /// The end of the connection is the end of the answer (RFC 9112, section 6.3).
    End,
}

impl Form {
    /// Draws one; `may_end` says whether connections may end with it.
    pub(crate) fn draw(rng: &mut StdRng, may_end: bool) -> Self {
        match rng.random_range(0..20) {
            0..4 => Self::Chunks,
            4 if may_end => Self::LengthAndEnd,
            5 if may_end => Self::End,
            _ => Self::Length,
        }
    }

    /// Whether the connection ends after the answer.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::LengthAndEnd | Self::End)
    }

    /// An answer that has a length, in this form.
    pub(crate) fn shape(self, answer: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
        let Some(Head { len, length: Some(length), .. }) = Head::of(&answer) else { return answer };
        let (head, body) = answer.split_at(len);
        let head = String::from_utf8_lossy(head).into_owned();
        let head = if self.ends() { head.replace("Connection: Keep-Alive\r\n", "") } else { head };
        let field = format!("Content-Length: {length}\r\n");
        assert!(head.contains(&field), "{head}");
        let with = |fields: &str| head.replace(&field, fields).into_bytes();
        match self {
            Self::Length => answer,
            Self::Chunks => {
                let size = rng.random_range(1..=body.len().max(2));
                let mut shaped = with("Transfer-Encoding: chunked\r\n");
                for chunk in body.chunks(size) {
                    shaped.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                    shaped.extend([chunk, b"\r\n"].concat());
                }
                shaped.extend(b"0\r\n\r\n");
                shaped
            }
            Self::LengthAndEnd => [with(&format!("{field}Connection: close\r\n")).as_slice(), body].concat(),
            Self::End => [with("Connection: close\r\n").as_slice(), body].concat(),
        }
    }
}

/// An answer of a coordinator without its head, if it has one.
pub(crate) fn body(answer: &[u8]) -> &[u8] {
    if answer.starts_with(b"HTTP/") {
        let head = Head::of(answer).map_or(0, |head| head.len);
        return &answer[head..];
    }
    answer
}

/// What the Basic authorization of a request says.
pub(crate) fn shown(request: &[u8]) -> Option<Vec<u8>> {
    const BEFORE: &[u8] = b"authorization: Basic ";
    let begin = request.windows(BEFORE.len()).position(|window| window.eq_ignore_ascii_case(BEFORE))?;
    let rest = request.get(begin + BEFORE.len()..)?;
    let end = rest.iter().position(|byte| *byte == b'\r')?;
    BASE64.decode(&rest[..end]).ok()
}
