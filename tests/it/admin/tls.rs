//! Operators see how clients and coordinators are reached with TLS, above all where nothing is verified, and
//! which certificates will not do for long.

use std::fs;
use std::net::TcpListener;

use hs2router::clock;
use hs2router::fake::client::Hs2Client;
use serde_json::{Value, json};

use super::{ask, coordinators};
use crate::support::certificates::{Authority, HERE};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::relay::Relay;
use crate::support::router::{SELDOM, TestRouter, eventually};

const DAY: f64 = 86_400.0;

/// What is shown of listeners or of clusters.
fn shown(router: &TestRouter, what: &str) -> Value {
    let (status, body) = ask(router, &format!("GET /api/v1/{what}"), "");
    assert_eq!(status, 200, "{body}");
    assert!(!body.contains("PRIVATE KEY"), "{body}");
    serde_json::from_str(&body).unwrap()
}

/// A router whose coordinators are not there, with these keys of its listener and of its cluster.
fn alone(listener: &str, cluster: &str) -> TestRouter {
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n[[cluster]]\nname = \"test\"\n{SELDOM}\n\
         coordinators = [\"one.invalid\"]\n{cluster}\n"
    ))
}

#[test]
fn what_is_demanded_of_a_coordinators_certificate_is_shown() {
    let ports = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, two] = ports.each_ref().map(|port| port.local_addr().unwrap().port());
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nname = \"test\"\n{SELDOM}\n\
         coordinators = [\n\
         {{ name = \"c1\", host = \"127.0.0.1\", hs2 = {one}, beeswax = 0, hs2_http = 0, web = 0, \
         server_name = \"impala.example.com\" }},\n\
         {{ name = \"c2\", host = \"127.0.0.1\", hs2 = {two}, beeswax = 0, hs2_http = 0, web = 0, tls = false }},\n\
         ]\n[cluster.tls]\nverify = \"none\"\n"
    ));
    let listed = coordinators(&router);
    assert_eq!(listed[0]["tls"], json!({ "verify": "none", "server_name": "impala.example.com" }));
    assert_eq!(listed[1]["tls"], json!(null));
    let tls = &shown(&router, "clusters")[0]["tls"];
    assert_eq!((&tls["verify"], &tls["trusts"]), (&"none".into(), &Value::Null));
}

#[test]
fn a_listener_shows_its_certificates_and_what_became_of_its_clients() {
    let authority = Authority::new();
    let (here, other) = (authority.issue("here", &HERE), authority.issue_expired("old", &["old.test"]));
    let keys = format!(
        "tls = {{ pairs = [{{ {} }}, {{ {} }}], required = false, minimum_version = \"1.3\", client_ca = \"{}\", \
         client_auth = \"optional\" }}",
        here.keys(),
        other.keys(),
        authority.ca().display()
    );
    let fleet = Fleet::with(Plan { coordinators: 1, listener: &keys, ..Plan::default() });
    let relay = Relay::beginning_tls(fleet.address(Door::Hs2), authority.client_config(), "localhost");
    let mut clients = vec![fleet.hs2(), fleet.hs2()];
    clients.push(Hs2Client::connect(relay.address(), fleet.login()).unwrap());
    for client in &mut clients {
        client.open(&[]).unwrap();
    }
    clients.remove(0);
    assert!(eventually(|| shown(fleet.router(), "listeners")[0]["connections"]["open"] == 2));
    let listeners = shown(fleet.router(), "listeners");
    let listener = &listeners[0];
    assert_eq!(listener["address"], fleet.address(Door::Hs2).to_string());
    assert_eq!((&listener["cluster"], &listener["service"]), (&"test".into(), &"hs2".into()));
    let connections = json!({ "open": 2, "clear": 2, "terminated": 1, "passed_through": 0 });
    assert_eq!(listener["connections"], connections);
    let tls = &listener["tls"];
    let demands = [&tls["required"], &tls["minimum_version"], &tls["client_auth"]];
    assert_eq!(demands, [&json!(false), &json!("1.3"), &json!("optional")]);
    let [first, second] = &tls["certificates"].as_array().unwrap()[..] else { panic!("{tls}") };
    assert_eq!((&first["names"], &first["default"]), (&json!(HERE), &true.into()));
    assert_eq!((&second["names"], &second["default"]), (&json!(["old.test"]), &false.into()));
    let standing = [first, second].map(|one| (one["standing"].clone(), one["expires_in"].as_f64().unwrap()));
    assert!(standing[0].0 == "valid" && standing[0].1 > 30.0 * DAY, "{standing:?}");
    // It ended in the February of 2020.
    assert!(standing[1].0 == "expired" && standing[1].1 < -2000.0 * DAY, "{standing:?}");
    assert!(tls["files"]["since"].as_f64().unwrap() < 60.0);
    assert_eq!(listeners[1]["connections"]["open"], 0, "the other listeners' are their own");
}

#[test]
fn without_a_name_in_common_strict_listeners_serve_no_certificate() {
    let authority = Authority::new();
    let pair = authority.issue("here", &HERE);
    let router = alone(&format!("tls = {{ {}, strict_sni = true }}", pair.keys()), "");
    assert_eq!(shown(&router, "listeners")[0]["tls"]["certificates"][0]["default"], false);
    assert_eq!(shown(&alone("", ""), "listeners")[0]["tls"], Value::Null, "it passes TLS on");
}

#[test]
fn that_changed_files_cannot_be_used_is_shown_with_the_reason_until_they_can() {
    let authority = Authority::new();
    let (pair, other) = (authority.issue("here", &HERE), authority.issue("other", &["other.test"]));
    let router = alone(&format!("tls = {{ {} }}", pair.keys()), "");
    let files = || shown(&router, "listeners")[0]["tls"]["files"].clone();
    assert_eq!(files()["failure"], Value::Null);
    let good = authority.path("good.key");
    fs::copy(&pair.key, &good).unwrap();
    fs::rename(&other.key, &pair.key).unwrap();
    assert!(eventually(|| !files()["failure"].is_null()));
    let failed = files();
    let reason = failed["failure"]["reason"].as_str().unwrap();
    assert!(reason.contains("here.key") && reason.contains("here.crt"), "{reason}");
    assert!(failed["failure"]["since"].as_f64() < failed["since"].as_f64(), "{failed}");
    let tls = &shown(&router, "listeners")[0]["tls"];
    assert_eq!(tls["certificates"][0]["names"], json!(HERE), "the last good one is used on");
    let mended = clock::now();
    fs::rename(good, &pair.key).unwrap();
    assert!(eventually(|| files()["failure"].is_null()));
    let since = files()["since"].as_f64().unwrap();
    assert!(since < (clock::now() - mended).as_secs_f64(), "they were loaded again: {since}");
}

#[test]
fn a_cluster_shows_what_it_trusts_and_the_certificate_that_it_has_for_coordinators() {
    let authority = Authority::new();
    let pair = authority.issue_expired("router", &["router.test"]);
    let ca = authority.ca().display().to_string();
    let keys = format!("ca = \"{ca}\", verify = \"name-of-cluster\", server_name = \"impala.test\"");
    let router = alone("", &format!("tls = {{ {keys}, web = true, {} }}", pair.keys()));
    let cluster = &shown(&router, "clusters")[0];
    let tls = &cluster["tls"];
    assert_eq!((&cluster["name"], &tls["trusts"]), (&"test".into(), &ca.into()));
    let demands = [&tls["verify"], &tls["server_name"], &tls["web"]];
    assert_eq!(demands, [&json!("name-of-cluster"), &json!("impala.test"), &json!(true)]);
    let own = &tls["client_certificate"];
    assert_eq!((&own["names"], &own["standing"]), (&json!(["router.test"]), &"expired".into()));
    fs::write(authority.ca(), "no longer a certificate").unwrap();
    let reason = || shown(&router, "clusters")[0]["tls"]["files"]["failure"]["reason"].clone();
    assert!(eventually(|| reason().as_str().is_some_and(|reason| reason.contains("ca.pem"))));
    let clear = &shown(&alone("", ""), "clusters")[0];
    assert_eq!((&clear["name"], &clear["tls"]), (&"test".into(), &Value::Null));
}

#[test]
fn a_page_of_another_host_reads_nothing_of_it() {
    let router = alone("", "");
    for what in ["listeners", "clusters"] {
        let (status, _) = ask(&router, &format!("GET /api/v1/{what}"), "Host: evil.example\r\n");
        assert_eq!(status, 403);
    }
}
