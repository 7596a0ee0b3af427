//! Tells from the first bytes of a connection what the client speaks, so that one port serves every kind of
//! client.
//!
//! The kinds differ within a few bytes: a TLS record begins `16 03`, a SASL negotiation `01`, a strict binary
//! Thrift message `80 01`, an HTTP request with a method in capitals. Only the length of a frame can look
//! like the beginning of another kind. So each kind is a list of conditions on fixed positions, and the kinds
//! are tried in a fixed order: as long as one is possible, the later ones wait. That makes the answer
//! *monotone*: once given, it never changes with more bytes, however they were cut into segments.

use std::fmt;
use std::ops::RangeInclusive;

use super::proxy;

/// After this many bytes [`detect`] has always decided; it never looks at later ones.
pub const DETECT_BYTES: usize = 16;

/// A first frame longer than this is not a request, so such a length shows at once that the bytes are
/// something else. No server accepts longer frames (Hive: `hive.server2.thrift.max.message.size`, 100 MiB;
/// Impala has no framed port), and four letters of text, read as a length, are always more.
pub const FRAME_LIMIT: u32 = 1 << 30;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detection {
    /// Too few bytes: more of them could still make one of the known kinds.
    NeedMore,
    /// A header of the PROXY protocol, of either version ([`proxy`]).
    Proxy,
    /// A TLS record that carries a handshake, SSL 3.0 to TLS 1.3 by its outer version (RFC 8446 §5.1).
    Tls,
    /// An HTTP/1 request.
    Http,
    /// A SASL negotiation as Thrift's transports do it, at its START.
    Sasl,
    /// A strict binary Thrift message without frames around it.
    Thrift,
    /// A strict binary Thrift message inside a frame with a 4-byte length.
    Framed,
    /// None of these. Old-style Thrift (without a version word) is among them: no known client sends it, and
    /// Spark hangs up on it.
    Unknown,
}

/// Decides what the connection is from `first`, all bytes received so far.
///
/// The decision comes as soon as the bytes allow it, at the latest with [`DETECT_BYTES`] of them. For every
/// input, `detect(prefix)` is either [`Detection::NeedMore`] or equal to `detect(whole)`.
pub fn detect(first: &[u8]) -> Detection {
    let first = first.get(..DETECT_BYTES).unwrap_or(first);
    let kinds: [(Detection, Condition); 6] = [
        (Detection::Proxy, |first| is(first, 0, proxy::LINE).max(is(first, 0, proxy::SIGNATURE))),
        (Detection::Tls, tls),
        (Detection::Http, http),
        (Detection::Sasl, sasl),
        (Detection::Thrift, thrift),
        (Detection::Framed, framed),
    ];
    for (detection, kind) in kinds {
        match kind(first) {
            Match::Yes => return detection,
            Match::Maybe => return Detection::NeedMore,
            Match::No => {}
        }
    }
    Detection::Unknown
}

/// What a peer seems to speak whose bytes are invalid where they came: a client in the middle of its
/// connection, or a coordinator that answers. Messages for people name it in place of the bytes, which are
/// never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speech {
    /// A TLS alert (RFC 8446 §6): what a TLS server answers to anything else. Seen: `15 03 03 00 02 02 0a`.
    TlsAlert,
    /// A TLS record that carries a handshake.
    Tls,
    /// The status line of an HTTP response.
    HttpResponse,
    /// The beginning of an HTTP request.
    HttpRequest,
    /// A strict binary Thrift message without a frame.
    Thrift,
    /// A message of Thrift's SASL negotiation.
    Sasl,
    /// A frame, as far as its length can tell.
    Framed,
}

impl Speech {
    /// What `first` looks like, as a guess from whatever bytes there are, even a single one. None if they
    /// look like nothing known.
    pub fn guess(first: &[u8]) -> Option<Self> {
        let kinds: [(Self, Condition); 7] = [
            (Self::TlsAlert, tls_alert),
            (Self::Tls, tls),
            (Self::HttpResponse, |first| is(first, 0, b"HTTP/")),
            (Self::HttpRequest, http),
            (Self::Thrift, |first| version_word(first, 0)),
            (Self::Sasl, sasl_message),
            // Of a bare length only a small one: any four letters are a large one.
            (Self::Framed, |first| is(first, 0, &[0]).min(framed(first))),
        ];
        let like = |wanted| kinds.iter().find(|(_, kind)| kind(first) == wanted).map(|(speech, _)| *speech);
        if first.is_empty() { None } else { like(Match::Yes).or_else(|| like(Match::Maybe)) }
    }

    /// With an article, for the middle of a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlert => "a TLS alert",
            Self::Tls => "a TLS handshake",
            Self::HttpResponse => "an HTTP response",
            Self::HttpRequest => "an HTTP request",
            Self::Thrift => "a Thrift message without a frame",
            Self::Sasl => "a SASL message",
            Self::Framed => "a frame",
        }
    }
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The end of a sentence that says what bytes are not: what they look like instead; empty if they look like
/// nothing known.
pub(crate) fn hint(first: &[u8]) -> Hint {
    Hint(Speech::guess(first))
}

/// See [`hint`].
pub(crate) struct Hint(Option<Speech>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |speech| write!(f, ", but what looks like {speech}"))
    }
}

/// A condition that the first bytes of one kind of client meet.
type Condition = fn(&[u8]) -> Match;

/// How far bytes, which may be incomplete, meet a condition. The order is the order of "and": the least value
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    No,
    Maybe,
    Yes,
}

/// Content type 22 (handshake) and major version 3; minor 0 is SSL 3.0, 1 to 4 are TLS 1.0 to 1.3.
fn tls(first: &[u8]) -> Match {
    is(first, 0, &[0x16, 0x03]).min(between(first, 2..3, 0..=4))
}

/// Content type 21 (alert), and a length that is always 2 where nothing is encrypted yet.
fn tls_alert(first: &[u8]) -> Match {
    is(first, 0, &[0x15, 0x03]).min(between(first, 2..3, 0..=4)).min(is(first, 3, &[0, 2]))
}

/// A method token of RFC 9110 §9.3, RFC 5789 or, for HTTP/2's preface, RFC 9113 §3.4: in capitals and followed
/// by a space.
fn http(first: &[u8]) -> Match {
    const METHODS: [&[u8]; 10] = [
        b"POST ",
        b"GET ",
        b"OPTIONS ",
        b"HEAD ",
        b"PUT ",
        b"DELETE ",
        b"PATCH ",
        b"TRACE ",
        b"CONNECT ",
        b"PRI ",
    ];
    METHODS.iter().map(|method| is(first, 0, method)).max().unwrap_or(Match::No)
}

/// START (1), then the length and the name of a mechanism: 1 to 20 capitals, digits, `-` and `_` (RFC 4422
/// §3.1).
///
/// A frame of 16 MiB also begins with 01, but its fifth byte is Thrift's 80, which is not part of any name's
/// length.
fn sasl(first: &[u8]) -> Match {
    let start = is(first, 0, &[1]).min(between(first, 1..5, 1..=20));
    if start != Match::Yes {
        return start;
    }
    let length = first.get(4).copied().map_or(0, usize::from);
    let wanted = length.min(DETECT_BYTES - 5);
    let name = first.get(5..).unwrap_or_default();
    let name = name.get(..wanted).unwrap_or(name);
    if !name.iter().all(|&byte| is_mechanism_byte(byte)) {
        Match::No
    } else if name.len() < wanted {
        Match::Maybe
    } else {
        Match::Yes
    }
}

/// Any status, then the length of a payload, up to the longest that is ever sent.
fn sasl_message(first: &[u8]) -> Match {
    between(first, 0..1, 1..=5).min(between(first, 1..5, 0..=0xffff))
}

/// Whether `byte` may stand in the name of a SASL mechanism (RFC 4422 §3.1).
pub(crate) fn is_mechanism_byte(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_')
}

/// The version word with a message type (`TBinaryProtocol` of the Thrift specification), then a name's
/// length.
///
/// Any positive length is accepted: nothing but Thrift begins with these bytes. A name that is far too long
/// is refused by the scanner, and not handed to a coordinator as something unknown.
fn thrift(first: &[u8]) -> Match {
    version_word(first, 0).min(between(first, 4..8, 1..=i32::MAX as u32))
}

/// The same inside a frame, whose length must have room for the version word, the name, the sequence id and a
/// stop byte, and must not exceed the length of any request's frame.
fn framed(first: &[u8]) -> Match {
    const AROUND_NAME: u32 = 4 + 4 + 4 + 1;
    let message = between(first, 0..4, AROUND_NAME + 1..=FRAME_LIMIT).min(version_word(first, 4));
    let longest_name = match first.first_chunk::<4>() {
        Some(length) => u32::from_be_bytes(*length).saturating_sub(AROUND_NAME),
        None => FRAME_LIMIT,
    };
    message.min(between(first, 8..12, 1..=longest_name))
}

/// `80 01 00` and one of the four message types: call, reply, exception, one-way.
fn version_word(first: &[u8], at: usize) -> Match {
    is(first, at, &[0x80, 0x01, 0x00]).min(between(first, at + 3..at + 4, 1..=4))
}

/// Whether the bytes at `at` are `wanted`.
fn is(first: &[u8], at: usize, wanted: &[u8]) -> Match {
    let seen = first.get(at..).unwrap_or_default();
    if seen.len() >= wanted.len() {
        if seen.starts_with(wanted) { Match::Yes } else { Match::No }
    } else if wanted.starts_with(seen) {
        Match::Maybe
    } else {
        Match::No
    }
}

/// Whether the big-endian number at `at` (at most 4 bytes) is in `wanted`. Missing bytes are taken once as
/// all zeros and once as all ones.
fn between(first: &[u8], at: std::ops::Range<usize>, wanted: RangeInclusive<u32>) -> Match {
    let number = |missing: u8| {
        let bytes = at.clone().map(|position| first.get(position).copied().unwrap_or(missing));
        bytes.fold(0_u32, |number, byte| (number << 8) | u32::from(byte))
    };
    let (least, most) = (number(0x00), number(0xff));
    if wanted.contains(&least) && wanted.contains(&most) {
        Match::Yes
    } else if most < *wanted.start() || least > *wanted.end() {
        Match::No
    } else {
        Match::Maybe
    }
}

#[cfg(test)]
mod tests;
