//! The body of a request, freed of its framing (Impala: `THttpTransport.cpp` `readContent`, `readChunked`).

use super::head::Extent;

/// The longest line between chunks that is waited for, in bytes. Impala has no limit.
const LINE_LIMIT: usize = 8 << 10;

/// Where the reading of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// This many bytes are to come.
    Content(usize),
    /// The line with a chunk's size is to come.
    Size,
    /// This much of a chunk is to come.
    Chunk(usize),
    /// The end of the line that a chunk stands in is to come.
    ChunkEnd,
    /// The lines after the last chunk are to come.
    Footers,
}

/// What came of bytes for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The body is longer.
    More,
    Done,
    /// It is nothing that could be waited for.
    Broken,
}

impl Body {
    pub(super) fn new(extent: Extent) -> Self {
        match extent {
            Extent::Bytes(bytes) => Self::Content(bytes),
            Extent::Chunks => Self::Size,
        }
    }

    /// Moves what there is of the body from `wire` to `payload`.
    pub(super) fn read(&mut self, wire: &mut Vec<u8>, payload: &mut Vec<u8>) -> Progress {
        loop {
            let next = match *self {
                Self::Content(left) => match take(wire, payload, left) {
                    0 => return Progress::Done,
                    left => {
                        *self = Self::Content(left);
                        return Progress::More;
                    }
                },
                Self::Chunk(left) => match take(wire, payload, left) {
                    0 => Self::ChunkEnd,
                    left => {
                        *self = Self::Chunk(left);
                        return Progress::More;
                    }
                },
                Self::Size | Self::ChunkEnd | Self::Footers => {
                    let Some(line) = take_line(wire) else {
                        return if wire.len() > LINE_LIMIT { Progress::Broken } else { Progress::More };
                    };
                    match (*self, line.as_str()) {
                        (Self::Size, line) => match chunk_size(line) {
                            0 => Self::Footers,
                            size => Self::Chunk(size),
                        },
                        (Self::Footers, "") => return Progress::Done,
                        (Self::Footers, _) => Self::Footers,
                        // Whatever stands there is skipped (Impala: `readChunked`).
                        _ => Self::Size,
                    }
                }
            };
            *self = next;
        }
    }
}

/// Moves up to `left` bytes; returns how many are still to come.
fn take(wire: &mut Vec<u8>, payload: &mut Vec<u8>, left: usize) -> usize {
    let now = left.min(wire.len());
    payload.extend(wire.drain(..now));
    left - now
}

fn take_line(wire: &mut Vec<u8>) -> Option<String> {
    let end = wire.windows(2).position(|two| two == b"\r\n")?;
    let line = String::from_utf8_lossy(wire.get(..end)?).into_owned();
    wire.drain(..end + 2);
    Some(line)
}

/// The size in a chunk's line: hexadecimal digits and whatever follows them; 0 if there are none, which ends
/// the body (Impala: `parseChunkSize`).
fn chunk_size(line: &str) -> usize {
    let digits = line.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    match digits.get(..end) {
        None | Some("") => 0,
        Some(digits) => usize::from_str_radix(digits, 16).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_however_they_come() {
        let wire = b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nfooter: x\r\n\r\nnext";
        for size in 1..wire.len() {
            let (mut body, mut came, mut payload) = (Body::new(Extent::Chunks), Vec::new(), Vec::new());
            let mut progress = Progress::More;
            for piece in wire.chunks(size) {
                came.extend_from_slice(piece);
                if progress == Progress::More {
                    progress = body.read(&mut came, &mut payload);
                }
            }
            assert_eq!((progress, payload.as_slice()), (Progress::Done, &b"abc0123456789"[..]), "by {size}");
            assert_eq!(came, b"next");
        }
    }

    #[test]
    fn a_body_is_as_long_as_was_said() {
        let (mut body, mut payload) = (Body::new(Extent::Bytes(5)), Vec::new());
        assert_eq!(body.read(&mut b"abc".to_vec(), &mut payload), Progress::More);
        let mut wire = b"defg".to_vec();
        assert_eq!(body.read(&mut wire, &mut payload), Progress::Done);
        assert_eq!((payload.as_slice(), wire.as_slice()), (&b"abcde"[..], &b"fg"[..]));
    }

    #[test]
    fn a_line_without_end_is_not_waited_for() {
        let mut body = Body::new(Extent::Chunks);
        assert_eq!(body.read(&mut vec![b'1'; LINE_LIMIT + 1], &mut Vec::new()), Progress::Broken);
    }
}
