//! Either side of a context of GSSAPI, once both have proven themselves: its wrap tokens (RFC 4121). kerbcore has
//! wrap tokens, too, but signs those that it does not seal over another header than the standard says (§4.2.4), and
//! with another key (§2).

use kerbcore::KerberosKey;

/// Bytes before what is in a wrap token.
const HEADER: usize = 16;
/// How a wrap token begins.
const WRAP: [u8; 2] = [5, 4];
/// The flags of a token: the acceptor sent it, it is sealed, it is signed with the key that the acceptor chose.
const BY_ACCEPTOR: u8 = 1;
const SEALED: u8 = 2;
const ACCEPTORS_KEY: u8 = 4;

/// A side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Initiator,
    Acceptor,
}

impl Side {
    /// What a key is used for (RFC 4121 §2): the tokens of this side, sealed or not.
    fn usage(self) -> u32 {
        match self {
            Self::Initiator => 24,
            Self::Acceptor => 22,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }
}

/// One side of a context.
pub(crate) struct Context {
    pub(super) side: Side,
    pub(super) key: KerberosKey,
    /// Whether the key is the one that the acceptor chose.
    pub(super) is_acceptors_key: bool,
    /// The number of the next token that this side sends, and of the next that it gets.
    pub(super) next: u64,
    pub(super) expected: u64,
}

impl Context {
    /// These bytes signed, and turned to the right by so many bytes: what Windows sends (§4.2.5).
    pub(crate) fn wrap(&mut self, bytes: &[u8], right: u16) -> Vec<u8> {
        let flags = self.flags(self.side);
        let bare = header(flags, self.next);
        let checksum = self.key.checksum(self.side.usage(), &[bytes, &bare].concat());
        self.next += 1;
        let mut token = [&bare, bytes, &checksum].concat();
        token[4..6].copy_from_slice(&u16::try_from(checksum.len()).unwrap().to_be_bytes());
        turn(token, right)
    }

    /// These bytes encrypted, and turned.
    pub(crate) fn seal(&mut self, bytes: &[u8], right: u16) -> Vec<u8> {
        let bare = header(self.flags(self.side) | SEALED, self.next);
        let sealed = self.key.encrypt(self.side.usage(), &[bytes, &bare].concat());
        self.next += 1;
        turn([bare.as_slice(), &sealed].concat(), right)
    }

    /// What the other side has signed, and not sealed, in its next token.
    pub(crate) fn unwrap(&mut self, token: &[u8]) -> Vec<u8> {
        let (head, rest) = token.split_first_chunk::<HEADER>().expect("it has a header");
        let [_, _, flags, filler, extra @ .., _, _, _, _, _, _, _, _] = *head;
        let [extra, right] = [[extra[0], extra[1]], [extra[2], extra[3]]].map(u16::from_be_bytes);
        assert_eq!((&head[..2], filler), (&WRAP[..], 0xff));
        let other = self.side.other();
        assert_eq!(flags, self.flags(other), "not sealed, and signed with the right key");
        let mut rest = rest.to_vec();
        let turned = usize::from(right) % rest.len();
        rest.rotate_left(turned);
        let checksum = rest.split_off(rest.len() - usize::from(extra));
        let bare = header(flags, self.expected);
        assert_eq!(head[8..], bare[8..], "in its turn");
        assert!(checksum == self.key.checksum(other.usage(), &[rest.as_slice(), &bare].concat()));
        self.expected += 1;
        rest
    }

    fn flags(&self, of: Side) -> u8 {
        let by_acceptor = if of == Side::Acceptor { BY_ACCEPTOR } else { 0 };
        by_acceptor | if self.is_acceptors_key { ACCEPTORS_KEY } else { 0 }
    }
}

/// The header as it is signed: without the two lengths that the receiver needs to find what was signed.
fn header(flags: u8, number: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&[WRAP[0], WRAP[1], flags, 0xff]);
    header[8..].copy_from_slice(&number.to_be_bytes());
    header
}

fn turn(mut token: Vec<u8>, right: u16) -> Vec<u8> {
    token[6..8].copy_from_slice(&right.to_be_bytes());
    let rest = &mut token[HEADER..];
    rest.rotate_right(usize::from(right) % rest.len());
    token
}
