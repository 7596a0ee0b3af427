//! What each fuzz target does with its input. The tests of the main package run the same functions over the
//! corpus.
//!
//! But for `detect`, `proxy`, `hello` and `tls`, an input is a recipe and a stream: the limit on a message or
//! frame (two bytes, 0 is none to speak of), the kind of stream (one byte; odd: replies, which only `scan`
//! asks; `link` has its own meaning for both, `http_head` and `gssapi` for this one), a number of cuts (one byte, its low
//! four bits count), a place for each cut (two bytes, taken modulo the stream's length), then the stream.
//! Numbers are big-endian.

mod gssapi;
mod heads;
mod overheard;
mod plain;
mod tls;

use hs2router::ids::{Family, Transport};
use hs2router::serve::message::coding::Form;
use hs2router::serve::message::link_end::Replies;
use hs2router::serve::message::reply::Reply;
use hs2router::wire::detect::{DETECT_BYTES, Detection};
use hs2router::wire::facts::{Facts, NAME_BYTES};
use hs2router::wire::frame::{self, Deframer, FrameError};
use hs2router::wire::hello::{self, LONGEST_HELLO, ServerName};
use hs2router::wire::method::{self, Method};
use hs2router::wire::proxy::{self, LONGEST_LINE};
use hs2router::wire::sasl::mechanism::Plain;
use hs2router::wire::sasl::{Acceptor, Answer, Credentials, Initiator, Message, SaslError, Status, Step};
use hs2router::wire::scan::{ScanError, Scanner};

pub use self::gssapi::gssapi;
pub use self::heads::http_head;
pub use self::overheard::overheard;
use self::tls::{Case, Harm};

/// Streams up to this long are also taken one byte at a time.
const SINGLE_BYTES: usize = 2048;

/// Once given, the answer is the answer for every longer beginning, and it comes in time.
pub fn detect(input: &[u8]) {
    let whole = hs2router::wire::detect::detect(input);
    assert!(input.len() < DETECT_BYTES || whole != Detection::NeedMore);
    for end in 0..input.len().min(2 * DETECT_BYTES) {
        let seen = hs2router::wire::detect::detect(input.get(..end).unwrap_or_default());
        assert!(seen == Detection::NeedMore || seen == whole, "{seen:?} at {end}, then {whole:?}");
    }
}

/// As [`detect`], of a PROXY header.
pub fn proxy(input: &[u8]) {
    let whole = proxy::parse(input);
    assert!(input.len() < LONGEST_LINE || whole != Ok(None));
    for end in 0..input.len().min(2 * LONGEST_LINE) {
        let seen = proxy::parse(input.get(..end).unwrap_or_default());
        assert!(seen == Ok(None) || seen == whole, "{seen:?} at {end}, then {whole:?}");
    }
}

/// As [`detect`], of the server's name in a TLS hello.
pub fn hello(input: &[u8]) {
    let whole = hello::server_name(input);
    assert!(input.len() < LONGEST_HELLO || whole != ServerName::NeedMore);
    for end in 0..input.len().min(SINGLE_BYTES) {
        let seen = hello::server_name(input.get(..end).unwrap_or_default());
        assert!(seen == ServerName::NeedMore || seen == whole, "{seen:?} at {end}, then {whole:?}");
    }
}

/// A TLS connection gives the bytes that its peer said, or an error, in whatever pieces its records come and
/// whatever happens to them on their way.
///
/// The input: what is done (one byte: the low bit makes our side the server, the next is TLS 1.2, the next
/// two are the harm), where (two bytes), which bits are flipped there (one), how many bytes are read at once
/// (two), the number of piece sizes (one, its low three bits), the sizes (two each), then the plaintext, or,
/// for the last harm, what comes in the place of a handshake.
pub fn tls(input: &[u8]) {
    let mut rest = input;
    let mut byte = || {
        let (first, after) = rest.split_first().unwrap_or((&0, &[]));
        rest = after;
        *first
    };
    let what = byte();
    let at = usize::from(u16::from_be_bytes([byte(), byte()]));
    let bits = byte();
    let reads = usize::from(u16::from_be_bytes([byte(), byte()]));
    let count = byte() & 7;
    let sizes: Vec<_> = (0..count).map(|_| usize::from(u16::from_be_bytes([byte(), byte()]))).collect();
    let is_server = what & 1 == 1;
    let harm = match what >> 2 & 3 {
        0 => Harm::None,
        1 => Harm::Changed { at, bits },
        2 => Harm::Truncated { at },
        _ => return tls::stumble(is_server, rest, &sizes),
    };
    let (front, back) = rest.split_at(rest.len() / 2);
    tls::carry(&Case { is_server, is_old: what & 2 == 2, says: &[front, back], sizes: &sizes, reads, harm });
}

/// Messages cut anywhere have the same ends, facts and errors as whole ones.
pub fn scan(input: &[u8]) {
    let recipe = Recipe::read(input);
    let limit = if recipe.limit == 0 { 1 << 30 } else { u64::from(recipe.limit) };
    let reply = (recipe.kind & 1 == 1).then(|| method::lookup(name(recipe.stream)));
    let whole = scan_all(reply, limit, &[recipe.stream]);
    for pieces in recipe.pieces() {
        let cut = scan_all(reply, limit, &pieces);
        assert_eq!(whole.0.len(), cut.0.len(), "another number of messages");
        for (whole, cut) in whole.0.iter().zip(&cut.0) {
            assert!(whole == cut, "other facts, or another end");
        }
        assert_eq!(whole.1, cut.1);
    }
}

/// The name of the first message, which for replies is the method that they are followed as replies to.
fn name(stream: &[u8]) -> &[u8] {
    let Some(len) = stream.get(4..).and_then(<[u8]>::first_chunk::<4>) else { return &[] };
    let end = 8_usize.saturating_add(u32::from_be_bytes(*len) as usize);
    stream.get(8..end).unwrap_or_default()
}

/// A message's facts as far as they came, its method, and how many of its bytes came.
type Scanned = (Facts, &'static Method, usize);

/// Follows message after message; the last one may be cut short by the stream's end, or by the error.
fn scan_all(
    reply: Option<&'static Method>,
    limit: u64,
    pieces: &[&[u8]],
) -> (Vec<Scanned>, Option<ScanError>) {
    let start = || reply.map_or_else(|| Scanner::request(limit), |method| Scanner::reply(method, limit));
    let (mut messages, mut scanner, mut came) = (Vec::new(), start(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let step = match scanner.push(rest) {
                Ok(step) => step,
                Err(error) => return (messages, Some(error)),
            };
            assert!(step.used > 0, "no progress");
            assert!(step.done || step.used == rest.len(), "bytes left before the end");
            came += step.used;
            assert!(came as u64 <= limit, "longer than allowed");
            rest = rest.get(step.used..).unwrap_or_default();
            if step.done {
                messages.push((scanner.facts().clone(), scanner.method(), came));
                (scanner, came) = (start(), 0);
            }
        }
    }
    messages.push((scanner.facts().clone(), scanner.method(), came));
    (messages, None)
}

/// Both sides of a handshake end in the same way however it was cut, and take nothing that comes after it.
pub fn sasl(input: &[u8]) {
    let recipe = Recipe::read(input);
    let whole_initiate = initiate(&[recipe.stream]);
    for pieces in recipe.pieces() {
        assert_eq!(whole_initiate, initiate(&pieces));
    }
    for family in [Family::Impala, Family::Hive] {
        let whole_accept = accept(family, &[recipe.stream]);
        for pieces in recipe.pieces() {
            assert_eq!(whole_accept, accept(family, &pieces));
        }
        if let Accepted::Credentials { user, opening, used } = whole_accept {
            assert!(!user.is_empty() && used <= recipe.stream.len());
            // What a coordinator is sent must itself be a handshake with the same outcome.
            let again = accept(family, &[&opening]);
            assert_eq!(again, Accepted::Credentials { user, used: opening.len(), opening });
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Accepted {
    NeedMore { used: usize },
    Credentials { user: String, opening: Vec<u8>, used: usize },
    Other { mechanism: String, used: usize },
    Refused(SaslError),
}

fn accept(family: Family, pieces: &[&[u8]]) -> Accepted {
    let (mut acceptor, mut used) = (Acceptor::new(family), 0);
    for piece in pieces {
        let taken = acceptor.push(piece);
        assert!(taken.used <= piece.len());
        used += taken.used;
        match taken.step {
            Step::NeedMore => assert_eq!(taken.used, piece.len(), "bytes left before the end"),
            Step::Credentials(credentials) => {
                let opening = credentials.opening().to_vec();
                return Accepted::Credentials { user: credentials.user().to_owned(), opening, used };
            }
            Step::OtherMechanism(mechanism) => {
                let consumed = acceptor.into_consumed();
                assert_eq!(consumed.as_slice(), pieces.concat().get(..used).unwrap_or_default());
                return Accepted::Other { mechanism: mechanism.as_str().to_owned(), used };
            }
            Step::Refuse(error) => return Accepted::Refused(error),
        }
    }
    Accepted::NeedMore { used }
}

fn initiate(pieces: &[&[u8]]) -> Result<(Answer, usize), SaslError> {
    let shown = Message { status: Status::Ok, payload: b"\0u\0p" };
    let credentials = Credentials::parse(shown, Family::Impala).expect("they are well-formed");
    let (mut initiator, mut used) = (Initiator::new(Plain::new(&credentials)), 0);
    for piece in pieces {
        let taken = initiator.push(piece)?;
        assert!(taken.used <= piece.len());
        used += taken.used;
        if taken.step != Answer::NeedMore {
            return Ok((taken.step, used));
        }
        assert_eq!(taken.used, piece.len(), "bytes left before the end");
    }
    Ok((Answer::NeedMore, used))
}

/// Frames cut anywhere have the same payloads and errors as whole ones, which are those that a plain reading
/// finds.
pub fn frame(input: &[u8]) {
    let recipe = Recipe::read(input);
    let limit = if recipe.limit == 0 { i32::MAX as usize } else { usize::from(recipe.limit) };
    let plain = read_frames(recipe.stream, limit);
    for pieces in recipe.pieces() {
        assert_eq!(plain, deframe(&pieces, limit));
    }
    for payload in &plain.0 {
        let framed = [frame::header(payload.len()).unwrap_or_default().as_slice(), payload].concat();
        assert_eq!(read_frames(&framed, limit).0, [payload.as_slice()], "what is framed reads back");
    }
}

/// A link may serve another call if and only if a plain reading of all that came finds one whole reply to the
/// call, and nothing had come behind it.
///
/// Of the kind, the lowest bit says whether there are frames; the next, whether the call was `CloseSession`
/// and not what the reply names; the next, whether its sequence id was the limit and not the reply's.
pub fn link(input: &[u8]) {
    let recipe = Recipe::read(input);
    let framed = recipe.kind & 1 == 1;
    let unframed = if framed { recipe.stream.get(4..).unwrap_or_default() } else { recipe.stream };
    let called = name(unframed);
    let after = unframed.get(8 + called.len()..).and_then(<[u8]>::first_chunk::<4>);
    let seqid = after.map_or(0, |bytes| i32::from_be_bytes(*bytes));
    let called = if recipe.kind & 2 == 0 { called } else { b"CloseSession" };
    let seqid = if recipe.kind & 4 == 0 { seqid } else { i32::from(recipe.limit) };
    // No call has a longer name, and of a longer one the router would remember the beginning.
    let called = if called.len() > NAME_BYTES { b"CloseSession" } else { called };
    let end = plain::reply_end(recipe.stream, framed, called, seqid);
    for pieces in recipe.pieces() {
        let transport = if framed { Transport::Sasl } else { Transport::Unframed };
        let request = Facts::of_call(called, seqid);
        let came = pieces.iter().scan(0, |came, piece| {
            *came += piece.len();
            Some(*came)
        });
        let is_seen_alone = end.filter(|end| came.clone().any(|came| came == *end));
        for form in [Form::AsItCame, Form::Payload] {
            let reply = Reply::to(method::lookup(called), &request);
            let (clean_after, kept) = read_reply(reply, transport, form, &pieces);
            assert_eq!(clean_after, is_seen_alone);
            if let Some(end) = clean_after {
                let whole = recipe.stream.get(..end).unwrap_or_default();
                let payload =
                    if framed { read_frames(whole, i32::MAX as usize).0.concat() } else { whole.to_vec() };
                assert_eq!(kept, if form == Form::Payload { payload } else { whole.to_vec() });
            }
        }
    }
}

/// How many bytes had come when the link was found to be fit for another call, and the reply's bytes in this
/// form.
fn read_reply(
    mut reply: Reply,
    transport: Transport,
    form: Form,
    pieces: &[&[u8]],
) -> (Option<usize>, Vec<u8>) {
    let (mut replies, mut came, mut kept) = (Replies::new(transport), 0, Vec::new());
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let mut bytes = piece.to_vec();
        let Ok(taken) = replies.take(&mut reply, &mut bytes, form) else { return (None, kept) };
        kept.extend_from_slice(bytes.get(..taken.kept).unwrap_or_default());
        came += piece.len();
        if taken.done {
            return (taken.clean.then_some(came), kept);
        }
    }
    (None, kept)
}

/// Payloads of the frames that ended, what came of the one that did not, and what ended it all.
type Frames = (Vec<Vec<u8>>, Vec<u8>, Option<FrameError>);

fn deframe(pieces: &[&[u8]], limit: usize) -> Frames {
    let (mut deframer, mut frames, mut open) = (Deframer::new(limit), Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let piece = match deframer.next(rest) {
                Ok(piece) => piece,
                Err(error) => {
                    assert_eq!(deframer.next(rest), Err(error), "an error stays");
                    return (frames, open, Some(error));
                }
            };
            assert!(piece.used > 0, "no progress");
            open.extend_from_slice(rest.get(piece.payload).unwrap_or_default());
            if piece.frame_ended {
                assert!(deframer.at_boundary());
                frames.push(std::mem::take(&mut open));
            }
            rest = rest.get(piece.used..).unwrap_or_default();
        }
    }
    (frames, open, None)
}

fn read_frames(mut rest: &[u8], limit: usize) -> Frames {
    let mut frames = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<4>() {
        let len = i32::from_be_bytes(*header);
        let error = match usize::try_from(len) {
            Err(_) => Some(FrameError::Negative { len }),
            Ok(0) => Some(FrameError::ZeroLength),
            Ok(len) if len > limit => Some(FrameError::TooLong { len, limit }),
            Ok(_) => None,
        };
        if error.is_some() {
            return (frames, Vec::new(), error);
        }
        match after.split_at_checked(len.unsigned_abs() as usize) {
            None => return (frames, after.to_vec(), None),
            Some((payload, after)) => {
                frames.push(payload.to_vec());
                rest = after;
            }
        }
    }
    (frames, Vec::new(), None)
}

/// A stream and how to cut it; see the module's doc. What is missing counts as zero.
struct Recipe<'a> {
    limit: u16,
    kind: u8,
    cuts: Vec<usize>,
    stream: &'a [u8],
}

impl<'a> Recipe<'a> {
    fn read(input: &'a [u8]) -> Self {
        let mut rest = input;
        let mut byte = || {
            let (first, after) = rest.split_first().unwrap_or((&0, &[]));
            rest = after;
            *first
        };
        let limit = u16::from_be_bytes([byte(), byte()]);
        let kind = byte();
        let places = byte() & 15;
        let places: Vec<_> = (0..places).map(|_| u16::from_be_bytes([byte(), byte()])).collect();
        let places: Vec<_> = places.into_iter().map(usize::from).collect();
        Self { limit, kind, ..Self::of(rest, &places) }
    }

    /// A stream that is cut at these places.
    fn of(stream: &'a [u8], places: &[usize]) -> Self {
        let mut cuts: Vec<_> = places.iter().map(|place| place % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        Self { limit: 0, kind: 0, cuts, stream }
    }

    /// The stream whole, cut as the recipe says (pieces may be empty), and, if it is short, in single bytes.
    fn pieces(&self) -> Vec<Vec<&'a [u8]>> {
        let mut cut = Vec::new();
        let mut start = 0;
        for end in self.cuts.iter().copied().chain([self.stream.len()]) {
            cut.push(self.stream.get(start..end).unwrap_or_default());
            start = end;
        }
        let mut ways = vec![vec![self.stream], cut];
        if self.stream.len() <= SINGLE_BYTES {
            ways.push(self.stream.chunks(1).collect());
        }
        ways
    }
}
