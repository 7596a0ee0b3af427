//! What a failed handshake is called, on real ones.

use rustls::AlertDescription;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::net::tls::refusal::{Refusal, explain};

/// A `ClientHello` of a client whose newest version is this, as OpenSSL 1.0.1 sends it, perhaps with the
/// kinds of signatures that it verifies.
fn old_hello(minor: u8, names_signatures: bool) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    // TLS_RSA_WITH_AES_128_CBC_SHA and AES_256; no compression.
    body.extend([0, 4, 0, 0x2f, 0, 0x35, 1, 0]);
    if names_signatures {
        // signature_algorithms (RFC 5246, 7.4.1.4.1): SHA-256 with RSA and with ECDSA.
        body.extend([0, 10, 0, 13, 0, 6, 0, 4, 4, 1, 4, 3]);
    }
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let mut message = vec![1, 0];
    message.extend(length(&body));
    message.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend(length(&message));
    record.extend(message);
    record
}

/// What the listener makes of these bytes.
fn refused(listener: &ListenerTls, bytes: &[u8]) -> Refusal {
    let mut server = ServerConnection::new(listener.config()).unwrap();
    take(bytes, |from| server.read_tls(from));
    explain(&server.process_new_packets().unwrap_err())
}

fn plain(folder: &Folder) -> ListenerTls {
    ListenerTls::load(settings(vec![folder.pair("a", &["a"])])).unwrap()
}

#[test]
fn an_old_client_and_one_without_tls_are_told_apart() {
    let folder = Folder::new();
    let listener = plain(&folder);
    for minor in [1, 2] {
        for names_signatures in [false, true] {
            let refusal = refused(&listener, &old_hello(minor, names_signatures));
            assert_eq!(refusal, Refusal::OldVersion, "{minor}, {names_signatures}");
            assert_eq!(refusal.alert_record(), Some([21, 3, 1, 0, 2, 2, 70]));
        }
    }
    assert_eq!(refused(&listener, &old_hello(3, true)), Refusal::NothingInCommon);
    assert_eq!(refused(&listener, b"\x80\x01\x00\x01\x00\x00\x00\x0bOpenSession"), Refusal::NotTls);
    assert_eq!(refused(&listener, b"\x01\x00\x00\x00\x05PLAIN"), Refusal::NotTls);
    assert_eq!(refused(&listener, b"POST /cliservice HTTP/1.1\r\n\r\n"), Refusal::NotTls);
}

#[test]
fn a_clients_bad_certificate_is_named_by_what_is_wrong_with_it() {
    let folder = Folder::new();
    let users = authority("users");
    let clients =
        Some(ClientCertificates { ca: folder.write("users.pem", users.pem()), auth: ClientAuth::Required });
    let pairs = vec![folder.pair("a", &["a"])];
    let listener = ListenerTls::load(Settings { clients, ..settings(pairs) }).unwrap();
    // What the listener makes of the client, and the alert that the client gets.
    let why = |mut client: Client, version| {
        client.versions = vec![version];
        let failed = client.connect(&listener, "a").unwrap_err();
        let Some(rustls::Error::AlertReceived(alert)) = failed.client else { panic!("{failed:?}") };
        (explain(&failed.server.unwrap()), alert)
    };
    let mut expired = params(&["joe"]);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let mut early = params(&["joe"]);
    early.not_before = rcgen::date_time_ymd(2500, 1, 1);
    let mut for_servers = params(&["joe"]);
    for_servers.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    for version in [&TLS12, &TLS13] {
        let with = |params: &CertificateParams, authority: &Authority| {
            why(Client::with_certificate(issue(params, authority)), version)
        };
        assert_eq!(why(Client::new(), version).0, Refusal::NoClientCertificate);
        for (shown, refusal, alert) in [
            (
                with(&params(&["joe"]), &authority("others")),
                Refusal::UnknownClientIssuer,
                AlertDescription::UnknownCA,
            ),
            (with(&expired, &users), Refusal::ClientCertificateExpired, AlertDescription::CertificateExpired),
            (
                with(&early, &users),
                Refusal::ClientCertificateNotYetValid,
                AlertDescription::CertificateExpired,
            ),
            (
                with(&for_servers, &users),
                Refusal::BadClientCertificate,
                AlertDescription::UnsupportedCertificate,
            ),
        ] {
            assert_eq!(shown, (refusal, alert));
        }
    }
}

#[test]
fn what_a_client_says_of_the_routers_certificate_is_explained() {
    let folder = Folder::new();
    let mut expired = params(&["a"]);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let old = folder.write_pair("old", &issue(&expired, &folder.authority));
    let (good, old) = (plain(&folder), ListenerTls::load(settings(vec![old])).unwrap());
    let why = |trusted: &Authority, listener: &ListenerTls, name: &str| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(crate::net::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connected = handshake(Arc::new(config), &listener.config(), name);
        connected.map_err(|failed| explain(&failed.server.unwrap()))
    };
    assert!(why(&folder.authority, &good, "a").is_ok());
    assert_eq!(why(&authority("others"), &good, "a").unwrap_err(), Refusal::NotTrusted);
    assert_eq!(why(&folder.authority, &good, "b").unwrap_err(), Refusal::CertificateRefused);
    assert_eq!(why(&folder.authority, &old, "a").unwrap_err(), Refusal::CertificateExpired);
}

#[test]
fn each_refusal_has_a_label_of_its_own_and_says_what_to_do() {
    let all = [
        Refusal::OldVersion,
        Refusal::NoCommonVersion,
        Refusal::NothingInCommon,
        Refusal::NoSuchName,
        Refusal::NoClientCertificate,
        Refusal::UnknownClientIssuer,
        Refusal::ClientCertificateExpired,
        Refusal::ClientCertificateNotYetValid,
        Refusal::BadClientCertificate,
        Refusal::NotTrusted,
        Refusal::CertificateRefused,
        Refusal::CertificateExpired,
        Refusal::Alert(AlertDescription::HandshakeFailure),
        Refusal::NotTls,
        Refusal::BrokenProtocol,
        Refusal::Internal,
    ];
    let labels: std::collections::BTreeSet<_> = all.iter().map(|refusal| refusal.cause()).collect();
    assert_eq!(labels.len(), all.len());
    for refusal in all {
        assert!(refusal.to_string().contains("; "), "{refusal}");
    }
}
