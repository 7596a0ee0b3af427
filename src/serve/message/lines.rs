//! A transport for tests: each piece of payload is a line of hexadecimal digits, in which every byte is
//! changed, and an empty line ends a message. It has so little in common with the real transports that code
//! which works over it cannot depend on any framing.

use std::fmt::Write as _;

use crate::serve::message::coding::Follows;
use crate::wire::frame::Piece;

/// The number that every byte is combined with, by exclusive or.
const KEY: u8 = 0x5a;

/// Takes the payload out of lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The first digit of a byte whose second digit has not come yet.
    half: Option<u8>,
    /// Whether a line has begun and not ended.
    in_line: bool,
    /// Whether a message has begun and not ended.
    in_message: bool,
}

impl Lines {
    /// Takes the next piece off the front of `bytes`, at most the rest of a line. The payload replaces the
    /// front of the line.
    pub(crate) fn next(&mut self, bytes: &mut [u8]) -> Piece {
        let (mut used, mut payload, mut frame_ended) = (0, 0, false);
        while used < bytes.len() && !frame_ended {
            let byte = bytes[used];
            used += 1;
            frame_ended = byte == b'\n';
            self.in_message = self.in_line || !frame_ended;
            self.in_line = !frame_ended;
            let Some(digit) = char::from(byte).to_digit(16) else { continue };
            let digit = u8::try_from(digit).unwrap();
            match self.half.take() {
                None => self.half = Some(digit),
                Some(high) => {
                    bytes[payload] = (high << 4 | digit) ^ KEY;
                    payload += 1;
                }
            }
        }
        Piece { used, payload: 0..payload, frame_ended }
    }

    pub(crate) fn at_boundary(&self) -> bool {
        !self.in_message
    }
}

/// Writes a piece of payload as a line, and the end of the message.
pub(crate) fn encode(payload: &[u8], follows: Follows) -> Vec<u8> {
    let mut line = String::with_capacity(2 * payload.len() + 2);
    for byte in payload {
        write!(line, "{:02x}", byte ^ KEY).unwrap();
    }
    if !payload.is_empty() {
        line.push('\n');
    }
    if follows == Follows::Nothing {
        line.push('\n');
    }
    line.into_bytes()
}

#[test]
fn lines_are_read_wherever_they_are_cut() {
    let payload: Vec<u8> = (0..=255).collect();
    let sent = [encode(&payload, Follows::More(None)), encode(b"second", Follows::Nothing)].concat();
    for cut in 0..sent.len() {
        let (mut lines, mut read, mut used) = (Lines::default(), Vec::new(), 0);
        for part in [&sent[..cut], &sent[cut..]] {
            let mut rest = part.to_vec();
            while !rest.is_empty() {
                assert_eq!(lines.at_boundary(), used == 0, "cut at {cut}");
                let piece = lines.next(&mut rest);
                read.extend_from_slice(&rest[piece.payload]);
                rest.drain(..piece.used);
                used += piece.used;
            }
        }
        assert_eq!(read, [&payload[..], b"second"].concat(), "cut at {cut}");
        assert!(lines.at_boundary());
    }
}
