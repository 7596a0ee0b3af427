//! A plain reading of a reply that is there as a whole: what the router finds piece by piece is compared with
//! this. It goes by the Thrift binary protocol and the bounds that the router's documentation names, and
//! shares no code with the router.

/// How deep structs and containers may nest.
const DEEPEST: usize = 64;
/// A struct that is less deep, and in no container, may have a field once, of those with these numbers.
const WATCHED: usize = 5;
const NUMBERED: std::ops::Range<i16> = 0..64;

/// Where the reply to a call ends, frames included; none if there is no such reply, or its last frame goes
/// on.
pub(crate) fn reply_end(stream: &[u8], framed: bool, name: &[u8], seqid: i32) -> Option<usize> {
    if !framed {
        return message_end(stream, name, seqid);
    }
    // As many frames as there are, whole or not; what a bad one hides does not matter unless it is needed.
    let (mut payload, mut ends, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(head) = stream.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let Some(length) = usize::try_from(i32::from_be_bytes(*head)).ok().filter(|length| *length > 0)
        else {
            break;
        };
        let inside = stream.get(at + 4..).unwrap_or_default();
        at += 4 + length;
        payload.extend_from_slice(inside.get(..length).unwrap_or(inside));
        ends.push((payload.len(), at));
        if inside.len() < length {
            ends.pop();
            break;
        }
    }
    let end = message_end(&payload, name, seqid)?;
    ends.into_iter().find_map(|(inside, outside)| (inside == end).then_some(outside))
}

fn message_end(bytes: &[u8], name: &[u8], seqid: i32) -> Option<usize> {
    let mut reading = Reading { bytes, at: 0 };
    let [0x80, 1, _, 2 | 3] = reading.take()? else { return None };
    let length = reading.length()?;
    if length == 0 || reading.slice(length)? != name || i32::from_be_bytes(reading.take()?) != seqid {
        return None;
    }
    reading.structure(1, true)?;
    Some(reading.at)
}

struct Reading<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reading<'a> {
    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let slice = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(slice)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(i32::from_be_bytes(self.take()?)).ok()
    }

    /// A struct, the how manyth from outside, and whether none of those around it is a container.
    fn structure(&mut self, depth: usize, outer: bool) -> Option<()> {
        let mut met = Vec::new();
        loop {
            let [kind] = self.take()?;
            if kind == 0 {
                return (depth <= DEEPEST).then_some(());
            }
            let id = i16::from_be_bytes(self.take()?);
            if outer && depth <= WATCHED && NUMBERED.contains(&id) {
                if met.contains(&id) {
                    return None;
                }
                met.push(id);
            }
            self.value(kind, depth, outer)?;
        }
    }

    /// A value in something of this depth.
    fn value(&mut self, kind: u8, depth: usize, outer: bool) -> Option<()> {
        match kind {
            11 => {
                let length = self.length()?;
                self.slice(length).map(drop)
            }
            12 if depth < DEEPEST => self.structure(depth + 1, outer),
            13 => {
                let kinds = self.take::<2>()?;
                self.elements(&kinds, depth)
            }
            14 | 15 => {
                let kinds = self.take::<1>()?;
                self.elements(&kinds, depth)
            }
            kind => self.slice(fixed(kind)?).map(drop),
        }
    }

    /// What a container holds: so many times a value of each of the kinds. The kinds of an empty one need not
    /// be any.
    fn elements(&mut self, kinds: &[u8], depth: usize) -> Option<()> {
        let count = self.length()?;
        if count == 0 {
            return Some(());
        }
        if kinds.iter().any(|kind| fixed(*kind).is_none() && !(11..=15).contains(kind)) {
            return None;
        }
        let sizes: Option<Vec<usize>> = kinds.iter().map(|kind| fixed(*kind)).collect();
        if let Some(sizes) = sizes {
            return self.slice(count.checked_mul(sizes.iter().sum())?).map(drop);
        }
        if depth >= DEEPEST {
            return None;
        }
        for _ in 0..count {
            for kind in kinds {
                self.value(*kind, depth + 1, false)?;
            }
        }
        Some(())
    }
}

/// The bytes of a value that always has as many.
fn fixed(kind: u8) -> Option<usize> {
    match kind {
        2 | 3 => Some(1),
        6 => Some(2),
        8 => Some(4),
        4 | 10 => Some(8),
        _ => None,
    }
}
