//! The server name in a TLS `ClientHello` (SNI), read without decrypting anything.
//!
//! The hello may come in several records (RFC 8446 §5.1), as it does where a client's key shares are large.
//! Its fields are those of RFC 8446 §4.1.2, which all versions since TLS 1.0 share; the name is the extension
//! of RFC 6066 §3.

/// A hello that is longer than this, with what stands around it in records, is not searched for a name. Real
/// ones have some 300 to 2,000 bytes.
pub const LONGEST_HELLO: usize = 16 << 10;

/// The longest host name (RFC 1035 §2.3.4, without the last dot).
const LONGEST_NAME: usize = 253;

/// A record's content type, version and length.
const RECORD_HEADER: usize = 5;
/// A handshake message's type and length.
const MESSAGE_HEADER: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the beginning of a TLS connection says about the server that the client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// The hello has not come as a whole.
    NeedMore,
    /// There is no name: the client gives none, the hello is too long to be searched, or the bytes are none.
    None,
    /// This host, in lower case, without a dot at its end: letters, digits, `.`, `-` and `_` only.
    Host(Box<str>),
}

/// Finds the server name in `first`, all bytes received so far.
///
/// For every input, `server_name(prefix)` is either [`ServerName::NeedMore`] or equal to
/// `server_name(whole)`.
pub fn server_name(first: &[u8]) -> ServerName {
    let within = first.get(..LONGEST_HELLO).unwrap_or(first);
    let body = match hello(within) {
        Joined::Whole(body) => body,
        Joined::NeedMore if within.len() < LONGEST_HELLO => return ServerName::NeedMore,
        Joined::NeedMore | Joined::Other => return ServerName::None,
    };
    host(&body).map_or(ServerName::None, ServerName::Host)
}

/// The hello's body, without what stands around it in records.
enum Joined {
    NeedMore,
    /// The bytes are not a hello, or not one that is searched.
    Other,
    Whole(Vec<u8>),
}

/// Joins the records' fragments up to the end of the hello.
fn hello(first: &[u8]) -> Joined {
    let (fragments, is_broken) = fragments(first);
    let byte_at = |at: usize| fragments.iter().copied().flatten().nth(at).copied();
    let header: Option<Vec<u8>> = (0..MESSAGE_HEADER).map(byte_at).collect();
    match header.as_deref() {
        Some(&[CLIENT_HELLO, high, middle, low]) => {
            let wanted = MESSAGE_HEADER + u32::from_be_bytes([0, high, middle, low]) as usize;
            if wanted > LONGEST_HELLO {
                return Joined::Other;
            }
            let came: usize = fragments.iter().map(|fragment| fragment.len()).sum();
            // Only a hello that is there as a whole is copied.
            if came >= wanted {
                let bytes = fragments.into_iter().flatten().copied();
                Joined::Whole(bytes.take(wanted).skip(MESSAGE_HEADER).collect())
            } else if is_broken {
                Joined::Other
            } else {
                Joined::NeedMore
            }
        }
        Some(_) => Joined::Other,
        None if is_broken || byte_at(0).is_some_and(|kind| kind != CLIENT_HELLO) => Joined::Other,
        None => Joined::NeedMore,
    }
}

/// The fragments of the handshake records at the beginning, the last one as far as it came, and whether
/// something else follows them.
fn fragments(mut rest: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut fragments = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let [HANDSHAKE, 3, _, high, low] = *header else { return (fragments, true) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        // A handshake record is never empty.
        if len == 0 {
            return (fragments, true);
        }
        let (fragment, next) = after.split_at_checked(len).unwrap_or((after, &[]));
        fragments.push(fragment);
        rest = next;
    }
    // Half a header: is it one?
    (fragments, rest.iter().zip([HANDSHAKE, 3]).any(|(seen, wanted)| *seen != wanted))
}

/// Finds the name in a hello's body; none if there is none or the body is malformed.
fn host(body: &[u8]) -> Option<Box<str>> {
    const VERSION_AND_RANDOM: usize = 2 + 32;
    let mut body = Fields(body.get(VERSION_AND_RANDOM..)?);
    let _session_id = body.vector::<1>()?;
    let _cipher_suites = body.vector::<2>()?;
    let _compression = body.vector::<1>()?;
    let mut extensions = Fields(body.vector::<2>()?);
    loop {
        let kind = extensions.number::<2>()?;
        let extension = extensions.vector::<2>()?;
        if kind == usize::from(SERVER_NAME) {
            return in_list(extension);
        }
    }
}

/// Finds the host name in the extension's list of names, which has one of each type at most.
fn in_list(extension: &[u8]) -> Option<Box<str>> {
    let mut names = Fields(Fields(extension).vector::<2>()?);
    loop {
        let kind = names.number::<1>()?;
        let name = names.vector::<2>()?;
        if kind == usize::from(HOST_NAME) {
            return normal(name);
        }
    }
}

/// A host name as it is compared; none if it has characters that host names do not have.
fn normal(name: &[u8]) -> Option<Box<str>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
    let is_host = (1..=LONGEST_NAME).contains(&name.len()) && name.iter().all(is_one);
    let name = str::from_utf8(name).ok().filter(|_| is_host)?;
    Some(name.to_ascii_lowercase().into())
}

/// The rest of a structure in TLS's presentation language (RFC 8446 §3).
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// A number of so many bytes, 1 or 2.
    fn number<const BYTES: usize>(&mut self) -> Option<usize> {
        let (number, rest) = self.0.split_first_chunk::<BYTES>()?;
        self.0 = rest;
        Some(number.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What a length of so many bytes announces.
    fn vector<const BYTES: usize>(&mut self) -> Option<&'a [u8]> {
        let len = self.number::<BYTES>()?;
        let (vector, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(vector)
    }
}

#[cfg(test)]
mod tests;
