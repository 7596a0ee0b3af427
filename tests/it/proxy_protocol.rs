//! Balancers in front of the router say whose connection they pass on. They alone are believed.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hs2router::fake::sasl::{COMPLETE, Framing, OK, START, negotiation};
use serde_json::Value;

use super::admin::{ALLOWED, ask_at};
use super::support::elsewhere::{ELSEWHERE, connect_from};
use super::support::haproxy::Haproxy;
use super::support::message::open_session;
use super::support::router::{SELDOM, TestRouter, eventually};
use super::support::script::Script;
use super::support::talk::Talk;
use super::support::tools::{self, Tool};

/// A client as headers announce it.
const CLIENT: &str = "192.0.2.7:40000";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 21050\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What no coordinator's protocol begins with.
const UNKNOWN: &[u8] = b"\0\x10\0\0unknown bytes";

/// A header of version 2 with this command and family, these addresses and as many bytes of TLVs.
fn binary(command: u8, family: u8, addresses: &[u8], tlvs: usize) -> Vec<u8> {
    let len = u16::try_from(addresses.len() + tlvs).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &len, addresses, &vec![4; tlvs]].concat()
}

/// The same client in version 2.
fn of_client(tlvs: usize) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0x52, 0x3a];
    binary(0x21, 0x11, &addresses, tlvs)
}

/// A router that believes connections from [`ELSEWHERE`], in front of one coordinator.
fn router(coordinator: &Script, listener: &str, router: &str) -> TestRouter {
    TestRouter::start(&format!(
        "[router]\n{router}\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         proxy_protocol_from = [\"192.0.2.0/24\", \"{ELSEWHERE}\"]\n{listener}\n\
         [[cluster]]\nname = \"test\"\n{SELDOM}\nshare_links = false\nservice_threads = 0\n\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = 0 }}]\n",
        coordinator.address().port()
    ))
}

fn balancer(router: &TestRouter) -> Talk {
    connect_from(ELSEWHERE, router.listener(0))
}

/// Waits for a line of the log that has all of these.
#[track_caller]
fn await_line(router: &TestRouter, words: &[&str]) {
    let is_one = |line: &str| words.iter().all(|words| line.contains(words));
    let found = eventually(|| router.logs().text().lines().any(is_one));
    assert!(found, "{words:?} is not in the log:\n{}", router.logs().text());
}

/// Waits for the warning about a connection that ended.
#[track_caller]
fn await_warning(router: &TestRouter, cause: &str, words: &[&str]) {
    router.await_metric(&format!("hs2router_connections_closed_total{{cause=\"{cause}\"}}"), 1.0);
    await_line(router, &[&[" WARN ", "connection ended"], words].concat());
}

#[test]
fn the_client_of_each_kind_of_header_is_the_one_in_the_log() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "", "");
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 27], &[1, 0x9c, 0x40, 0x52, 0x3a]].concat();
    for (header, client) in [
        (LINE.to_vec(), Some(CLIENT)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 21050\r\n".to_vec(), Some("[2001:db8::7]:40000")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
        (of_client(0), Some(CLIENT)),
        (binary(0x21, 0x21, &v6, 7), Some("[2001:db8::]:40000")),
        (binary(0x20, 0x11, &[1; 12], 0), None),
        (binary(0x20, 0, &[], 0), None),
        (binary(0x21, 0, &[], 3), None),
        (binary(0x21, 0x31, &[b'/'; 216], 0), None),
    ] {
        let mut talk = balancer(&router);
        let via = talk.address().to_string();
        // In one segment.
        talk.send(&[header, open_session().encode()].concat());
        assert_eq!(talk.hear().unwrap().status(), Some(0));
        let client = format!("client={} ", client.unwrap_or(&via));
        await_line(&router, &["connection{", &client, &format!("via={via} ")]);
    }
}

#[test]
fn operators_see_the_client_beside_the_balancer_and_can_cut_a_connection_whose_header_never_comes() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "", "");
    let ask = |request: &str| ask_at(router.router().admin(), request, ALLOWED).1;
    let shown = |talk: &Talk| {
        let mut row = Value::Null;
        assert!(eventually(|| {
            let listed = ask(&format!("GET /api/v1/connections?filter={}", talk.address()));
            row = serde_json::from_str::<Value>(&listed).unwrap()["connections"][0].clone();
            !row.is_null()
        }));
        row
    };
    let (mut told, mut silent) = (balancer(&router), balancer(&router));
    told.send(LINE);
    told.open();
    let (row, other) = (shown(&told), shown(&silent));
    assert_eq!((&row["client"], &row["via"]), (&CLIENT.into(), &told.address().to_string().into()), "{row}");
    assert_eq!((&other["client"], &other["via"]), (&Value::Null, &silent.address().to_string().into()));
    let connection = other["connection"].as_str().unwrap();
    let done = ask(&format!("POST /api/v1/connections/{connection}/cut"));
    assert!(done.contains(r#""outcome":"cut""#), "{done}");
    assert_eq!(silent.rest(), b"");
    told.open();
}

#[test]
fn a_header_comes_before_every_protocol_and_in_any_pieces() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "", "");
    for header in [LINE.to_vec(), of_client(30)] {
        let byte_by_byte = |talk: &mut Talk, bytes: &[u8]| bytes.chunks(1).for_each(|byte| talk.send(byte));
        let mut talk = balancer(&router);
        byte_by_byte(&mut talk, &[header.as_slice(), &open_session().encode()].concat());
        assert_eq!(talk.hear().unwrap().status(), Some(0));
        talk.open();
        let mut framed = Talk::over(balancer(&router).stream, Framing::Frames);
        let first = framed.wrap(&open_session().encode());
        framed.send(&[header.as_slice(), &first].concat());
        assert_eq!(framed.hear().unwrap().status(), Some(0));
        let mut login = balancer(&router);
        let plain = [negotiation(START, b"PLAIN"), negotiation(OK, b"\0u1\0p1")].concat();
        byte_by_byte(&mut login, &[header, plain].concat());
        assert_eq!(login.sasl_message().unwrap().0, COMPLETE);
        login.frames();
        login.open();
    }
}

#[test]
fn tlvs_of_64_kib_are_passed_over() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "", "");
    let header = of_client(usize::from(u16::MAX) - 12);
    assert_eq!(header.len(), 16 + 0xffff);
    for pieces in [header.len(), 1000] {
        let mut talk = balancer(&router);
        header.chunks(pieces).for_each(|piece| talk.send(piece));
        talk.open();
    }
    await_line(&router, &[&format!("client={CLIENT} ")]);
}

#[test]
fn the_coordinator_never_sees_a_header() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&seen);
    let coordinator = Script::raw(move |mut stream, _| {
        let mut all = Vec::new();
        let _ended = stream.read_to_end(&mut all);
        heard.lock().unwrap().push(all);
        let _told = stream.write_all(b"answer");
    });
    let router = router(&coordinator, "", "");
    for header in [LINE.to_vec(), of_client(100)] {
        let mut talk = balancer(&router);
        talk.send(&header);
        talk.send(UNKNOWN);
        talk.finish();
        assert_eq!(talk.rest(), b"answer");
    }
    assert_eq!(*seen.lock().unwrap(), [UNKNOWN; 2]);
}

#[test]
fn a_balancer_that_sends_no_header_is_hung_up_on_with_the_reason() {
    let coordinator = Script::sound();
    let said = "it came from a network in proxy_protocol_from, but";
    for (bytes, words) in [
        (
            open_session().encode(),
            "it began with a Thrift message without a frame and not with a PROXY header",
        ),
        (b"\x16\x03\x01\x02\0\x01".to_vec(), "it began with a TLS handshake and not with a PROXY header"),
        (b"PROXY TCP4 192.0.2.7\r\n".to_vec(), "it began with a malformed PROXY line"),
        (binary(0x21, 0x11, &[1; 3], 0), "a PROXY header whose length, 3, has no room for its addresses"),
        ([LINE, LINE].concat(), "a second PROXY header followed the first"),
    ] {
        let router = router(&coordinator, "", "");
        let mut talk = balancer(&router);
        talk.send(&bytes);
        assert_eq!(talk.rest(), b"");
        await_warning(&router, "bad_proxy_header", &[said, words]);
    }
    assert_eq!(coordinator.accepted(), 0);
}

#[test]
fn half_a_header_has_an_end() {
    let coordinator = Script::sound();
    for (header, left) in [(LINE.to_vec(), 1), (of_client(0), 1), (of_client(60_000), 1)] {
        let half = &header[..header.len() - left];
        let router = router(&coordinator, "", "handshake_timeout = \"300ms\"");
        let mut talk = balancer(&router);
        talk.send(half);
        assert_eq!(talk.rest(), b"");
        await_warning(
            &router,
            "bad_proxy_header",
            &["its PROXY header was not there within handshake_timeout"],
        );
        let router = self::router(&coordinator, "", "");
        let mut talk = balancer(&router);
        talk.send(half);
        talk.finish();
        assert_eq!(talk.rest(), b"");
        await_warning(&router, "bad_proxy_header", &["closed in the middle of its PROXY header"]);
    }
    assert_eq!(coordinator.accepted(), 0);
}

#[test]
fn a_health_check_that_only_connects_is_nothing_to_warn_of() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "", "");
    drop(balancer(&router));
    router.await_metric("hs2router_connections_closed_total{cause=\"client_closed\"}", 1.0);
    balancer(&router).reset();
    router.await_metric("hs2router_connections_closed_total{cause=\"client_reset\"}", 1.0);
    let shown = router.logs().shown();
    assert!(!shown.contains("connection ended"), "{shown}");
    assert_eq!(coordinator.accepted(), 0);
}

#[test]
fn a_connection_that_waits_for_its_header_holds_up_no_drain() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "", "drain_timeout = \"20s\"");
    let mut talk = balancer(&router);
    talk.send(&LINE[..20]);
    let open = format!("hs2router_connections_open{{listener=\"{}\"}}", router.listener(0));
    router.await_metric(&open, 1.0);
    assert_eq!(router.drain(), 0, "none had to be cut");
    assert_eq!(talk.rest(), b"");
}

#[test]
fn a_header_from_elsewhere_ends_the_connection_and_the_log_names_the_key() {
    for header in [LINE.to_vec(), of_client(0)] {
        let coordinator = Script::sound();
        let router = router(&coordinator, "", "");
        let mut talk = Talk::connect(router.listener(0));
        let client = format!("client={} ", talk.address());
        talk.send(&[header, open_session().encode()].concat());
        assert_eq!(talk.rest(), b"");
        let said = "a PROXY header, which is believed only from networks in proxy_protocol_from of the listener: add \
                    127.0.0.1 there";
        await_warning(&router, "unexpected_proxy_header", &[&client, said]);
        assert_eq!(coordinator.accepted(), 0);
        // Without one, it is an ordinary client.
        Talk::connect(router.listener(0)).open();
    }
}

#[test]
fn half_a_header_from_elsewhere_is_passed_on_to_nobody() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "", "detect_timeout = \"100ms\"");
    let mut talk = Talk::connect(router.listener(0));
    talk.send(&of_client(0)[..8]);
    assert_eq!(talk.rest(), b"");
    await_warning(&router, "unexpected_proxy_header", &["a PROXY header, which is believed only"]);
    assert_eq!(coordinator.accepted(), 0);
}

#[test]
fn limits_hold_for_the_client_and_not_for_the_balancer() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "maximum_connections_per_address = 1", "");
    let client = |number: u8| {
        let mut talk = balancer(&router);
        talk.send(format!("PROXY TCP4 192.0.2.{number} 198.51.100.1 40000 21050\r\n").as_bytes());
        talk
    };
    let (mut first, mut other) = (client(1), client(2));
    first.open();
    other.open();
    let (state, text) = client(1).call(&open_session()).error();
    assert_eq!(state, "08004", "{text}");
    // A client at that address itself counts beside them.
    let mut direct = Talk::connect(router.listener(0));
    direct.open();
}

#[test]
fn each_client_of_a_balancer_opens_connections_at_a_rate_of_its_own() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "new_connections_per_second = 1", "");
    let is_let_in = |number: u8| {
        let mut talk = balancer(&router);
        talk.send(format!("PROXY TCP4 192.0.2.{number} 198.51.100.1 40000 21050\r\n").as_bytes());
        talk.call(&open_session()).status() == Some(0)
    };
    assert!((1..=100).all(is_let_in), "of so many clients each comes for the first time");
    assert!(eventually(|| !is_let_in(1)), "one client may come as often as it likes");
}

/// Starts `HAProxy` in front of the router, with these words on the line of the server.
fn haproxy(router: &TestRouter, words: &str) -> Haproxy {
    Haproxy::start(router.listener(0), words)
}

#[test]
fn a_real_balancer_tells_the_client_in_both_versions() {
    if !tools::present(&[Tool::Haproxy]) {
        return;
    }
    let coordinator = Script::sound();
    for words in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let router = router(&coordinator, "", "");
        let haproxy = haproxy(&router, words);
        let mut talk = Talk::connect(haproxy.address());
        talk.open();
        let client: SocketAddr = talk.address();
        assert_eq!(client.ip(), Ipv4Addr::LOCALHOST);
        await_line(&router, &["session opened", &format!("client={client} "), &format!("via={ELSEWHERE}:")]);
        Talk::connect_sasl(haproxy.address()).open();
        let shown = router.logs().shown();
        assert!(!shown.contains(" WARN "), "{shown}");
    }
}

#[test]
fn the_checks_of_a_real_balancer_leave_no_warning() {
    if !tools::present(&[Tool::Haproxy]) {
        return;
    }
    let coordinator = Script::sound();
    // Without a header, a check is over before the kernel has the router accept it.
    for words in ["check inter 50ms send-proxy", "check inter 50ms send-proxy-v2"] {
        let router = router(&coordinator, "", "");
        let _haproxy = haproxy(&router, words);
        let closed =
            |cause| router.metric(&format!("hs2router_connections_closed_total{{cause=\"{cause}\"}}"));
        let checked = || closed("client_closed") + closed("client_reset") >= 3.0;
        assert!(eventually(checked), "{words}: {}", router.logs().text());
        let shown = router.logs().shown();
        assert!(!shown.contains(" WARN "), "{words}: {shown}");
    }
    assert_eq!(coordinator.accepted(), 0);
}
