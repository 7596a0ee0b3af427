//! Where the router listens and where coordinators are: any subset of their services, in any notation.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use hs2router::control::config::Config;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Settings};
use serde_json::Value;

use crate::admin::ask_at;
use crate::support::router::{TestRouter, eventually};

/// The config's first problem.
fn problem(text: &str) -> String {
    let error = Config::parse("test", text).expect_err("nothing is wrong with it");
    error.to_string().lines().next().unwrap().to_owned()
}

fn coordinators(router: &TestRouter) -> Vec<Value> {
    let (status, body) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

#[test]
fn the_api_shows_an_ipv6_address_in_brackets() {
    let router = TestRouter::start(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[cluster]]\ncoordinators = [\"[::1]:13905\"]\n",
    );
    assert_eq!(coordinators(&router)[0]["ports"][0]["address"], "[::1]:13905");
}

#[test]
fn a_problem_shows_an_ipv6_address_in_brackets() {
    let said = problem(
        "[[cluster]]\ncoordinators = [{ name = \"a\", host = \"::1\" }, { name = \"b\", host = \"::1\" }]\n",
    );
    assert!(said.contains("\"[::1]:21050\" is used twice"), "{said}");
}

#[test]
fn a_port_of_the_router_that_clashes_with_another_is_found_before_it_is_bound() {
    let cluster = "[[cluster]]\ncoordinators = [\"a\"]\n";
    let listeners = |addresses: &[&str]| {
        let one = |address: &&str| format!("[[listener]]\naddress = \"{address}\"\n");
        addresses.iter().map(one).collect::<String>()
    };
    for (text, says) in [
        // The listeners that there are when none is written.
        ("[admin]\naddress = \"127.0.0.1:21050\"\n".to_owned(), "a listener has 0.0.0.0:21050 already"),
        (
            format!("[admin]\naddress = \"127.0.0.1:5\"\n{}", listeners(&["[::ffff:127.0.0.1]:5"])),
            "a listener has 127.0.0.1:5 already",
        ),
        (format!("[admin]\naddress = \"[::1]:5\"\n{}", listeners(&["*:5"])), "a listener has *:5 already"),
        (listeners(&["10.0.0.1:5", "[::ffff:10.0.0.1]:5"]), "\"10.0.0.1:5\" is used twice"),
        (listeners(&["[::]:5", "[0::0]:5"]), "\"[::]:5\" is used twice"),
        (listeners(&["*:5", "10.0.0.1:5"]), "10.0.0.1:5 overlaps with the listener on *:5"),
        (listeners(&["[2001:db8::1]:5", "*:5"]), "*:5 overlaps with the listener on [2001:db8::1]:5"),
    ] {
        let said = problem(&format!("{text}{cluster}"));
        assert!(said.contains(says), "{text}: {said}");
    }
    for fine in [&["0.0.0.0:5", "[::]:5"][..], &["10.0.0.1:5", "[::]:5"], &["*:0", "*:0"]] {
        let text = format!("{}{cluster}", listeners(fine));
        assert!(Config::parse("test", &text).is_ok(), "{fine:?}");
    }
}

#[test]
fn a_coordinator_may_have_any_of_the_services() {
    for (flavor, ports) in [
        ("hive", "hs2 = 0, hs2_http = 10001"),
        ("spark", "hs2 = 0, hs2_http = 10001"),
        ("spark", "hs2 = 10009"),
        ("impala", "hs2 = 0, hs2_http = 0"),
        ("impala", "hs2 = 0, beeswax = 0"),
    ] {
        let text =
            format!("[[cluster]]\nflavor = \"{flavor}\"\ncoordinators = [{{ host = \"a\", {ports} }}]\n");
        if let Err(error) = Config::parse("test", &text) {
            panic!("{flavor}, {ports}: {error}");
        }
    }
    let none = "[[cluster]]\ncoordinators = [{ host = \"a\", hs2 = 0, beeswax = 0, hs2_http = 0 }]\n";
    assert!(problem(none).contains("has none of the services"), "{}", problem(none));
}

#[test]
fn two_coordinators_may_be_on_one_host_with_different_ports() {
    for flavor in ["hive", "spark"] {
        let text = |second: u16| {
            format!(
                "[[cluster]]\nflavor = \"{flavor}\"\ncoordinators = [{{ name = \"a\", host = \"h\" }}, \
                 {{ name = \"b\", host = \"h\", hs2 = {second} }}]\n"
            )
        };
        if let Err(error) = Config::parse("test", &text(10010)) {
            panic!("{error}");
        }
        assert!(problem(&text(10000)).contains("\"h:10000\" is used twice"));
    }
}

#[test]
fn a_cluster_that_has_hs2_over_http_only_is_served_watched_and_shown() {
    let coordinator = Coordinator::start(Settings { name: "c1".to_owned(), ..Settings::default() }).unwrap();
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[cluster]]\nflavor = \"hive\"\n\
         probe = {{ interval = \"100ms\", timeout = \"100ms\", fall = 1 }}\n\
         coordinators = [{{ host = \"127.0.0.1\", hs2 = 0, hs2_http = {}, web = 0 }}]\n",
        coordinator.hs2_http().port()
    ));
    let mut client = TcpStream::connect(router.listener(0)).unwrap();
    client.write_all(b"POST /cliservice HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    // HTTP is passed on, and this is what the simulated coordinator says.
    assert_eq!(&answer, b"HTTP/1.1 501");

    let passed = "hs2router_probes_total{cluster=\"hive\",coordinator=\"127.0.0.1\",outcome=\"passed\"}";
    assert!(eventually(|| router.metric(passed) > 1.0), "the one port that there is is probed");
    let shown = &coordinators(&router)[0]["ports"];
    assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
    assert_eq!((&shown[0]["service"], &shown[0]["health"]), (&"hs2-http".into(), &"healthy".into()));
    let failed = "hs2router_probes_total{cluster=\"hive\",coordinator=\"127.0.0.1\",outcome=\"failed\"}";
    assert!(router.metric(failed) < 1.0);

    // Whoever speaks binary Thrift came to the wrong place, and is told so at once.
    let mut binary = Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap();
    let refused = format!("{:?}", binary.open(&[]).unwrap_err());
    assert!(refused.contains("none of them has a port for hs2"), "{refused}");
}

#[test]
fn a_wildcard_stands_for_the_addresses_of_its_family() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // A machine without IPv6 has nothing to listen on.
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"[::]:{port}\"\n[[cluster]]\ncoordinators = [\"a:1\"]\n"
    ));
    assert_eq!(router.listener(0), SocketAddr::from(([0; 16], port)));
}
