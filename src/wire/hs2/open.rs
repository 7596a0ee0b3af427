//! Reads an `OpenSession` request and writes it again: everything that makes the session, but never its
//! password.
//!
//! `TOpenSessionReq {1: client_protocol, 2: username, 3: password, 4: configuration}` in TCLIService.thrift.
//! Impala does not look at the password (impala-hs2-server.cc `OpenSession`).

use std::borrow::Cow;

use bytes::BytesMut;

use crate::wire::thrift::{MessageType, STOP, Type, VERSION_1};
use crate::wire::write::Writer;

/// The name of the method.
const NAME: &[u8] = b"OpenSession";
/// Parts of configuration keys that name a secret. No option of Impala has one of them, and Impala ignores
/// keys that are no options.
const SECRET_WORDS: [&str; 4] = ["passw", "pwd", "secret", "token"];

/// What a client asked for when it opened a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open<'a> {
    /// `client_protocol`, a `TProtocolVersion`.
    pub protocol: Option<i32>,
    /// Who the client says it is; counts only on connections that are not authenticated.
    pub username: Option<&'a str>,
    /// Options, the database and the delegated user, as they came.
    pub configuration: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Open<'a> {
    /// Reads a whole request; none unless it has exactly these fields, in UTF-8. Options that name a secret
    /// are left out.
    pub fn read(message: &'a [u8]) -> Option<Self> {
        let mut rest = Reader(message);
        let version = rest.i32()?.cast_unsigned();
        if version != VERSION_1 | MessageType::Call as u32 || rest.string()? != NAME {
            return None;
        }
        let _seqid = rest.i32()?;
        rest.field(Type::Struct, 1)?;
        let mut open = Self::default();
        let mut last = 0;
        while let Some((kind, id)) = rest.next_field()? {
            match (id, kind) {
                (1, Type::I32) => open.protocol = Some(rest.i32()?),
                (2, Type::String) => open.username = Some(rest.text()?),
                (3, Type::String) => drop(rest.string()?),
                (4, Type::Map) => open.configuration = rest.pairs()?,
                _ => return None,
            }
            // Ids must ascend, so that none is repeated.
            if id <= last {
                return None;
            }
            last = id;
        }
        (rest.byte()? == STOP && rest.0.is_empty()).then_some(open)
    }

    /// A request that opens the same session.
    pub fn write(&self) -> BytesMut {
        let pairs: Vec<_> = self.configuration.iter().map(|(key, value)| (&**key, &**value)).collect();
        Writer::message(MessageType::Call, NAME, 1, |arguments| {
            arguments.structure(1, |request| {
                if let Some(protocol) = self.protocol {
                    request.i32(1, protocol);
                }
                if let Some(username) = self.username {
                    request.string(2, username.as_bytes());
                }
                if !pairs.is_empty() {
                    request.string_map(4, &pairs);
                }
            });
        })
    }
}

/// The rest of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.i32()?).ok()?;
        self.take(len)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    /// The type and id of the next field; the inner none is the end of the struct.
    #[expect(clippy::option_option, reason = "that the bytes end is not that the struct does")]
    fn next_field(&mut self) -> Option<Option<(Type, i16)>> {
        let kind = self.byte()?;
        if kind == STOP {
            return Some(None);
        }
        let id = i16::from_be_bytes(self.take(2)?.try_into().ok()?);
        Some(Some((Type::from_byte(kind)?, id)))
    }

    fn field(&mut self, kind: Type, id: i16) -> Option<()> {
        (self.next_field()?? == (kind, id)).then_some(())
    }

    fn pairs(&mut self) -> Option<Vec<(Cow<'a, str>, Cow<'a, str>)>> {
        let kinds = self.take(2)?;
        let count = usize::try_from(self.i32()?).ok()?;
        if count > 0 && kinds != [Type::String as u8; 2] {
            return None;
        }
        // The list grows with the entries that really come, not with the declared count.
        let mut pairs = Vec::new();
        for _ in 0..count {
            let (key, value) = (self.text()?, self.text()?);
            if !names_a_secret(key) {
                pairs.push((key.into(), value.into()));
            }
        }
        Some(pairs)
    }
}

fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(password: Option<&str>, pairs: &[(&str, &str)]) -> BytesMut {
        Writer::message(MessageType::Call, NAME, 1, |arguments| {
            arguments.structure(1, |request| {
                request.i32(1, 5);
                request.string(2, b"ann");
                if let Some(password) = password {
                    request.string(3, password.as_bytes());
                }
                if !pairs.is_empty() {
                    request.string_map(4, pairs);
                }
            });
        })
    }

    #[test]
    fn a_request_is_written_again_as_it_came() {
        let pairs = [("impala.doas.user", "bob"), ("set:hiveconf:mem_limit", "2g"), ("use:database", "demo")];
        for pairs in [&pairs[..], &[]] {
            let bytes = request(None, pairs);
            assert_eq!(Open::read(&bytes).unwrap().write(), bytes);
        }
    }

    #[test]
    fn no_secret_is_kept() {
        let pairs =
            [("a", "1"), ("trustStorePassword", "canary"), ("hive.Token", "canary"), ("my_secret", "canary")];
        let kept = Open::read(&request(Some("canary"), &pairs)).unwrap().write();
        assert_eq!(kept, request(None, &pairs[..1]));
    }

    #[test]
    fn what_is_not_quite_one_is_not_read() {
        let bytes = request(Some("p"), &[("a", "1")]);
        for end in 0..bytes.len() {
            assert_eq!(Open::read(&bytes[..end]), None, "prefix of {end}");
        }
        let more = [&bytes[..], b"\0"].concat();
        assert_eq!(Open::read(&more), None);
        let field = |id| {
            Writer::message(MessageType::Call, NAME, 1, |arguments| {
                arguments.structure(1, |request| {
                    request.string(2, b"ann");
                    request.string(id, b"bob");
                });
            })
        };
        assert!(Open::read(&field(3)).is_some());
        assert_eq!((Open::read(&field(2)), Open::read(&field(5))), (None, None));
        let other = Writer::message(MessageType::Call, b"CloseSession", 1, |arguments| {
            arguments.structure(1, |_| {});
        });
        assert_eq!(Open::read(&other), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..90) {
            let mut message = request(Some("p"), &[("a", "1"), ("b", "2")]);
            let from = at.min(message.len());
            let to = (from + bytes.len()).min(message.len());
            message[from..to].copy_from_slice(&bytes[..to - from]);
            if let Some(open) = Open::read(&message) {
                let again = open.write();
                prop_assert_eq!(Open::read(&again), Some(open.clone()));
            }
        }
    }
}
