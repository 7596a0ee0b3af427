//! The GSSAPI negotiation as far as a router sees of it, both ends: tokens of the right shapes, and in them
//! names in place of tickets (RFC 4752, RFC 4121; Impala: cyrus-sasl's `gssapi.c` without security properties).
//! Nobody proves anything here.

use std::io::{self, ErrorKind, Read, Write};

use super::{BAD, COMPLETE, OK, START, negotiation, read_negotiation};

/// What every token of Kerberos begins with but those that wrap: a tag, the length, and the mechanism's
/// identifier (RFC 2743 §3.1, RFC 1964 §1).
const KERBEROS: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
/// What follows in the client's token, and in the coordinator's (RFC 4121 §4.1).
const AP_REQ: [u8; 2] = [1, 0];
const AP_REP: [u8; 2] = [2, 0];
/// Nothing protects what follows (RFC 4752 §3.3).
pub const NO_LAYER: u8 = 1;
/// How a checksum looks, of the length that AES has.
const CHECKSUM: &[u8; 12] = b"not checked.";

/// A client's first token, which names its user where a ticket would be.
pub fn ticket(user: &str) -> Vec<u8> {
    framed(AP_REQ, user.as_bytes())
}

fn framed(kind: [u8; 2], inside: &[u8]) -> Vec<u8> {
    let rest = [&KERBEROS, kind.as_slice(), inside].concat();
    let length = u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0x60, 0x82], length.as_slice(), &rest].concat()
}

/// A wrap token that is not sealed, turned to the right by this many bytes.
pub fn wrapped(data: &[u8], right: u16) -> Vec<u8> {
    let mut inside = [data, CHECKSUM].concat();
    let turn = usize::from(right) % inside.len();
    inside.rotate_right(turn);
    [&[5, 4, 0, 0xff, 0, 12], right.to_be_bytes().as_slice(), &[0; 8], &inside].concat()
}

/// What is in a wrap token that was not turned.
fn unwrapped(token: &[u8]) -> Option<&[u8]> {
    token.strip_prefix(&[5, 4])?.get(14..token.len().checked_sub(2 + CHECKSUM.len())?)
}

/// The user that a client's first token names; of a real one nobody in particular.
fn user(token: &[u8]) -> Option<&str> {
    let at = token.windows(KERBEROS.len()).position(|window| window == KERBEROS)?;
    let name = token.get(at + KERBEROS.len()..)?.strip_prefix(&AP_REQ)?;
    std::str::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// The coordinator's half, after START. Returns the user's name, which is the authorization id if there is one
/// (Impala: `authentication.cc` accepts every one).
///
/// # Errors
/// When the stream fails; `PermissionDenied` when the client's token names nobody, or the client wants a
/// layer. Then the connection has to be closed without an answer.
pub(super) fn accept(reader: &mut impl Read, stream: &mut impl Write) -> io::Result<String> {
    let refused = || io::Error::from(ErrorKind::PermissionDenied);
    let (_, token) = read_negotiation(reader)?;
    let user = user(&token).ok_or_else(refused)?;
    stream.write_all(&negotiation(OK, &framed(AP_REP, b"")))?;
    let (_, nothing) = read_negotiation(reader)?;
    if !nothing.is_empty() {
        return Err(refused());
    }
    stream.write_all(&negotiation(OK, &wrapped(&[NO_LAYER, 0, 0, 0], 0)))?;
    let (_, choice) = read_negotiation(reader)?;
    let [NO_LAYER, _, _, _, id @ ..] = unwrapped(&choice).ok_or_else(refused)? else { return Err(refused()) };
    let id = std::str::from_utf8(id).map_err(|_| refused())?;
    stream.write_all(&negotiation(COMPLETE, b""))?;
    Ok(if id.is_empty() { user } else { id }.to_owned())
}

/// The client's half, as pure-sasl does it: with the user's name for the authorization id (impyla and `PyHive`).
///
/// # Errors
/// When the stream fails; `ConnectionRefused` with the coordinator's words when it answers BAD or ERROR;
/// `UnexpectedEof` when it closes the connection, which is how Impala refuses a client.
pub(super) fn authenticate(reader: &mut impl Read, stream: &mut impl Write, user: &str) -> io::Result<()> {
    let choice = [[NO_LAYER, 0, 0, 0].as_slice(), user.as_bytes()].concat();
    stream.write_all(&negotiation(START, b"GSSAPI"))?;
    for response in [ticket(user), Vec::new(), wrapped(&choice, 0)] {
        stream.write_all(&negotiation(OK, &response))?;
        let (status, text) = read_negotiation(reader)?;
        if status >= BAD && status != COMPLETE {
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(io::Error::new(ErrorKind::ConnectionRefused, text));
        }
    }
    Ok(())
}
