//! The header with which a balancer in front of the router says whose connection it passes on: `HAProxy`'s
//! PROXY protocol (`doc/proxy-protocol.txt` of `HAProxy`), version 1, a line of text, and version 2, which is
//! binary.
//!
//! Of the TLVs behind the addresses of version 2 the router needs none. They are not parsed, so a checksum
//! among them (`PP2_TYPE_CRC32C`) is not verified.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// How a header of version 1 begins.
pub(super) const LINE: &[u8] = b"PROXY ";

/// How a header of version 2 begins.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Whether these first bytes are the beginning of a header and hardly of anything else: nothing that people
/// type has the zero byte, which is the fifth.
pub fn is_part_of_header(first: &[u8]) -> bool {
    first.len() >= 5 && (SIGNATURE.starts_with(first) || first.starts_with(SIGNATURE))
}

/// The longest header of version 1, in bytes, with the line's end.
pub const LONGEST_LINE: usize = 107;

/// What stands before the addresses of version 2: signature, version and command, family and protocol, and
/// the length of all that follows.
const FIXED: usize = 16;

/// A whole header, or one of which no more than TLVs are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length in bytes, with the TLVs, which may be longer than what was parsed; at most 16 + 65,535.
    pub len: usize,
    /// Whose connection it is.
    pub source: Source,
}

/// Whose connection a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The balancer's own, for example a health check (LOCAL), or that of a client without an address of IP:
    /// UNKNOWN, UNSPEC, a unix socket or datagrams. The address that the connection has counts.
    Sender,
    /// That of the client at this address.
    Client(SocketAddr),
}

/// Why bytes are not a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// They begin like neither version.
    #[error("not a PROXY header")]
    NotAHeader,
    /// A header of version 1 without an end.
    #[error("a PROXY line without CR LF in its first {LONGEST_LINE} bytes")]
    NoLineEnd,
    /// A header of version 1 that is not of the form that its protocol has.
    #[error("a malformed PROXY line")]
    BadLine,
    /// A version that nobody knows yet.
    #[error("a PROXY header of version {0}, where 1 and 2 are known")]
    Version(u8),
    /// A command that is neither LOCAL nor PROXY.
    #[error("a PROXY header with the unknown command {0}")]
    Command(u8),
    /// A family or a protocol that the specification does not have.
    #[error("a PROXY header with the unknown family and protocol {0:#04x}")]
    Family(u8),
    /// A length that leaves no room for the addresses of its family.
    #[error("a PROXY header whose length, {0}, has no room for its addresses")]
    Length(u16),
}

/// Reads the header from `first`, all bytes received so far; none if they are too few. TLVs need not have
/// come: [`Header::len`] says where the header ends.
///
/// For every input, `parse(prefix)` is either `Ok(None)` or equal to `parse(whole)`.
///
/// # Errors
/// When no more bytes can make it a header.
pub fn parse(first: &[u8]) -> Result<Option<Header>, ProxyError> {
    if first.starts_with(SIGNATURE) {
        binary(first)
    } else if first.starts_with(LINE) {
        line(first)
    } else if SIGNATURE.starts_with(first) || LINE.starts_with(first) {
        Ok(None)
    } else {
        Err(ProxyError::NotAHeader)
    }
}

/// Version 1.
fn line(first: &[u8]) -> Result<Option<Header>, ProxyError> {
    let longest = first.get(..LONGEST_LINE);
    let Some(end) = longest.unwrap_or(first).iter().position(|byte| *byte == b'\n') else {
        return if longest.is_some() { Err(ProxyError::NoLineEnd) } else { Ok(None) };
    };
    let text = first.get(LINE.len()..end).and_then(|text| text.strip_suffix(b"\r"));
    let text = text.and_then(|text| str::from_utf8(text).ok()).ok_or(ProxyError::BadLine)?;
    let source = announced(text).ok_or(ProxyError::BadLine)?;
    Ok(Some(Header { len: end + 1, source }))
}

/// Reads what stands between `PROXY` and the end of the line; none if it is malformed.
fn announced(text: &str) -> Option<Source> {
    let (protocol, addresses) = text.split_once(' ').unwrap_or((text, ""));
    match protocol {
        // Whatever follows is to be ignored.
        "UNKNOWN" => Some(Source::Sender),
        "TCP4" => client::<Ipv4Addr>(addresses),
        "TCP6" => client::<Ipv6Addr>(addresses),
        _ => None,
    }
}

/// Reads both addresses and both ports, each after a single space.
fn client<A: FromStr + Into<IpAddr>>(addresses: &str) -> Option<Source> {
    let mut words = addresses.split(' ');
    let from: A = words.next()?.parse().ok()?;
    let _to: A = words.next()?.parse().ok()?;
    let from_port = port(words.next()?)?;
    let _to_port = port(words.next()?)?;
    words.next().is_none().then(|| at(from.into(), from_port))
}

/// Digits only, without leading zeros.
fn port(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port.to_string() == text).then_some(port)
}

fn at(ip: IpAddr, port: u16) -> Source {
    Source::Client(SocketAddr::new(ip.to_canonical(), port))
}

/// Version 2.
fn binary(first: &[u8]) -> Result<Option<Header>, ProxyError> {
    let Some((fixed, addresses)) = first.split_first_chunk::<FIXED>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    if command >> 4 != 2 {
        return Err(ProxyError::Version(command >> 4));
    }
    let follow = u16::from_be_bytes([high, low]);
    let len = FIXED + usize::from(follow);
    let header = |source| Header { len, source };
    match command & 15 {
        0 => return Ok(Some(header(Source::Sender))),
        1 => {}
        unknown => return Err(ProxyError::Command(unknown)),
    }
    let addresses = addresses.get(..usize::from(follow)).unwrap_or(addresses);
    let source = match (family >> 4, family & 15) {
        (1, 1) => source::<4>(addresses, follow)?,
        (2, 1) => source::<16>(addresses, follow)?,
        // A family or a protocol that may be there, but is that of no TCP connection.
        (0..=3, 0..=2) => Some(Source::Sender),
        _ => return Err(ProxyError::Family(family)),
    };
    Ok(source.map(header))
}

/// Reads the source from addresses of so many bytes; none if they have not all come.
fn source<const BYTES: usize>(addresses: &[u8], follow: u16) -> Result<Option<Source>, ProxyError>
where
    IpAddr: From<[u8; BYTES]>,
{
    const PORTS: usize = 4;
    if usize::from(follow) < 2 * BYTES + PORTS {
        return Err(ProxyError::Length(follow));
    }
    let read = addresses.split_first_chunk::<BYTES>().and_then(|(from, rest)| {
        let (_to, ports) = rest.split_first_chunk::<BYTES>()?;
        let [high, low, ..] = *ports.first_chunk::<PORTS>()?;
        Some(at(IpAddr::from(*from), u16::from_be_bytes([high, low])))
    });
    Ok(read)
}

#[cfg(test)]
mod tests;
