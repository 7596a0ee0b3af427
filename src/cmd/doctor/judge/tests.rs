use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;
use crate::cmd::doctor::facts::{ClusterKerberos, Keytab, Names, Port, Web};
use crate::control::config::Config;
use crate::ids::Service;
use crate::net::kerberos::keytab::{Cipher, Key};
use crate::net::survey::{HttpAnswer, Mechanism, Spoken, Surveyed};
use crate::net::tls::certificates::Certificate;
use crate::net::web::{ImpalaFlags, ImpalaMetrics};
use crate::serve::background::own_login::LoginTried;

/// What was found, by name.
fn names(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|one| one.kind.name).collect()
}

fn noted(note: impl FnOnce(&mut Notes)) -> Vec<&'static str> {
    let mut notes = Notes::about("it");
    note(&mut notes);
    assert!(notes.found.iter().all(|one| one.about == "it"));
    names(&notes.found)
}

/// A certificate of its own issuer, or of another one, for `router.example.com` in the year 2020.
fn certificate(alternative: bool, issuer: Option<&Issuer<'_, KeyPair>>) -> Certificate {
    let names = if alternative { vec!["router.example.com".to_owned()] } else { Vec::new() };
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "router");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let key = KeyPair::generate().unwrap();
    let signed = match issuer {
        Some(issuer) => params.signed_by(&key, issuer),
        None => params.self_signed(&key),
    };
    Certificate::of(signed.unwrap().der()).unwrap()
}

#[test]
fn a_certificate_is_judged_by_its_time_and_its_names() {
    let own = [certificate(true, None)];
    let at =
        |year, month| noted(|notes| certificates::of_file(&own, date_time_ymd(year, month, 3).into(), notes));
    assert_eq!(at(2020, 2), ["certificate"]);
    assert_eq!(at(2020, 12), ["certificate-expires-soon"]);
    assert_eq!(at(2021, 2), ["certificate-expired"]);
    assert_eq!(at(2019, 2), ["certificate-not-yet-valid"]);
    let nameless = [certificate(false, None)];
    let found = noted(|notes| certificates::of_file(&nameless, date_time_ymd(2020, 2, 2).into(), notes));
    assert_eq!(found, ["certificate", "certificate-without-names"]);
}

#[test]
fn a_chain_has_each_issuer_behind_what_it_has_issued() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the authority");
    let key = KeyPair::generate().unwrap();
    let authority = Certificate::of(params.self_signed(&key).unwrap().der()).unwrap();
    let own = certificate(true, Some(&Issuer::new(params, key)));
    let now = date_time_ymd(2020, 2, 2).into();
    let good = noted(|notes| certificates::shown(&[own.clone(), authority], now, notes));
    assert_eq!(good, ["certificate"]);
    let odd = noted(|notes| certificates::shown(&[own, certificate(true, None)], now, notes));
    assert_eq!(odd, ["certificate", "certificate-chain-broken"]);
}

fn key(principal: &str, version: u32, cipher: u16) -> Key {
    Key { principal: principal.to_owned(), version, cipher: Cipher(cipher) }
}

fn keytab(keys: Result<Vec<Key>, String>) -> Keytab {
    Keytab { file: "router.keytab".into(), wanted: Some("r/h@R".to_owned()), is_open: false, keys }
}

fn of_cluster(keytab: Keytab, ticket: Option<Result<Duration, String>>) -> Vec<&'static str> {
    noted(|notes| kerberos::of_cluster(&ClusterKerberos { keytab, ticket }, notes))
}

#[test]
fn a_keytab_is_judged_by_whose_keys_are_in_it_and_of_which_ciphers() {
    let good = vec![key("r/h@R", 2, 18), key("r/h@R", 2, 23)];
    assert_eq!(of_cluster(keytab(Ok(good.clone())), None), ["keytab"]);
    let open = Keytab { is_open: true, ..keytab(Ok(good)) };
    assert_eq!(of_cluster(open, None), ["keytab-open", "keytab"]);
    let weak = vec![key("r/h@R", 2, 23), key("r/h@R", 1, 3), key("other@R", 1, 23)];
    assert_eq!(of_cluster(keytab(Ok(weak)), None), ["keytab", "keytab-weak-cipher"]);
    assert_eq!(of_cluster(keytab(Ok(vec![key("x@R", 1, 18)])), None), ["keytab-lacks-principal"]);
    assert_eq!(of_cluster(keytab(Err("no".to_owned())), None), ["keytab-unreadable"]);
}

#[test]
fn keys_are_listed_by_principal_version_and_cipher() {
    let keys = vec![key("r/h@R", 2, 18), key("r/h@R", 3, 17), key("r/h@R", 3, 18), key("x@R", 1, 99)];
    let mut notes = Notes::about("it");
    kerberos::of_cluster(&ClusterKerberos { keytab: keytab(Ok(keys)), ticket: None }, &mut notes);
    assert_eq!(
        notes.found[0].seen,
        "router.keytab: r/h@R (kvno 2: aes256-cts-hmac-sha1-96, kvno 3: aes128-cts-hmac-sha1-96 \
         aes256-cts-hmac-sha1-96); x@R (kvno 1: cipher 99)"
    );
}

#[test]
fn what_kerberos_says_of_clocks_is_not_taken_for_a_wrong_key() {
    let good = || keytab(Ok(vec![key("r/h@R", 2, 18)]));
    let failed = |text: &str| of_cluster(good(), Some(Err(text.to_owned())));
    assert_eq!(failed("Clock skew too great"), ["keytab", "clock-skew"]);
    assert_eq!(failed("Preauthentication failed"), ["keytab", "no-own-ticket"]);
    assert_eq!(of_cluster(good(), Some(Ok(Duration::from_mins(5)))), ["keytab", "own-ticket"]);
    let of = |tried| noted(|notes| kerberos::of_login(&tried, notes));
    assert_eq!(of(LoginTried::NoTicket("Clock skew too great".to_owned())), ["clock-skew"]);
    assert_eq!(of(LoginTried::Refused("no key".to_owned())), ["ticket-refused"]);
}

/// A cluster with these keys, and a coordinator of it.
fn cluster(keys: &str) -> Cluster {
    cluster_behind("", keys)
}

/// The same, with this before it in the config.
fn cluster_behind(listener: &str, keys: &str) -> Cluster {
    let text = format!("{listener}[[cluster]]\n{keys}\ncoordinators = [\"a\"]\n");
    let config = Config::parse("test", &text).unwrap_or_else(|error| panic!("{error}"));
    let config = config.clusters.into_iter().next().unwrap();
    Cluster { config, certificate: None, kerberos: None, coordinators: Vec::new() }
}

fn port(service: Service, spoken: Spoken) -> Port {
    Port {
        service,
        address: "a:1".to_owned(),
        surveyed: Ok(Surveyed { spoken, chain: Vec::new() }),
        inside: None,
        asked_at: SystemTime::UNIX_EPOCH + Duration::from_hours(1),
    }
}

fn sasl(plain: Mechanism, gssapi: Mechanism) -> Spoken {
    Spoken::Sasl { plain, gssapi }
}

/// The findings about a port of this cluster that speaks this.
fn judged(cluster: &Cluster, service: Service, spoken: Spoken) -> Vec<&'static str> {
    let now = date_time_ymd(2020, 2, 2).into();
    noted(|notes| ports::of_coordinator(&port(service, spoken), cluster, now, notes))
}

#[test]
fn a_port_is_judged_by_what_it_should_speak() {
    use Mechanism::{Offered, Refused};
    let cluster = cluster("");
    let judged = |service, spoken| judged(&cluster, service, spoken);
    assert_eq!(judged(Service::Hs2, sasl(Offered, Refused)), ["speaks"]);
    assert_eq!(judged(Service::Hs2, sasl(Refused, Offered)), ["only-tickets"]);
    assert_eq!(judged(Service::Beeswax, Spoken::Thrift { is_beeswax: false }), ["wrong-protocol"]);
    assert_eq!(judged(Service::Hs2, Spoken::Thrift { is_beeswax: true }), ["wrong-protocol"]);
    assert_eq!(judged(Service::Hs2, Spoken::Thrift { is_beeswax: false }), ["no-login"]);
    assert_eq!(judged(Service::Hs2Http, sasl(Offered, Offered)), ["wrong-protocol"]);
    assert_eq!(judged(Service::Hs2, Spoken::Http(HttpAnswer::default())), ["wrong-protocol"]);
    assert_eq!(judged(Service::Hs2, Spoken::Other), ["port-not-understood"]);
}

#[test]
fn each_port_where_the_router_logs_in_must_take_tickets() {
    use Mechanism::{Offered, Refused, Unknown};
    let own = cluster_behind(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\nkerberos = { keytab = \"k\" }\n",
        "kerberos = { principal = \"r/h@R\", keytab = \"k\", coordinator = \"impala/_HOST@R\" }",
    );
    let http = |status, authenticate: &[&str]| {
        let authenticate = authenticate.iter().copied().map(str::to_owned).collect();
        Spoken::Http(HttpAnswer { status, authenticate, date: None })
    };
    for spoken in [sasl(Refused, Offered), sasl(Unknown, Unknown)] {
        assert_eq!(judged(&own, Service::Hs2, spoken), ["speaks"]);
    }
    for spoken in [sasl(Offered, Refused), Spoken::Thrift { is_beeswax: false }] {
        assert_eq!(judged(&own, Service::Hs2, spoken), ["gssapi-refused"]);
    }
    assert_eq!(judged(&own, Service::Hs2Http, http(401, &["Basic", "negotiate"])), ["speaks"]);
    for spoken in [http(200, &[]), http(401, &["Basic realm=\"Negotiate\""])] {
        assert_eq!(judged(&own, Service::Hs2Http, spoken), ["gssapi-refused"]);
    }
    assert_eq!(judged(&own, Service::Beeswax, sasl(Offered, Refused)), ["speaks"]);
}

fn clocks(seconds_ahead: u64) -> Vec<&'static str> {
    let date = Some(SystemTime::UNIX_EPOCH + Duration::from_hours(1) + Duration::from_secs(seconds_ahead));
    let http = Spoken::Http(HttpAnswer { status: 401, authenticate: Vec::new(), date });
    let ports = vec![port(Service::Hs2Http, http)];
    let names = Names { name: "a".to_owned(), addresses: Ok(Vec::new()) };
    let coordinator = Coordinator { name: "a".to_owned(), names, ports, web: None, login: None };
    noted(|notes| settings::of_clocks(&coordinator, notes))
}

#[test]
fn a_clock_may_differ_by_a_minute_and_for_kerberos_by_five() {
    assert_eq!(clocks(60), ["clock"]);
    assert_eq!(clocks(61), ["clock-differs"]);
    assert_eq!(clocks(300), ["clock-differs"]);
    assert_eq!(clocks(301), ["clock-skew"]);
}

#[test]
fn settings_that_are_not_told_are_not_judged() {
    let web = |catalog_ready| Web {
        address: "a:25000".to_owned(),
        flags: Ok(ImpalaFlags::default()),
        metrics: Some(ImpalaMetrics { catalog_ready, ..ImpalaMetrics::default() }),
        is_quiescing: false,
        date: None,
        asked_at: SystemTime::UNIX_EPOCH,
    };
    let config = cluster("").config;
    assert_eq!(noted(|notes| settings::of_web(&web(Some(true)), &config, notes)), [] as [&str; 0]);
    assert_eq!(noted(|notes| settings::of_web(&web(Some(false)), &config, notes)), ["not-ready"]);
}
