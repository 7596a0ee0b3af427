//! Keytab files: which keys are in them. A key itself is skipped, and the bytes of the file are zeroed.
//!
//! The format is MIT's (krb5 documentation, `formats/keytab_file_format`): the bytes 5 and 2, then entries, each
//! behind its length, of four bytes; a negative length is a hole of that many bytes. An entry has the number of
//! its components, the realm and the components, each behind two bytes of length; the type of the name and the
//! time, of four bytes each; the version of the key in one byte; the type of its cipher and the key, behind its
//! length; and perhaps the version once more, in four bytes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// The largest file that is read, in bytes. A key with its names has about a hundred.
const LARGEST_FILE: u64 = 4 << 20;
/// How many characters of a component are kept. Hosts have 253 at most.
const LONGEST_PART: usize = 256;

/// A key in a keytab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whose it is, as `impala/host@REALM`. What could be taken for something else in a text is a `?`.
    pub principal: String,
    /// The version of the key (kvno).
    pub version: u32,
    /// The cipher that it is for (RFC 3961, enctype).
    pub cipher: Cipher,
}

/// The number of a cipher of Kerberos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cipher(pub u16);

impl Cipher {
    /// Its name; `None` if it is not one of those that keytabs have.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "des-cbc-crc",
            2 => "des-cbc-md4",
            3 => "des-cbc-md5",
            16 => "des3-cbc-sha1",
            17 => "aes128-cts-hmac-sha1-96",
            18 => "aes256-cts-hmac-sha1-96",
            19 => "aes128-cts-hmac-sha256-128",
            20 => "aes256-cts-hmac-sha384-192",
            23 => "arcfour-hmac",
            24 => "arcfour-hmac-exp",
            25 => "camellia128-cts-cmac",
            26 => "camellia256-cts-cmac",
            _ => return None,
        })
    }

    /// Whether nobody should use it any more (RFC 6649, RFC 8429).
    pub fn is_weak(self) -> bool {
        matches!(self.0, 1..=3 | 16 | 23 | 24)
    }
}

/// Why a file is no keytab.
#[derive(Debug, thiserror::Error)]
pub enum KeytabError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is larger than any keytab.
    #[error("it has more than {LARGEST_FILE} bytes")]
    TooLarge,
    /// It does not begin as a keytab does.
    #[error("it does not begin as a keytab of version 2 does")]
    NoKeytab,
    /// An entry is damaged.
    #[error("the entry at byte {at} is damaged")]
    Damaged {
        /// Where the entry begins, counted from 0.
        at: usize,
    },
}

/// The keys in a file, in its order.
///
/// # Errors
/// When it cannot be read, or is no keytab.
pub fn keys(file: &Path) -> Result<Vec<Key>, KeytabError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(file)?;
    let expected = file.metadata()?.len().min(LARGEST_FILE);
    // One allocation, so that no copy of a key is left behind.
    bytes.reserve_exact(usize::try_from(expected).unwrap_or(0) + 1);
    let read = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if read as u64 > LARGEST_FILE {
        return Err(KeytabError::TooLarge);
    }
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<Key>, KeytabError> {
    let mut rest = bytes.strip_prefix(&[5, 2]).ok_or(KeytabError::NoKeytab)?;
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let damaged = KeytabError::Damaged { at: bytes.len() - rest.len() };
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Err(damaged) };
        let length = i32::from_be_bytes(*length);
        // MIT's library takes a length of 0 for the end: a file may have been lengthened in advance.
        if length == 0 {
            break;
        }
        let size = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
        let Some((entry, after)) = after.split_at_checked(size) else { return Err(damaged) };
        if length > 0 {
            keys.push(Entry(entry).read().ok_or(damaged)?);
        }
        rest = after;
    }
    Ok(keys)
}

/// What is left of an entry.
struct Entry<'a>(&'a [u8]);

impl<'a> Entry<'a> {
    fn read(mut self) -> Option<Key> {
        let components = self.u16()?;
        let realm = text(self.counted()?);
        let mut name = String::new();
        for number in 0..components {
            if number > 0 {
                name.push('/');
            }
            name.push_str(&text(self.counted()?));
        }
        let _type_and_time = self.take(8)?;
        let short = self.take(1)?.first().copied()?;
        let cipher = Cipher(self.u16()?);
        let _key = self.counted()?;
        // Older programs do not write it, and some write zeros in its place.
        let long = self.take(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let version = long.filter(|version| *version != 0).unwrap_or_else(|| short.into());
        Some(Key { principal: format!("{name}@{realm}"), version, cipher })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

fn text(bytes: &[u8]) -> String {
    let plain = |one: char| if one.is_control() || one.is_whitespace() { '?' } else { one };
    String::from_utf8_lossy(bytes).chars().take(LONGEST_PART).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A keytab with one key of eight bytes for `impala/host@R`, and a hole before it.
    fn example(version: u8, long: Option<u32>) -> Vec<u8> {
        let mut entry = vec![0, 2, 0, 1, b'R', 0, 6];
        entry.extend(b"impala\0\x04host\0\0\0\x01\x60\0\0\0");
        entry.extend([version, 0, 18, 0, 8]);
        entry.extend(b"KEYBYTES");
        entry.extend(long.into_iter().flat_map(u32::to_be_bytes));
        let hole = [[0xff, 0xff, 0xff, 0xfe].as_slice(), &[9, 9]].concat();
        let length = u32::try_from(entry.len()).unwrap().to_be_bytes();
        [[5, 2].as_slice(), &hole, &length, &entry].concat()
    }

    fn only(bytes: &[u8]) -> Key {
        parse(bytes).unwrap().pop().unwrap()
    }

    #[test]
    fn a_key_is_told_by_its_principal_version_and_cipher() {
        let key = Key { principal: "impala/host@R".to_owned(), version: 3, cipher: Cipher(18) };
        assert_eq!(only(&example(3, None)), key);
        assert_eq!(only(&example(3, Some(0))), key);
        assert_eq!(only(&example(3, Some(259))), Key { version: 259, ..key });
        assert_eq!(key_name(18), ("aes256-cts-hmac-sha1-96", false));
        assert_eq!(key_name(23), ("arcfour-hmac", true));
        assert_eq!(Cipher(99).name(), None);
    }

    fn key_name(number: u16) -> (&'static str, bool) {
        (Cipher(number).name().unwrap(), Cipher(number).is_weak())
    }

    #[test]
    fn what_is_no_keytab_is_told_with_the_place() {
        assert!(matches!(parse(b""), Err(KeytabError::NoKeytab)));
        assert!(matches!(parse(b"\x05\x01"), Err(KeytabError::NoKeytab)));
        assert_eq!(parse(b"\x05\x02").unwrap(), []);
        assert_eq!(parse(b"\x05\x02\0\0\0\0junk").unwrap(), []);
        let mut cut = example(3, None);
        cut.pop();
        assert!(matches!(parse(&cut), Err(KeytabError::Damaged { at: 8 })), "{:?}", parse(&cut));
        assert!(matches!(parse(b"\x05\x02\x7f\xff\xff\xff"), Err(KeytabError::Damaged { at: 2 })));
        assert!(matches!(parse(b"\x05\x02\x80\0\0\0"), Err(KeytabError::Damaged { at: 2 })));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _any = parse(&[[5, 2].as_slice(), &bytes].concat());
        }

        #[test]
        fn a_harmed_keytab_has_no_more_keys(at in 2_usize..40, byte in any::<u8>()) {
            let mut bytes = example(3, None);
            bytes[at] = byte;
            prop_assert!(parse(&bytes).map_or(0, |keys| keys.len()) <= 2);
        }
    }
}
