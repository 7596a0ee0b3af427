//! Headers of both versions, whole and in part, against `ppp`, which writes and reads them too.

use ppp::v2::{Builder, Command, Protocol, Type, Version};
use proptest::prelude::*;

use super::*;

/// The address of a client, and where it connected to.
const FROM: &str = "192.0.2.7:40000";
const TO: &str = "198.51.100.1:21050";
const FROM_V6: &str = "[2001:db8::7]:40000";
const TO_V6: &str = "[2001:db8::1]:21050";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn client(text: &str) -> Source {
    Source::Client(address(text))
}

/// A header of version 2 as another implementation writes it, with a TLV of so many bytes.
fn version_2(command: Command, from: &str, to: &str, tlv: usize) -> Vec<u8> {
    let addresses = (address(from), address(to));
    let builder = Builder::with_addresses(Version::Two | command, Protocol::Stream, addresses);
    builder.write_tlv(Type::NoOp, vec![7; tlv].as_slice()).unwrap().build().unwrap()
}

/// A header of version 2 with these bytes behind the signature.
fn raw(rest: &[u8]) -> Vec<u8> {
    [SIGNATURE, rest].concat()
}

/// One of each kind, with what it says.
fn known() -> Vec<(Vec<u8>, Source)> {
    let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let unknown = line(&format!("UNKNOWN {longest} {longest} 65535 65535"));
    assert_eq!(unknown.len(), LONGEST_LINE);
    let unix = [&[0x21, 0x31, 0, 216][..], &[b'/'; 216]].concat();
    vec![
        (line("TCP4 192.0.2.7 198.51.100.1 40000 21050"), client(FROM)),
        (line("TCP6 2001:db8::7 2001:db8::1 40000 21050"), client(FROM_V6)),
        (line("TCP6 ::ffff:192.0.2.7 ::1 40000 0"), client(FROM)),
        (line("UNKNOWN"), Source::Sender),
        (line("UNKNOWN whatever it may be"), Source::Sender),
        (unknown, Source::Sender),
        (version_2(Command::Proxy, FROM, TO, 0), client(FROM)),
        (version_2(Command::Proxy, FROM_V6, TO_V6, 300), client(FROM_V6)),
        (version_2(Command::Local, FROM, TO, 0), Source::Sender),
        (raw(&[0x20, 0, 0, 0]), Source::Sender),
        (raw(&[0x21, 0, 0, 0]), Source::Sender),
        (raw(&[0x21, 0, 0, 2, 1, 2]), Source::Sender),
        (raw(&unix), Source::Sender),
        // Datagrams.
        (raw(&[0x21, 0x12, 0, 12, 192, 0, 2, 7, 1, 1, 1, 1, 1, 1, 1, 1]), Source::Sender),
    ]
}

#[test]
fn each_kind_of_header_tells_whose_connection_it_is_and_where_it_ends() {
    for (bytes, source) in known() {
        let followed = [bytes.as_slice(), b"\x80\x01\x00\x01\r\n"].concat();
        for bytes in [&bytes, &followed] {
            assert_eq!(parse(bytes), Ok(Some(Header { len: followed.len() - 6, source })), "{bytes:x?}");
        }
    }
}

#[test]
fn every_prefix_waits_or_agrees() {
    for (bytes, _) in known() {
        for end in 0..bytes.len() {
            let seen = parse(&bytes[..end]);
            assert!(seen == Ok(None) || seen == parse(&bytes), "{end}: {bytes:x?}");
        }
        assert_eq!(parse(&bytes[..LINE.len().min(11)]), Ok(None));
    }
}

#[test]
fn a_header_is_known_before_its_tlvs_have_come() {
    const ADDRESSES: usize = 12;
    let longest = raw(&[&[0x21, 0x11, 0xff, 0xff, 192, 0, 2, 7][..], &[0; 8]].concat());
    assert_eq!(longest.len(), FIXED + ADDRESSES);
    assert_eq!(parse(&longest[..FIXED + ADDRESSES - 1]), Ok(None));
    let header = Header { len: FIXED + 0xffff, source: client("192.0.2.7:0") };
    assert_eq!(parse(&longest), Ok(Some(header)));
    // Of what nobody reads, not a byte is waited for.
    let local = raw(&[0x20, 0x11, 0xff, 0xff]);
    assert_eq!(parse(&local), Ok(Some(Header { len: FIXED + 0xffff, source: Source::Sender })));
}

#[test]
fn what_is_no_header_is_refused_with_the_reason() {
    let too_long = [b"PROXY UNKNOWN ".as_slice(), &[b' '; 100]].concat();
    for (bytes, error) in [
        (b"GET / HTTP/1.1\r\n".to_vec(), ProxyError::NotAHeader),
        (b"PROXX".to_vec(), ProxyError::NotAHeader),
        (b"proxy ".to_vec(), ProxyError::NotAHeader),
        (b"\r\n\r\n\0\r\nQUIZ".to_vec(), ProxyError::NotAHeader),
        (b"\x16".to_vec(), ProxyError::NotAHeader),
        (too_long, ProxyError::NoLineEnd),
        (raw(&[0x11, 0x11, 0, 12]), ProxyError::Version(1)),
        (raw(&[0x31, 0x11, 0, 12]), ProxyError::Version(3)),
        (raw(&[0x22, 0x11, 0, 12]), ProxyError::Command(2)),
        (raw(&[0x21, 0x41, 0, 12]), ProxyError::Family(0x41)),
        (raw(&[0x21, 0x13, 0, 12]), ProxyError::Family(0x13)),
        (raw(&[0x21, 0x11, 0, 11]), ProxyError::Length(11)),
        (raw(&[0x21, 0x21, 0, 35]), ProxyError::Length(35)),
    ] {
        assert_eq!(parse(&bytes), Err(error), "{bytes:x?}");
    }
}

#[test]
fn a_line_that_is_not_exactly_as_the_protocol_has_it_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000 21050\n",
        "PROXY UNKNOWN\n",
        "PROXY \r\n",
        "PROXY  UNKNOWN\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP5 192.0.2.7 198.51.100.1 40000 21050\r\n",
        "PROXY TCP4 192.0.2.7  198.51.100.1 40000 21050\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000 21050 \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000 21050 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 21050\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +4000 21050\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 04000 21050\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 40000 21050\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 40000 21050\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 40000 21050\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::1 40000 21050\r\n",
        "PROXY TCP4 a.example.com 198.51.100.1 40000 21050\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(ProxyError::BadLine), "{line:?}");
    }
}

/// Headers with some bytes changed, and arbitrary bytes, which are nearly always refused at once.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let changed = (prop::sample::select(known()), edits).prop_map(|((mut bytes, _), edits)| {
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..40), 5 => changed]
}

/// Addresses of one family, as a line has them.
fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(from, to)| (IpAddr::from(from), IpAddr::from(to)));
    let v6 = any::<([u8; 16], [u8; 16])>().prop_map(|(from, to)| (IpAddr::from(from), IpAddr::from(to)));
    (prop_oneof![v4, v6], any::<(u16, u16)>())
        .prop_map(|((from, to), ports)| (SocketAddr::new(from, ports.0), SocketAddr::new(to, ports.1)))
}

proptest! {
    #[test]
    fn more_bytes_never_change_an_answer(bytes in inputs()) {
        let whole = parse(&bytes);
        for end in 0..bytes.len() {
            let seen = parse(&bytes[..end]);
            prop_assert!(seen == Ok(None) || seen == whole, "{} of {:x?}: {:?}, {:?}", end, bytes, seen, whole);
        }
        if let Ok(Some(header)) = whole {
            prop_assert!(header.len <= FIXED + 0xffff);
        }
    }

    #[test]
    fn what_another_implementation_writes_is_understood((from, to) in addresses(), tlv in 0..2000_usize) {
        let source = Source::Client(SocketAddr::new(from.ip().to_canonical(), from.port()));
        let line = ppp::v1::Addresses::from((from, to)).to_string();
        prop_assert_eq!(parse(line.as_bytes()), Ok(Some(Header { len: line.len(), source })));
        let binary = version_2(Command::Proxy, &from.to_string(), &to.to_string(), tlv);
        prop_assert_eq!(parse(&binary), Ok(Some(Header { len: binary.len(), source })));
    }

    #[test]
    fn whatever_is_understood_another_implementation_understands_alike(bytes in inputs()) {
        let Ok(Some(header)) = parse(&bytes) else { return Ok(()) };
        let Some(whole) = bytes.get(..header.len) else { return Ok(()) };
        let Source::Client(client) = header.source else { return Ok(()) };
        let theirs: Option<SocketAddr> = match ppp::HeaderResult::parse(whole) {
            ppp::HeaderResult::V1(line) => match line.unwrap().addresses {
                ppp::v1::Addresses::Tcp4(one) => Some((one.source_address, one.source_port).into()),
                ppp::v1::Addresses::Tcp6(one) => Some((one.source_address, one.source_port).into()),
                ppp::v1::Addresses::Unknown => None,
            },
            ppp::HeaderResult::V2(binary) => match binary.unwrap().addresses {
                ppp::v2::Addresses::IPv4(one) => Some((one.source_address, one.source_port).into()),
                ppp::v2::Addresses::IPv6(one) => Some((one.source_address, one.source_port).into()),
                _ => None,
            },
        };
        let theirs = theirs.map(|one| SocketAddr::new(one.ip().to_canonical(), one.port()));
        prop_assert_eq!(theirs, Some(client));
    }
}
