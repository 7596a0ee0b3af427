//! Reads an `OpenSession` request and writes it again: everything that makes the session, but never its
//! password; if the router speaks for the client, with the user for whom it does.
//!
//! `TOpenSessionReq {1: client_protocol, 2: username, 3: password, 4: configuration}` in TCLIService.thrift.
//! Impala does not look at the password (impala-hs2-server.cc `OpenSession`).

use std::borrow::Cow;

use bytes::BytesMut;

use crate::ids::Family;
use crate::wire::thrift::{MessageType, STOP, Type, VERSION_1};
use crate::wire::write::Writer;

/// The name of the method.
const NAME: &[u8] = b"OpenSession";
/// Parts of configuration keys that name a secret. No option of Impala has one of them, and Impala ignores
/// keys that are no options.
const SECRET_WORDS: [&str; 4] = ["passw", "pwd", "secret", "token"];
/// The configuration keys by which a client names the user for whom it acts: Impala's, which is taken in any
/// case (impala-hs2-server.cc `OpenSession`), and that of Hive and Spark (`HiveAuthFactory.java`
/// `HS2_PROXY_USER`).
const USER_KEYS: [&str; 2] = ["impala.doas.user", "hive.server2.proxy.user"];
/// What Hive's JDBC driver puts before a key, and Impala takes off (IMPALA-11992).
const HIVE_PREFIX: &str = "set:hiveconf:";

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
        let mut open = Self::read_all(message)?;
        open.configuration.retain(|(key, _)| !names_a_secret(key));
        Some(open)
    }

    /// As [`Self::read`], with all options.
    fn read_all(message: &'a [u8]) -> Option<Self> {
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
        self.write_as(1)
    }

    fn write_as(&self, seqid: i32) -> BytesMut {
        let pairs: Vec<_> = self.configuration.iter().map(|(key, value)| (&**key, &**value)).collect();
        Writer::message(MessageType::Call, NAME, seqid, |arguments| {
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

/// Why a request does not name a user as the router needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOpen {
    /// It has other fields than an `OpenSession` has, or is not in UTF-8.
    #[error("the OpenSession request is malformed")]
    Malformed,
    /// It names the user for whom the client acts more than once.
    #[error("the session's configuration names the user to act for more than once")]
    TwoUsers,
    /// It names nobody as the user for whom the client acts.
    #[error("the session's configuration names an empty user to act for")]
    NoUser,
}

/// A request of a client for whom the router speaks.
#[derive(Debug, PartialEq, Eq)]
pub struct ForUser<'a> {
    open: Open<'a>,
    /// The user for whom the client itself wants to act.
    pub claimed: Option<Cow<'a, str>>,
}

impl<'a> ForUser<'a> {
    /// Reads a whole request.
    ///
    /// # Errors
    /// When it is malformed, or names a user twice or in vain.
    pub fn read(message: &'a [u8]) -> Result<Self, BadOpen> {
        let mut open = Open::read_all(message).ok_or(BadOpen::Malformed)?;
        let mut claims = open.configuration.extract_if(.., |(key, _)| is_user_key(key));
        let claimed = claims.next().map(|(_, user)| user);
        let is_repeated = claims.next().is_some();
        drop(claims);
        match &claimed {
            _ if is_repeated => Err(BadOpen::TwoUsers),
            Some(user) if user.is_empty() => Err(BadOpen::NoUser),
            _ => Ok(Self { open, claimed }),
        }
    }

    /// The request for coordinators of this family, with the router's word for the user in place of the
    /// client's, and without a password. The reply will have `seqid`.
    pub fn write(mut self, family: Family, user: &str, seqid: i32) -> BytesMut {
        let [impala, hive] = USER_KEYS;
        let key = match family {
            Family::Impala => impala,
            Family::Hive => hive,
        };
        self.open.configuration.push((key.into(), Cow::Owned(user.to_owned())));
        self.open.write_as(seqid)
    }
}

fn is_user_key(key: &str) -> bool {
    let bare = match key.split_at_checked(HIVE_PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(HIVE_PREFIX) => rest,
        _ => key,
    };
    USER_KEYS.iter().any(|user_key| bare.trim().eq_ignore_ascii_case(user_key))
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
            pairs.push((self.text()?.into(), self.text()?.into()));
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

    /// What a coordinator of this family gets for ann from a client with this configuration.
    fn for_ann(family: Family, pairs: &[(&str, &str)]) -> Result<(Option<String>, BytesMut), BadOpen> {
        let bytes = request(Some("canary"), pairs);
        let open = ForUser::read(&bytes)?;
        let claimed = open.claimed.as_deref().map(str::to_owned);
        Ok((claimed, open.write(family, "ann", 1)))
    }

    #[test]
    fn the_user_goes_along_in_the_key_of_the_coordinators_family_and_all_else_stays() {
        let own = [("use:database", "demo"), ("hive.Token", "t")];
        for (family, key) in [(Family::Impala, USER_KEYS[0]), (Family::Hive, USER_KEYS[1])] {
            let sent = request(None, &[own[0], own[1], (key, "ann")]);
            assert_eq!(for_ann(family, &own), Ok((None, sent)));
            assert_eq!(for_ann(family, &[]), Ok((None, request(None, &[(key, "ann")]))));
        }
    }

    #[test]
    fn a_claim_is_found_however_it_is_written_and_never_passed_on() {
        let sent = request(None, &[(USER_KEYS[0], "ann")]);
        for key in [
            "impala.doas.user",
            "Impala.DoAs.User",
            "hive.server2.proxy.user",
            "HIVE.SERVER2.PROXY.USER",
            "set:hiveconf:impala.doas.user",
            "Set:HiveConf:hive.server2.proxy.user",
            " impala.doas.user ",
        ] {
            let shown = for_ann(Family::Impala, &[(key, "bob")]);
            assert_eq!(shown, Ok((Some("bob".to_owned()), sent.clone())), "{key}");
        }
    }

    #[test]
    fn a_second_claim_and_an_empty_one_are_refused() {
        let twice = [("impala.doas.user", "ann"), ("IMPALA.doas.user", "root")];
        assert_eq!(for_ann(Family::Impala, &twice), Err(BadOpen::TwoUsers));
        let both = [("impala.doas.user", "ann"), ("hive.server2.proxy.user", "ann")];
        assert_eq!(for_ann(Family::Hive, &both), Err(BadOpen::TwoUsers));
        assert_eq!(for_ann(Family::Impala, &[("impala.doas.user", "")]), Err(BadOpen::NoUser));
        assert_eq!(ForUser::read(b"x"), Err(BadOpen::Malformed));
    }

    #[test]
    fn the_reply_will_have_the_clients_sequence_id() {
        let open = ForUser { open: Open::default(), claimed: None };
        let written = open.write(Family::Impala, "ann", 0x0102_0304);
        assert_eq!(written.get(4 + 4 + NAME.len()..).unwrap()[..4], [1, 2, 3, 4]);
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
