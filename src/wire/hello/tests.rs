//! Hellos of a real TLS library, whole, in part and in several records, and what is nearly one.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName as Wanted;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// The hello that a client of this server sends.
fn hello_to(server: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let server = Wanted::try_from(server.to_owned()).unwrap();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), server).unwrap().write_tls(&mut hello).unwrap();
    hello
}

fn named(name: &str) -> ServerName {
    ServerName::Host(name.into())
}

/// The same message in records whose fragments have this length.
fn in_records(hello: &[u8], of: usize) -> Vec<u8> {
    let record = |fragment: &[u8]| {
        let len = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        [&[HANDSHAKE, 3, 1], &len[..], fragment].concat()
    };
    hello[RECORD_HEADER..].chunks(of).flat_map(record).collect()
}

/// A hello with these extensions and nothing else, in one record.
fn with_extensions(extensions: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let body =
        [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &len(extensions), extensions].concat();
    let message = [&[CLIENT_HELLO, 0], &len(&body)[..], &body].concat();
    [&[HANDSHAKE, 3, 1], &len(&message)[..], &message].concat()
}

/// The extension with one name.
fn extension(name: &[u8]) -> Vec<u8> {
    let [of_extension, of_list, of_name] =
        [5, 3, 0].map(|around| u16::try_from(name.len() + around).unwrap().to_be_bytes());
    [&[0, 0], &of_extension[..], &of_list, &[HOST_NAME], &of_name, name].concat()
}

#[test]
fn the_name_is_found_in_the_hello_of_a_real_client() {
    assert_eq!(server_name(&hello_to("impala-a.example.com")), named("impala-a.example.com"));
    assert_eq!(server_name(&hello_to("Impala-A.Example.COM")), named("impala-a.example.com"));
    // An address is never sent as a name (RFC 6066 §3).
    assert_eq!(server_name(&hello_to("192.0.2.1")), ServerName::None);
}

#[test]
fn every_prefix_waits_for_the_end_of_the_hello() {
    let hello = hello_to("a.example.com");
    for hello in [hello.clone(), in_records(&hello, 1), in_records(&hello, 7), in_records(&hello, 100)] {
        for end in 0..hello.len() {
            assert_eq!(server_name(&hello[..end]), ServerName::NeedMore, "{end} of {}", hello.len());
        }
        let followed = [&hello[..], b"\x14\x03\x03\x00\x01\x01"].concat();
        assert_eq!(server_name(&followed), named("a.example.com"));
    }
}

#[test]
fn a_name_is_compared_without_its_last_dot_and_must_be_one() {
    let found = |name: &[u8]| server_name(&with_extensions(&extension(name)));
    assert_eq!(found(b"A_1.example.com."), named("a_1.example.com"));
    assert_eq!(found(&[b'a'; 253]), named(&"a".repeat(253)));
    for name in [&b""[..], b".", b"a b", b"a\n", b"a/b", b"\xc3\xa4", &[b'a'; 254]] {
        assert_eq!(found(name), ServerName::None, "{name:x?}");
    }
}

#[test]
fn other_extensions_are_passed_over() {
    let other = [0, 16, 0, 3, 1, 2, 3];
    let found = |extensions: &[&[u8]]| server_name(&with_extensions(&extensions.concat()));
    assert_eq!(found(&[&other, &extension(b"a"), &other]), named("a"));
    assert_eq!(found(&[&other]), ServerName::None);
    assert_eq!(found(&[]), ServerName::None);
    // The list is cut short.
    assert_eq!(found(&[&[0, 0, 0, 2, 0, 9]]), ServerName::None);
}

#[test]
fn what_is_no_hello_has_no_name_and_is_not_waited_for() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x05\x02",
        b"\x16\x03\x01\x00\x01\x01\x15",
        // A hello of 16 MiB.
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff",
    ] {
        assert_eq!(server_name(bytes), ServerName::None, "{bytes:x?}");
    }
}

#[test]
fn a_hello_that_never_ends_is_given_up() {
    let hello = with_extensions(&[[0, 21, 0x30, 0].as_slice(), &[0; 0x3000]].concat());
    let long = in_records(&hello, 1);
    assert_eq!(server_name(&hello), ServerName::None);
    assert_eq!(server_name(&long[..LONGEST_HELLO - 1]), ServerName::NeedMore);
    assert_eq!(server_name(&long[..LONGEST_HELLO]), ServerName::None);
}

/// Hellos in records of some size with some bytes changed, and arbitrary bytes.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let changed = (1..300_usize, edits).prop_map(|(of, edits)| {
        let mut bytes = in_records(&hello_to("a.example.com"), of);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..60), 5 => changed]
}

proptest! {
    #[test]
    fn more_bytes_never_change_an_answer(
        bytes in inputs(),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let whole = server_name(&bytes);
        for end in ends {
            let seen = server_name(&bytes[..end.index(bytes.len() + 1)]);
            prop_assert!(seen == ServerName::NeedMore || seen == whole, "{:x?}: {:?}, {:?}", bytes, seen, whole);
        }
    }

    #[test]
    fn records_of_any_size_carry_the_same_name(
        name in "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){0,3}\\.com",
        of in 1..600_usize,
    ) {
        prop_assert_eq!(server_name(&in_records(&hello_to(&name), of)), named(&name));
    }
}
