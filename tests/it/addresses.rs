//! Where the router listens and where coordinators are: any subset of their services, in any notation.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hs2router::control::config::Config;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Settings};
use hs2router::net::host::Resolver;
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
        ("[admin]\naddress = \"127.0.0.1:21050\"\n".to_owned(), "a listener already uses 0.0.0.0:21050"),
        (
            format!("[admin]\naddress = \"127.0.0.1:5\"\n{}", listeners(&["[::ffff:127.0.0.1]:5"])),
            "a listener already uses 127.0.0.1:5",
        ),
        (format!("[admin]\naddress = \"[::1]:5\"\n{}", listeners(&["*:5"])), "a listener already uses *:5"),
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
        let unnamed = format!(
            "[[cluster]]\nflavor = \"{flavor}\"\ncoordinators = [{{ host = \"h\" }}, {{ host = \"h\", hs2 = 10010 }}, \"i\"]\n"
        );
        let config = Config::parse("test", &unnamed).unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<_> = config.clusters[0].coordinators.iter().map(|one| one.name.to_string()).collect();
        assert_eq!(names, ["h:10000", "h:10010", "i"]);
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
    let mut client = Hs2Client::connect(router.listener(0), &Login::http()).unwrap();
    let session = client.open(&[]).unwrap();
    assert_eq!(client.query(&session, "select coordinator()").unwrap(), [["c1"]]);

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

/// Two coordinators that have the same ports on different hosts, for which one name stands.
struct Twins {
    coordinators: Vec<Coordinator>,
    router: TestRouter,
}

impl Twins {
    const HOSTS: [[u8; 4]; 2] = [[127, 0, 0, 2], [127, 0, 0, 3]];

    fn start(cluster: &str) -> Self {
        Self::beside(cluster, "")
    }

    /// With more coordinators in the list.
    fn beside(cluster: &str, others: &str) -> Self {
        let coordinators = loop {
            let Ok(first) = Coordinator::start(Self::settings(0, None)) else { continue };
            // Another test may have one of the ports there.
            if let Ok(second) = Coordinator::start(Self::settings(1, Some(&first))) {
                break vec![first, second];
            }
        };
        let one = &coordinators[0];
        let config = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[[cluster]]\nname = \"test\"\n{cluster}\n\
             coordinators = [{{ host = \"coordinator\", hs2 = {}, beeswax = 0, hs2_http = 0, web = {} }}{others}]\n",
            one.hs2().port(),
            one.web().port()
        );
        let turn = AtomicUsize::new(0);
        let resolver = Resolver::Given(Arc::new(move |name| {
            assert_eq!(name, "coordinator");
            let mut addresses = Self::HOSTS.map(IpAddr::from);
            addresses.rotate_left(turn.fetch_add(1, Ordering::Relaxed) % 2);
            Ok(addresses.into())
        }));
        Self { router: TestRouter::resolving(&config, resolver), coordinators }
    }

    fn settings(place: usize, twin: Option<&Coordinator>) -> Settings {
        let port = |of: fn(&Coordinator) -> SocketAddr| twin.map_or(0, |twin| of(twin).port());
        Settings {
            name: format!("twin{place}"),
            host: Self::HOSTS[place].into(),
            hs2_port: port(Coordinator::hs2),
            beeswax_port: port(Coordinator::beeswax),
            hs2_http_port: port(Coordinator::hs2_http),
            web_port: port(Coordinator::web),
            ..Settings::default()
        }
    }

    fn client(&self) -> Hs2Client {
        Hs2Client::connect(self.router.listener(0), &Login::NoSasl).unwrap()
    }

    /// How many sessions the router counts on each coordinator.
    fn counted(&self) -> Vec<u32> {
        let coordinators = &self.router.router().fleets()[0].cluster.coordinators();
        coordinators.iter().map(|one| one.load().open_sessions).collect()
    }

    /// How many sessions each of the two has; one of them may be a probe's.
    fn sessions(&self) -> Vec<usize> {
        self.coordinators.iter().map(|one| one.open_sessions().len()).collect()
    }
}

const OFTEN: &str = "probe = { interval = \"100ms\", timeout = \"100ms\" }\nload = { interval = \"100ms\" }";

#[test]
fn a_name_of_two_hosts_is_one_coordinator_whose_calls_all_reach_it() {
    for links in ["share_links = true", "share_links = false", "flavor = \"hive\""] {
        let twins = Twins::start(&format!("{links}\n{OFTEN}"));
        let mut sessions = Vec::new();
        for _ in 0..10 {
            let mut client = twins.client();
            for _ in 0..2 {
                let session = client.open(&[]).unwrap();
                sessions.push(session);
            }
            if links.contains("hive") {
                // There a session ends with the connection that opened it.
                for session in sessions.drain(..) {
                    drop(client.execute(&session, "select * from rows(10)").unwrap());
                }
            }
        }
        // Each on a connection that has not seen the session.
        for session in &sessions {
            let mut client = twins.client();
            for _ in 0..5 {
                let operation = client.execute(session, "select * from rows(10)").unwrap();
                client.close(&operation).unwrap();
            }
        }
        let of_each = twins.sessions();
        assert!(of_each.contains(&0), "{links}: sessions are on both: {of_each:?}");
        let warned = || twins.router.logs().text().contains("stands for several hosts");
        assert!(eventually(warned), "{links}: nothing warns");
    }
}

#[test]
fn sessions_of_a_host_that_is_lost_go_on_elsewhere_and_new_ones_come_to_the_other_of_its_name() {
    let spare = Coordinator::start(Settings { name: "spare".to_owned(), ..Settings::default() }).unwrap();
    let mut twins = Twins::beside(
        &format!("{OFTEN}\nslow_start = \"0s\""),
        &format!(
            ", {{ name = \"spare\", host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = {} }}",
            spare.hs2().port(),
            spare.web().port()
        ),
    );
    let mut client = twins.client();
    let sessions: Vec<_> = (0..4).map(|_| client.open(&[]).unwrap()).collect();
    assert_eq!(twins.counted(), [2, 2]);
    let owner =
        twins.sessions().iter().position(|sessions| *sessions >= 2).expect("they are on one of the two");
    drop(twins.coordinators.remove(owner));
    let reached = || twins.router.logs().text().contains("its name now leads to another address");
    assert!(eventually(reached), "{}", twins.router.logs().text());
    for session in &sessions {
        let operation = client.execute(session, "select * from rows(10)").unwrap();
        client.close(&operation).unwrap();
    }
    assert_eq!(twins.counted(), [0, 4]);
    assert!(client.open(&[]).is_ok());
    assert_eq!(twins.counted(), [1, 4]);
    assert!(twins.sessions()[0] >= 1, "the other of the two has it");
    // And there it stays: the name still stands for both.
    let again = || twins.router.logs().text().matches("its name now leads to another address").count();
    assert_eq!(again(), 1);
}
