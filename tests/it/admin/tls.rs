//! Operators see how coordinators are reached with TLS, above all where nothing is verified.

use std::net::TcpListener;

use serde_json::json;

use super::coordinators;
use crate::support::router::{SELDOM, TestRouter};

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
    let shown = coordinators(&router);
    assert_eq!(shown[0]["tls"], json!({ "verify": "none", "server_name": "impala.example.com" }));
    assert_eq!(shown[1]["tls"], json!(null));
}
