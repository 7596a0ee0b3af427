//! Wrap tokens of Kerberos: what is in one, as long as it is not sealed. Nobody checks here that it is
//! genuine; that takes the key of the session.

use std::borrow::Cow;

use thiserror::Error;

/// How a wrap token of RFC 4121 begins (§4.2.6.2).
pub(super) const WRAP: &[u8] = &[5, 4];
/// How every token of RFC 2743 §3.1 begins, and with it one of RFC 1964.
pub(super) const FRAMED: &[u8] = &[0x60];

/// The identifier of Kerberos, with its tag and length (RFC 1964 §1): 1.2.840.113554.1.2.2.
const KERBEROS: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

/// Of the flags of RFC 4121: what is in the token is encrypted.
const SEALED: u8 = 2;

/// Why a wrap token cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It is another token, or none.
    #[error("it is no wrap token")]
    NotWrapped,
    /// What is in it is encrypted.
    #[error("it is sealed")]
    Sealed,
    /// It is shorter than it says, or contradicts itself.
    #[error("it is malformed")]
    Malformed,
}

/// What is in a wrap token that is not sealed.
///
/// # Errors
/// When it is no wrap token, sealed, or malformed.
pub fn unsealed(token: &[u8]) -> Result<Cow<'_, [u8]>, TokenError> {
    if token.starts_with(WRAP) {
        of_rfc_4121(token)
    } else if token.starts_with(FRAMED) {
        of_rfc_1964(token)
    } else {
        Err(TokenError::NotWrapped)
    }
}

/// `05 04`, flags, `ff`, EC (2 bytes), RRC (2), a sequence number (8); then data and a checksum of EC bytes,
/// which are turned to the right by RRC bytes (RFC 4121 §4.2.4 to §4.2.6.2). Windows' RRC is not 0.
fn of_rfc_4121(token: &[u8]) -> Result<Cow<'_, [u8]>, TokenError> {
    let Some((header, rest)) = token.split_first_chunk::<16>() else { return Err(TokenError::Malformed) };
    let [_, _, flags, filler, extra_high, extra_low, right_high, right_low, ..] = *header;
    if filler != 0xff {
        return Err(TokenError::Malformed);
    }
    if flags & SEALED != 0 {
        return Err(TokenError::Sealed);
    }
    let checksum = usize::from(u16::from_be_bytes([extra_high, extra_low]));
    let right = usize::from(u16::from_be_bytes([right_high, right_low]));
    let len = rest.len().checked_sub(checksum).ok_or(TokenError::Malformed)?;
    let right = right.checked_rem(rest.len()).unwrap_or(0);
    if right == 0 {
        return Ok(Cow::Borrowed(rest.get(..len).unwrap_or_default()));
    }
    let mut turned = rest.to_vec();
    turned.rotate_left(right);
    turned.truncate(len);
    Ok(Cow::Owned(turned))
}

/// The frame of RFC 2743; `02 01`, algorithms of the checksum and of the seal (2 bytes each, `ff ff` is no
/// seal), `ff ff`, a sequence number (8), the checksum; then 8 random bytes, the data, and as many bytes of
/// padding as its last one says (RFC 1964 §1.2.2; MIT: `k5seal.c` `make_seal_token_v1`).
fn of_rfc_1964(token: &[u8]) -> Result<Cow<'_, [u8]>, TokenError> {
    const CHECKSUM_OF_3DES: [u8; 2] = [4, 0];
    let inside = past_frame(token).ok_or(TokenError::Malformed)?;
    let Some((head, rest)) = inside.split_first_chunk::<16>() else { return Err(TokenError::NotWrapped) };
    let &[2, 1, checksum, checksum_high, seal, seal_high, ..] = head else {
        return Err(TokenError::NotWrapped);
    };
    if [seal, seal_high] != [0xff, 0xff] {
        return Err(TokenError::Sealed);
    }
    let before = 8 + if [checksum, checksum_high] == CHECKSUM_OF_3DES { 20 } else { 8 };
    let data = rest.get(before..).ok_or(TokenError::Malformed)?;
    let padding = usize::from(*data.last().ok_or(TokenError::Malformed)?);
    let len = data.len().checked_sub(padding).filter(|_| (1..=8).contains(&padding));
    Ok(Cow::Borrowed(data.get(..len.ok_or(TokenError::Malformed)?).unwrap_or_default()))
}

/// What stands in the frame of RFC 2743, behind the mechanism's identifier. The length is not compared with
/// what came: not everybody counts the same (RFC 4757 §7.3).
fn past_frame(token: &[u8]) -> Option<&[u8]> {
    let (_tag, rest) = token.split_first()?;
    let (first, rest) = rest.split_first()?;
    // A length below 128 stands in one byte; else the low bits say in how many (X.690 §8.1.3).
    let more = if *first < 0x80 { 0 } else { usize::from(first & 0x7f) };
    rest.get(more..).filter(|_| more <= 4)?.strip_prefix(KERBEROS)
}
