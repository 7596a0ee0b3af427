//! The scanner against another decoder: the same calls with the same facts at the same places, however the
//! bytes are cut.

use std::ops::Range;

use hs2router::ids::Family;
use hs2router::wire::facts::{Facts, GuidText, Handle, QueryId};
use hs2router::wire::frame::Deframer;
use hs2router::wire::method::Method;
use hs2router::wire::sasl::mechanism::Plain;
use hs2router::wire::sasl::{self, Acceptor, Answer as Verdict, Initiator, Status, Step};
use hs2router::wire::scan::Scanner;

use super::Cut;
use crate::fixtures::{Answer, Call, Connection, Hex, Transport, captures};

const LIMIT: usize = 1 << 20;

/// What is read of a connection.
#[derive(Clone, Copy)]
enum Direction {
    Requests,
    Replies,
}

/// A message that was found.
struct Found {
    facts: Facts,
    method: &'static Method,
    /// From its first to its last byte, frame headers between them included.
    place: Range<usize>,
}

/// Finds the messages in a stream that comes in pieces.
struct Reader<'a> {
    direction: Direction,
    /// SASL messages that come before the frames; none without SASL.
    negotiation: usize,
    negotiated: Vec<u8>,
    deframer: Option<Deframer>,
    /// The methods of the requests, for their replies.
    methods: &'a [&'static Method],
    scanner: Option<Box<Scanner>>,
    /// Bytes of the stream that were read.
    passed: usize,
    began: usize,
    found: Vec<Found>,
}

impl<'a> Reader<'a> {
    fn new(direction: Direction, negotiation: Option<usize>, methods: &'a [&'static Method]) -> Self {
        Self {
            direction,
            negotiation: negotiation.unwrap_or_default(),
            negotiated: Vec::new(),
            deframer: negotiation.map(|_| Deframer::new(LIMIT)),
            methods,
            scanner: None,
            passed: 0,
            began: 0,
            found: Vec::new(),
        }
    }

    /// # Panics
    ///
    /// If the bytes cannot be followed.
    fn read(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            let used = if self.negotiation > 0 { self.negotiate(rest) } else { self.frame(rest) };
            rest = &rest[used..];
        }
    }

    fn negotiate(&mut self, bytes: &[u8]) -> usize {
        // Byte by byte: what follows the message must stay.
        self.negotiated.push(bytes[0]);
        self.passed += 1;
        if sasl::parse(&self.negotiated, LIMIT).unwrap().is_some() {
            self.negotiated.clear();
            self.negotiation -= 1;
        }
        1
    }

    fn frame(&mut self, bytes: &[u8]) -> usize {
        let Some(deframer) = &mut self.deframer else {
            let used = self.scan(bytes);
            self.passed += used;
            return used;
        };
        let piece = deframer.next(bytes).unwrap();
        let mut payload = &bytes[piece.payload.clone()];
        self.passed += piece.payload.start;
        while !payload.is_empty() {
            let used = self.scan(payload);
            self.passed += used;
            payload = &payload[used..];
        }
        piece.used
    }

    fn scan(&mut self, bytes: &[u8]) -> usize {
        let scanner = self.scanner.get_or_insert_with(|| {
            self.began = self.passed;
            Box::new(match self.direction {
                Direction::Requests => Scanner::request(LIMIT as u64),
                Direction::Replies => Scanner::reply(self.methods[self.found.len()], LIMIT as u64),
            })
        });
        let step = scanner.push(bytes).unwrap();
        if step.done {
            let (facts, method) = (scanner.facts().clone(), scanner.method());
            self.found.push(Found { facts, method, place: self.began..self.passed + step.used });
            self.scanner = None;
        }
        step.used
    }

    /// The messages; the stream ended where it may.
    fn end(self) -> Vec<Found> {
        assert!(self.scanner.is_none() && self.negotiation == 0, "the stream ends within a message");
        assert!(
            self.deframer.is_none_or(|deframer| deframer.at_boundary()),
            "the stream ends within a frame"
        );
        self.found
    }
}

/// How many SASL messages each side sends: as many answers as it takes to COMPLETE, and START on top of the
/// responses.
fn negotiation(connection: &Connection) -> Option<(usize, usize)> {
    if connection.transport == Transport::Nosasl {
        return None;
    }
    let (mut rest, mut answers) = (connection.s2c.as_slice(), 0);
    loop {
        let message = sasl::parse(rest, LIMIT).unwrap().expect("the negotiation is whole");
        answers += 1;
        if message.status != Status::Ok {
            return Some((answers + 1, answers));
        }
        rest = &rest[sasl::HEADER_LEN + message.payload.len()..];
    }
}

/// Reads a connection both ways and compares; returns how many calls were the same.
fn compare(connection: &Connection, cut: &mut Cut) -> usize {
    let (client, server) = negotiation(connection).unzip();
    let mut reader = Reader::new(Direction::Requests, client, &[]);
    cut.pieces(&connection.c2s).into_iter().for_each(|piece| reader.read(piece));
    let requests = reader.end();
    assert_eq!(requests.len(), connection.calls.len(), "as many calls");
    let methods: Vec<&'static Method> = requests.iter().map(|request| request.method).collect();
    for (request, call) in requests.iter().zip(&connection.calls) {
        same_request(request, call);
    }
    if connection.calls.iter().any(|call| call.reply == Answer::None) {
        let Some(method) = methods.first() else { return 0 };
        assert!(Scanner::reply(method, LIMIT as u64).push(&connection.s2c).is_err(), "this is no reply");
        return requests.len();
    }
    let mut reader = Reader::new(Direction::Replies, server, &methods);
    cut.pieces(&connection.s2c).into_iter().for_each(|piece| reader.read(piece));
    let replies = reader.end();
    assert_eq!(replies.len(), connection.calls.len(), "as many replies");
    for (reply, call) in replies.iter().zip(&connection.calls) {
        same_reply(reply, call);
    }
    requests.len()
}

/// A query id that prints no guid is nobody's.
fn query_text(id: QueryId) -> String {
    id.map(|guid| GuidText(guid).to_string()).unwrap_or_default()
}

fn same_request(Found { facts, place, .. }: &Found, call: &Call) {
    assert_eq!(String::from_utf8_lossy(facts.name.as_bytes()), call.method);
    assert_eq!(facts.seqid, call.seqid, "{}", call.method);
    let guid = |hex: Option<&Hex>| hex.map(|hex| hex.0.clone());
    let of = |handle: Option<Handle>| handle.map(|handle| handle.guid.to_vec());
    let (session, operation) = (call.session.as_ref(), call.operation.as_ref());
    assert_eq!(of(facts.handle()), guid(operation.or(session)), "{}: handle", call.method);
    assert_eq!(of(facts.second_handle()), guid(operation.and(session)), "{}: second handle", call.method);
    assert_eq!(facts.query_id.map(query_text), call.query, "{}: query", call.method);
    if let Some(at) = call.request_at {
        assert_eq!(*place, at.range(), "{}: place of the request", call.method);
    }
}

fn same_reply(Found { facts, place, .. }: &Found, call: &Call) {
    assert_eq!(String::from_utf8_lossy(facts.name.as_bytes()), call.method);
    assert_eq!(facts.seqid, call.seqid, "{}", call.method);
    assert_eq!(facts.is_exception(), call.reply == Answer::Exception, "{}: kind", call.method);
    assert_eq!(facts.status, call.status, "{}: status", call.method);
    assert_eq!(facts.thrown, call.thrown.is_some(), "{}: thrown", call.method);
    let minted = call.minted_session.as_ref().or(call.minted_operation.as_ref());
    let handle = facts.handle().map(|handle| handle.guid.to_vec());
    assert_eq!(handle, minted.map(|hex| hex.0.clone()), "{}: minted", call.method);
    assert_eq!(facts.query_id.map(query_text), call.minted_query, "{}: minted query", call.method);
    let message: String = String::from_utf8_lossy(facts.message()).chars().take(64).collect();
    assert_eq!(message, call.message.clone().unwrap_or_default(), "{}: message", call.method);
    if let Some(at) = call.answer_at {
        assert_eq!(*place, at.range(), "{}: place of the answer", call.method);
    }
}

/// Compares all captures that the scanner can follow.
fn compare_all(mut cut: impl FnMut() -> Cut) {
    let mut calls = 0;
    let followed = [Transport::Nosasl, Transport::SaslPlain, Transport::SaslGssapi];
    for capture in captures() {
        for connection in capture.connections.iter().filter(|one| followed.contains(&one.transport)) {
            println!("{}/{}", capture.name, connection.name);
            // A negotiation that is refused is followed by nothing.
            if connection.calls.is_empty() {
                continue;
            }
            calls += compare(connection, &mut cut());
        }
    }
    assert!(calls > 700, "only {calls} calls were compared");
}

#[test]
fn the_scanner_finds_what_another_decoder_found() {
    compare_all(|| Cut::Whole);
}

#[test]
fn the_scanner_finds_the_same_byte_by_byte() {
    compare_all(|| Cut::Bytes);
}

#[test]
fn the_scanner_finds_the_same_at_random_splits() {
    for seed in 0..10 {
        compare_all(|| Cut::random(seed));
    }
}

#[test]
fn both_ends_of_a_plain_negotiation_take_exactly_its_bytes() {
    let mut seen = 0;
    for capture in captures() {
        for connection in capture.connections.iter().filter(|one| one.transport == Transport::SaslPlain) {
            let after = |at: Option<usize>, whole: usize| at.map_or(whole, |at| at - 4);
            let first = connection.calls.first();
            let client =
                after(first.map(|call| call.request_at.unwrap().range().start), connection.c2s.len());
            let server = after(first.map(|call| call.answer_at.unwrap().range().start), connection.s2c.len());
            let taken = Acceptor::new(Family::Impala).push(&connection.c2s);
            assert_eq!(taken.used, client, "{}/{}", capture.name, connection.name);
            let Step::Credentials(credentials) = taken.step else { panic!("{:?}", taken.step) };
            assert!(
                *credentials.opening() == connection.c2s[..client],
                "the coordinator gets the same bytes"
            );
            let taken = Initiator::new(Plain::new(&credentials)).push(&connection.s2c).unwrap();
            assert_eq!(taken.used, server, "{}/{}", capture.name, connection.name);
            assert_eq!(
                taken.step == Verdict::Accepted,
                first.is_some(),
                "{}: {:?}",
                capture.name,
                taken.step
            );
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} negotiations");
}
