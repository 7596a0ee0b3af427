//! Captured conversations, played again: what the router understands of them is what another decoder understood.

mod scanned;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

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
