//! Frames: a 4-byte big-endian length, then as many bytes.
//!
//! `TFramedTransport` sends these, and so does every transport of Thrift's SASL family after a handshake. A
//! frame is not a message: impalad cuts a reply into frames as its 128 KiB buffer fills (Impala:
//! transport/TSaslTransport), and Spark accepts three messages in one frame as well as one message in two. So
//! frames are taken off here, piece by piece and in place, and the message inside is read elsewhere.

use std::ops::Range;

use thiserror::Error;

use super::detect::hint;

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 4;

/// What is wrong with a frame's length. The stream cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// An empty frame, which Thrift's readers take for the end of the stream (seen: Spark hangs up).
    #[error("frame of zero length")]
    ZeroLength,
    /// The length has its sign bit set.
    #[error("frame of negative length {len}{}", hint(&len.to_be_bytes()))]
    Negative {
        /// The length as it stood there.
        len: i32,
    },
    /// The frame is longer than this side accepts, or than a header can express.
    #[error("frame of {len} bytes exceeds {limit}{}", hint(&u32::try_from(*len).unwrap_or(0).to_be_bytes()))]
    TooLong {
        /// Payload bytes.
        len: usize,
        /// Payload bytes allowed.
        limit: usize,
    },
}

/// What [`Deframer::next`] took from a chunk: perhaps (the rest of) a header, then payload of at most one
/// frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the chunk that were taken, header and payload. Only zero for an empty chunk.
    pub used: usize,
    /// Where in the chunk the payload lies; empty when the chunk ended in or right after the header.
    pub payload: Range<usize>,
    /// Whether the payload's last byte was the last one of its frame.
    pub frame_ended: bool,
}

/// Takes frames off a stream that arrives in chunks cut anywhere. Keeps at most the 4 bytes of a header,
/// never payload.
///
/// ```
/// use hs2router::wire::frame::Deframer;
///
/// let mut deframer = Deframer::new(1024);
/// let mut chunk: &[u8] = b"\0\0\0\x02hi\0\0\0\x05wo";
/// let mut payload = Vec::new();
/// while !chunk.is_empty() {
///     let piece = deframer.next(chunk)?;
///     payload.extend_from_slice(&chunk[piece.payload]);
///     chunk = &chunk[piece.used..];
/// }
/// assert_eq!(payload, b"hiwo");
/// assert_eq!(deframer.remaining(), 3);
/// # Ok::<(), hs2router::wire::frame::FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Deframer {
    limit: usize,
    header: [u8; HEADER_LEN],
    /// How many bytes of `header` have come; all of them only while its length is checked (or was refused).
    have: usize,
    /// Payload bytes of the current frame that have not come yet.
    remaining: usize,
}

impl Deframer {
    /// A deframer at a frame boundary that refuses frames with more than `limit` payload bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, header: [0; HEADER_LEN], have: 0, remaining: 0 }
    }

    /// Takes what can be taken of the front of `chunk`. Call it again with the rest until the chunk is used
    /// up.
    ///
    /// # Errors
    ///
    /// When the header is complete and its length is zero, negative or above the limit; every later call then
    /// fails in the same way.
    pub fn next(&mut self, chunk: &[u8]) -> Result<Piece, FrameError> {
        let mut taken = 0;
        if self.remaining == 0 {
            let missing = self.header.get_mut(self.have..).unwrap_or_default();
            for (place, byte) in missing.iter_mut().zip(chunk) {
                *place = *byte;
                taken += 1;
            }
            self.have += taken;
            if self.have < HEADER_LEN {
                return Ok(Piece { used: taken, payload: taken..taken, frame_ended: false });
            }
            self.remaining = self.length()?;
            self.have = 0;
        }
        let available = chunk.len().saturating_sub(taken).min(self.remaining);
        self.remaining -= available;
        let used = taken + available;
        let frame_ended = available > 0 && self.remaining == 0;
        Ok(Piece { used, payload: taken..used, frame_ended })
    }

    /// Whether the next byte would be the first of a frame: only there the stream may end.
    pub fn at_boundary(&self) -> bool {
        self.remaining == 0 && self.have == 0
    }

    /// Payload bytes of the current frame that are still to come; zero at a boundary and inside a header.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    fn length(&self) -> Result<usize, FrameError> {
        let len = i32::from_be_bytes(self.header);
        match usize::try_from(len) {
            Err(_) => Err(FrameError::Negative { len }),
            Ok(0) => Err(FrameError::ZeroLength),
            Ok(len) if len > self.limit => Err(FrameError::TooLong { len, limit: self.limit }),
            Ok(len) => Ok(len),
        }
    }
}

/// The header of a frame with `len` payload bytes.
///
/// # Errors
///
/// When `len` is zero, since an empty frame must never be sent, or more than `i32::MAX`.
pub fn header(len: usize) -> Result<[u8; HEADER_LEN], FrameError> {
    match i32::try_from(len) {
        Ok(0) => Err(FrameError::ZeroLength),
        Ok(len) => Ok(len.to_be_bytes()),
        Err(_) => Err(FrameError::TooLong { len, limit: i32::MAX as usize }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 64;

    /// The frames with these payloads, one after another.
    fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
        let frame = |payload: &Vec<u8>| [&header(payload.len()).unwrap(), payload.as_slice()].concat();
        payloads.iter().flat_map(frame).collect()
    }

    /// Feeds `chunks` and gives the payload of each frame that ended, and of the one that did not.
    fn read(deframer: &mut Deframer, chunks: &[&[u8]]) -> Result<(Vec<Vec<u8>>, Vec<u8>), FrameError> {
        let (mut frames, mut open) = (Vec::new(), Vec::new());
        for &chunk in chunks {
            let mut chunk = chunk;
            while !chunk.is_empty() {
                let piece = deframer.next(chunk)?;
                assert!(piece.used > 0 && piece.payload.end == piece.used, "{piece:?}");
                open.extend_from_slice(&chunk[piece.payload]);
                if piece.frame_ended {
                    assert!(deframer.at_boundary());
                    frames.push(std::mem::take(&mut open));
                }
                chunk = &chunk[piece.used..];
            }
        }
        Ok((frames, open))
    }

    #[test]
    fn frames_come_out_the_same_however_the_stream_is_cut_in_two() {
        let payloads = vec![b"one".to_vec(), b"2".to_vec(), b"three!".to_vec()];
        let stream = framed(&payloads);
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            let mut deframer = Deframer::new(LIMIT);
            assert_eq!(read(&mut deframer, &[front, back]), Ok((payloads.clone(), Vec::new())));
            assert!(deframer.at_boundary());
        }
    }

    #[test]
    fn a_stream_may_only_end_between_frames() {
        let stream = framed(&[b"abc".to_vec(), b"de".to_vec()]);
        let ends: Vec<usize> = (0..=stream.len())
            .filter(|&end| {
                let mut deframer = Deframer::new(LIMIT);
                read(&mut deframer, &[&stream[..end]]).unwrap();
                deframer.at_boundary()
            })
            .collect();
        assert_eq!(ends, [0, 7, 13]);
    }

    #[test]
    fn the_rest_of_a_frame_is_known_from_its_header_on() {
        let mut deframer = Deframer::new(LIMIT);
        assert_eq!(deframer.next(b"\0\0\0"), Ok(Piece { used: 3, payload: 3..3, frame_ended: false }));
        assert_eq!(deframer.remaining(), 0);
        assert_eq!(deframer.next(b"\x05"), Ok(Piece { used: 1, payload: 1..1, frame_ended: false }));
        assert_eq!(deframer.remaining(), 5);
        assert_eq!(deframer.next(b""), Ok(Piece { used: 0, payload: 0..0, frame_ended: false }));
        assert_eq!(deframer.next(b"abc"), Ok(Piece { used: 3, payload: 0..3, frame_ended: false }));
        assert_eq!(deframer.remaining(), 2);
        assert_eq!(deframer.next(b"de\0\0"), Ok(Piece { used: 2, payload: 0..2, frame_ended: true }));
    }

    #[test]
    fn a_length_that_is_zero_negative_or_too_long_is_refused_with_its_header_and_ever_after() {
        let cases: [(&[u8; 4], FrameError); 5] = [
            (b"\0\0\0\0", FrameError::ZeroLength),
            (b"\xff\xff\xff\xff", FrameError::Negative { len: -1 }),
            (b"\x80\0\0\0", FrameError::Negative { len: i32::MIN }),
            (b"\x7f\xff\xff\xff", FrameError::TooLong { len: 0x7fff_ffff, limit: LIMIT }),
            (b"\0\0\0\x41", FrameError::TooLong { len: 65, limit: LIMIT }),
        ];
        for (bytes, error) in cases {
            let mut deframer = Deframer::new(LIMIT);
            assert!(deframer.next(&bytes[..3]).is_ok());
            assert_eq!(deframer.next(&bytes[3..]), Err(error));
            assert_eq!(deframer.next(b"\0\0\0\x01a"), Err(error));
            assert!(!deframer.at_boundary());
        }
        assert!(Deframer::new(LIMIT).next(b"\0\0\0\x40").is_ok());
    }

    #[test]
    fn no_header_is_written_that_a_reader_would_refuse() {
        assert_eq!(header(1), Ok([0, 0, 0, 1]));
        assert_eq!(header(0x0102_0304), Ok([1, 2, 3, 4]));
        assert_eq!(header(0), Err(FrameError::ZeroLength));
        assert!(matches!(header(1 << 31), Err(FrameError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn random_cuts_change_nothing(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..LIMIT), 0..6),
            cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let stream = framed(&payloads);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let mut deframer = Deframer::new(LIMIT);
            prop_assert_eq!(read(&mut deframer, &chunks), Ok((payloads, Vec::new())));
            prop_assert!(deframer.at_boundary());
        }

        #[test]
        fn arbitrary_bytes_end_in_an_error_or_are_used_up(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let whole = read(&mut Deframer::new(LIMIT), &[&bytes]);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(whole, read(&mut Deframer::new(LIMIT), &single));
        }
    }
}
