//! Captured conversations, played again: what the router understands of them is what another decoder
//! understood, and each side hears through the router exactly what the other said.

mod client;
mod coordinators;
mod over_http;
mod play;
mod scanned;
mod script;

use hs2router::ids::Depth;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fixtures::{Answer, Transport, capture, captures};
use play::{Played, play};

/// How bytes are cut into the pieces that are sent, or scanned, one by one.
#[derive(Debug)]
pub(crate) enum Cut {
    /// Not at all.
    Whole,
    /// Into single bytes.
    Bytes,
    /// At random places.
    Random(Box<StdRng>),
}

impl Cut {
    /// At random places, the same ones for the same seed.
    fn random(seed: u64) -> Self {
        Self::Random(Box::new(StdRng::seed_from_u64(seed)))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Bytes => "byte by byte",
            Self::Random(_) => "at random splits",
        }
    }

    /// The next bytes, in pieces; no piece is empty.
    fn pieces<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let rng = match self {
            Self::Whole => return vec![bytes],
            Self::Bytes => return bytes.chunks(1).collect(),
            Self::Random(rng) => rng,
        };
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            // As often short as long.
            let longest = 1_u32 << (rng.next_u32() % 14);
            let (piece, after) = rest.split_at(rest.len().min(1 + (rng.next_u32() % longest) as usize));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// Plays all captures but those over HTTP, of which [`over_http`] plays the calls. What is demanded of each is
/// said in [`play`].
fn play_all(mut cut: Cut) {
    let (mut calls, mut passed_on) = (0, 0);
    for capture in captures().into_iter().filter(|one| one.transport != Transport::Http) {
        let played = play(&capture, &mut cut);
        calls += played.calls;
        passed_on += played.passed_on;
    }
    assert!(calls > 700, "only {calls} calls were routed");
    assert!(passed_on >= 5, "only {passed_on} connections were passed on");
}

/// How deep the router understands such a connection.
fn depth(transport: Transport) -> Depth {
    match transport {
        Transport::Nosasl | Transport::SaslPlain => Depth::Route,
        Transport::SaslGssapi => Depth::Observe,
        _ => Depth::Opaque,
    }
}

/// Whether the router routes the calls of such a connection.
fn is_routed(transport: Transport) -> bool {
    depth(transport) == Depth::Route
}

#[test]
fn every_conversation_is_the_same_through_the_router() {
    play_all(Cut::Whole);
}

#[test]
fn every_conversation_is_the_same_byte_by_byte() {
    play_all(Cut::Bytes);
}

#[test]
fn every_conversation_is_the_same_at_random_splits() {
    play_all(Cut::random(1));
}

#[test]
fn a_cancel_from_a_second_connection_arrives_where_the_operation_runs() {
    let names = ["ishell-cancel-hs2", "ishell-cancel-hs2-ldap", "ishell-cancel-bw", "ishell-cancel-strict"];
    for name in names {
        let Played { homes, foreign, .. } = play(&capture(name), &mut Cut::Whole);
        assert_eq!(homes.len(), 2, "{name}: two connections, each with a session");
        assert_ne!(homes[0], homes[1], "{name}: the second session goes to the idle coordinator");
        // Cancel and close.
        assert_eq!(foreign, 2, "{name}: calls for what another connection opened");
    }
}

#[test]
fn old_handles_on_a_new_connection_find_their_coordinator() {
    let capture = capture("idle-impyla-fake-12013");
    let Played { foreign, .. } = play(&capture, &mut Cut::Whole);
    // Its statements' handles are its own.
    assert_eq!(foreign, 2, "ExecuteStatement and CloseSession of the first connection's session");
}

#[test]
fn sessions_that_are_open_at_once_are_shared_out() {
    let Played { minted, .. } = play(&capture("impyla-cursors"), &mut Cut::Whole);
    let on_first = minted.iter().filter(|coordinator| **coordinator == 0).count();
    assert_eq!(minted.len(), 3);
    assert!((1..=2).contains(&on_first), "three sessions on two coordinators: {minted:?}");
}

#[test]
fn one_session_is_one_coordinators_business() {
    let mut seen = 0;
    for capture in captures().iter().filter(|capture| is_routed(capture.transport)) {
        let Played { homes, minted, used, .. } = play(capture, &mut Cut::Whole);
        // An open that gets no answer goes on to the next candidate.
        let mut calls = capture.connections.iter().flat_map(|one| &one.calls);
        if homes.len() == 1 && minted.len() <= 1 && calls.all(|call| call.reply != Answer::None) {
            assert_eq!(used.len(), 1, "{}: coordinators {used:?} were connected to", capture.name);
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} captures have one session");
}
