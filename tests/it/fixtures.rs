//! The captured conversations in `fixtures/captures`, for every test that replays them (`fixtures/README.md`
//! explains the fields), and tests that what is said about them agrees with their bytes.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// One conversation of a real client with a server: all its connections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    /// The folder's name below `fixtures/captures`.
    #[serde(skip)]
    pub(crate) name: String,
    /// Client and version.
    pub(crate) client: String,
    /// Server and version.
    pub(crate) server: String,
    /// What is worth knowing; may be empty.
    #[serde(default)]
    pub(crate) note: String,
    /// Of the first connection that spoke.
    pub(crate) transport: Transport,
    /// Who sent how much in turn, over all connections.
    #[serde(deserialize_with = "segments")]
    pub(crate) order: Vec<Segment>,
    /// In the order in which they were opened; never empty.
    #[serde(rename = "connection")]
    pub(crate) connections: Vec<Connection>,
}

/// One TCP connection of a capture, with its bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    /// `c1`, `c2`, …
    pub(crate) name: String,
    /// How the sides ended, the first one first: `client fin, server fin`.
    pub(crate) closed: String,
    /// What lies around the Thrift messages.
    pub(crate) transport: Transport,
    /// In the order of their requests; empty where the bytes are opaque.
    pub(crate) calls: Vec<Call>,
    /// All that the client sent.
    #[serde(skip)]
    pub(crate) c2s: Vec<u8>,
    /// All that the server sent.
    #[serde(skip)]
    pub(crate) s2c: Vec<u8>,
}

/// One request with its reply, as another decoder than ours saw it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// The method's name in the message header.
    pub(crate) method: String,
    /// The sequence id in both message headers.
    pub(crate) seqid: i32,
    /// The guid of the session handle in the request.
    pub(crate) session: Option<Hex>,
    /// The guid of the operation handle in the request.
    pub(crate) operation: Option<Hex>,
    /// The Beeswax query id in the request.
    pub(crate) query: Option<String>,
    /// What came back.
    pub(crate) reply: Answer,
    /// The guid of the session handle in the reply.
    pub(crate) minted_session: Option<Hex>,
    /// The guid of the operation handle in the reply.
    pub(crate) minted_operation: Option<Hex>,
    /// The Beeswax query id in the reply.
    pub(crate) minted_query: Option<String>,
    /// `TStatusCode` of an HS2 reply.
    pub(crate) status: Option<i32>,
    /// The type of a `TApplicationException`.
    pub(crate) exception_type: Option<i32>,
    /// The field number of a declared exception (Beeswax).
    pub(crate) thrown: Option<i16>,
    /// The first 64 characters of the error message.
    pub(crate) message: Option<String>,
    /// Where the request lies in `c2s`, if in one piece.
    pub(crate) request_at: Option<Span>,
    /// Where the reply lies in `s2c`, if in one piece.
    pub(crate) answer_at: Option<Span>,
}

/// What lies around the Thrift messages of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    /// Nothing.
    Nosasl,
    /// SASL PLAIN, then frames.
    SaslPlain,
    /// SASL GSSAPI, then frames of plain Thrift.
    SaslGssapi,
    /// SASL, then frames that cannot be read.
    SaslWrapped,
    /// HTTP.
    Http,
    /// TLS.
    Tls,
    /// The client sent nothing.
    Silent,
}

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// A REPLY message.
    Reply,
    /// An EXCEPTION message: a `TApplicationException`.
    Exception,
    /// Nothing before the connection ended.
    None,
}

/// Bytes that one side of one connection sent in a row, before anybody else of the capture sent any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The place of the connection in [`Capture::connections`].
    pub(crate) connection: usize,
    /// Who sent them.
    pub(crate) sender: Sender,
    /// How many.
    pub(crate) bytes: usize,
}

/// One of the two sides of a captured connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The side that connected.
    Client,
    /// The side that listened.
    Server,
}

/// Bytes that are written in hexadecimal in `about.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Hex(pub(crate) Vec<u8>);

/// Offset and length.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Span(usize, usize);

/// All captures, sorted by name; never an empty list.
pub(crate) fn captures() -> Vec<Capture> {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder().join("captures"))
        .expect("fixtures/captures is part of the source")
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "no captures");
    folders.iter().map(|folder| Capture::load(folder)).collect()
}

/// The capture of that name.
pub(crate) fn capture(name: &str) -> Capture {
    Capture::load(&folder().join("captures").join(name))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

impl Capture {
    fn load(folder: &Path) -> Self {
        let about = folder.join("about.toml");
        let text = fs::read_to_string(&about).unwrap_or_else(|error| panic!("{}: {error}", about.display()));
        let mut capture: Self =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", about.display()));
        folder.file_name().unwrap().to_str().unwrap().clone_into(&mut capture.name);
        assert!(!capture.connections.is_empty(), "{}: no connections", capture.name);
        for connection in &mut capture.connections {
            connection.c2s = fs::read(folder.join(&connection.name).join("c2s.bin")).unwrap();
            connection.s2c = fs::read(folder.join(&connection.name).join("s2c.bin")).unwrap();
        }
        capture
    }

    /// The turns of one connection alone, neighbours of the same sender joined.
    pub(crate) fn order_of(&self, connection: usize) -> Vec<Segment> {
        let mut joined: Vec<Segment> = Vec::new();
        for segment in self.order.iter().filter(|segment| segment.connection == connection) {
            match joined.last_mut() {
                Some(last) if last.sender == segment.sender => last.bytes += segment.bytes,
                _ => joined.push(*segment),
            }
        }
        joined
    }
}

impl Span {
    /// As an index into the stream.
    pub(crate) fn range(self) -> Range<usize> {
        self.0..self.0 + self.1
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => {
                Ok(Self(digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect()))
            }
            _ => Err(format!("not hexadecimal: {text}")),
        }
    }
}

fn segments<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<Segment>, D::Error> {
    let text = String::deserialize(source)?;
    let parsed: Option<Vec<Segment>> = text.split_whitespace().map(segment).collect();
    parsed.ok_or_else(|| {
        serde::de::Error::custom("a segment is a connection's number, c or s, and a byte count")
    })
}

fn segment(word: &str) -> Option<Segment> {
    let at = word.find(['c', 's'])?;
    let connection = word[..at].parse::<usize>().ok()?.checked_sub(1)?;
    let sender = if word[at..].starts_with('c') { Sender::Client } else { Sender::Server };
    Some(Segment { connection, sender, bytes: word[at + 1..].parse().ok()? })
}

/// A call's request or reply begins with this: strict binary version and message type, name, sequence id.
fn header(kind: u8, call: &Call) -> Vec<u8> {
    let mut bytes = vec![0x80, 0x01, 0x00, kind];
    bytes.extend(u32::try_from(call.method.len()).unwrap().to_be_bytes());
    bytes.extend(call.method.as_bytes());
    bytes.extend(call.seqid.to_be_bytes());
    bytes
}

fn contains(stretch: &[u8], part: &[u8]) -> bool {
    stretch.windows(part.len()).any(|window| window == part)
}

#[test]
fn the_order_of_the_segments_adds_up_to_every_byte() {
    for capture in captures() {
        for (at, connection) in capture.connections.iter().enumerate() {
            let sent = |sender| -> usize {
                let turns = capture.order_of(at);
                turns.iter().filter(|turn| turn.sender == sender).map(|turn| turn.bytes).sum()
            };
            let place = format!("{}/{}", capture.name, connection.name);
            assert_eq!(sent(Sender::Client), connection.c2s.len(), "{place}: c2s");
            assert_eq!(sent(Sender::Server), connection.s2c.len(), "{place}: s2c");
            let (first, second) = connection.closed.split_once(", ").expect("two ends");
            for (end, other) in [(first, second), (second, first)] {
                let (side, how) = end.split_once(' ').expect("a side and its end");
                assert!(["fin", "rst", "open"].contains(&how), "{place}: {end}");
                assert!(side != other.split(' ').next().unwrap(), "{place}: both ends are the {side}'s");
            }
        }
    }
}

#[test]
fn every_call_lies_where_its_capture_says_and_carries_its_handles() {
    let (mut placed, mut handles) = (0, 0);
    for capture in captures() {
        for connection in &capture.connections {
            for call in &connection.calls {
                let place = format!("{}/{} {}", capture.name, connection.name, call.method);
                let ids = [&call.session, &call.operation].into_iter().flatten().map(|guid| guid.0.clone());
                let given: Vec<Vec<u8>> =
                    ids.chain(call.query.iter().map(|id| id.clone().into_bytes())).collect();
                let ids = [&call.minted_session, &call.minted_operation]
                    .into_iter()
                    .flatten()
                    .map(|guid| guid.0.clone());
                let minted: Vec<Vec<u8>> =
                    ids.chain(call.minted_query.iter().map(|id| id.clone().into_bytes())).collect();
                handles += given.len() + minted.len();
                if let Some(at) = call.request_at {
                    let request = &connection.c2s[at.range()];
                    assert!(request.starts_with(&header(1, call)), "{place}: request");
                    assert!(given.iter().all(|id| contains(request, id)), "{place}: handles of the request");
                    placed += 1;
                }
                if let Some(at) = call.answer_at {
                    let answer = &connection.s2c[at.range()];
                    let kind = if call.reply == Answer::Exception { 3 } else { 2 };
                    assert!(answer.starts_with(&header(kind, call)), "{place}: answer");
                    assert!(minted.iter().all(|id| contains(answer, id)), "{place}: handles of the answer");
                    let text = call.message.as_deref().unwrap_or_default();
                    assert!(text.is_empty() || contains(answer, text.as_bytes()), "{place}: message");
                    placed += 1;
                }
            }
        }
    }
    assert!(placed > 1000 && handles > 1000, "only {placed} messages and {handles} handles found");
}

#[test]
fn messages_without_a_wrapping_follow_each_other_without_a_gap() {
    let mut seen = 0;
    for capture in captures() {
        for connection in capture.connections.iter().filter(|one| one.transport == Transport::Nosasl) {
            let mut sent = 0;
            for call in &connection.calls {
                let at = call.request_at.expect("nothing wraps it").range();
                assert_eq!(at.start, sent, "{}/{} {}", capture.name, connection.name, call.method);
                sent = at.end;
                seen += 1;
            }
            assert_eq!(sent, connection.c2s.len(), "{}/{}: the end", capture.name, connection.name);
        }
    }
    assert!(seen > 100, "only {seen} calls");
}

#[test]
fn the_captures_cover_what_clients_are_known_to_do() {
    let all = captures();
    for transport in [
        Transport::Nosasl,
        Transport::SaslPlain,
        Transport::SaslGssapi,
        Transport::SaslWrapped,
        Transport::Http,
        Transport::Tls,
        Transport::Silent,
    ] {
        let has = |capture: &Capture| {
            capture.connections.iter().any(|connection| connection.transport == transport)
        };
        assert!(all.iter().any(has), "no capture of {transport:?}");
    }
    assert!(
        all.iter().all(|one| !one.client.is_empty() && !one.server.is_empty()),
        "a capture says who talked"
    );
    let calls: Vec<&Call> = all.iter().flat_map(|one| &one.connections).flat_map(|one| &one.calls).collect();
    assert!(calls.iter().any(|call| call.reply == Answer::None), "a request without an answer");
    assert!(calls.iter().any(|call| call.status == Some(3)), "an error status");
    assert!(calls.iter().any(|call| call.exception_type == Some(1)), "an unknown method");
    assert!(calls.iter().any(|call| call.thrown.is_some()), "a declared exception (Beeswax)");
    let cancel = capture("ishell-cancel-strict");
    assert_eq!(cancel.transport, Transport::SaslPlain, "{}", cancel.note);
    let minted = cancel.connections[0].calls[1].minted_operation.as_ref();
    assert_eq!(cancel.connections[1].calls[1].operation.as_ref(), minted, "the second connection cancels");
    let profile = capture("ishell-profile-hs2");
    let calls = &profile.connections[0].calls;
    let closed = calls.iter().rposition(|call| call.method == "CloseImpalaOperation").unwrap();
    for method in ["GetRuntimeProfile", "GetExecSummary"] {
        let asked = calls[closed..].iter().find(|call| call.method == method).unwrap();
        assert_eq!(asked.operation, calls[closed].operation, "{method} comes after the close");
        assert_eq!(asked.session, calls[0].minted_session, "{method} carries two handles");
    }
}

#[test]
fn the_cutting_script_finds_the_same_again() {
    let script = folder().join("cut.py");
    let run = Command::new("python3").arg(&script).arg("--check").output();
    let Ok(output) = run else {
        assert!(std::env::var_os("HS2ROUTER_REQUIRE_TOOLS").is_none(), "python3 is required and missing");
        println!("skipped: python3 is missing");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
