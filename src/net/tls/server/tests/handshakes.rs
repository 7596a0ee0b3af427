//! Which certificate a client is shown, which versions it may speak, and whether it needs a certificate.

use super::*;

fn listener(settings: Settings) -> ListenerTls {
    ListenerTls::load(settings).unwrap()
}

/// A listener with three pairs.
fn of_names(folder: &Folder, strict_sni: bool) -> ListenerTls {
    let pairs = vec![
        folder.pair("first", &["router.example.com"]),
        folder.pair("wild", &["*.impala.example.com", "impala.example.com"]),
        folder.pair("exact", &["a.impala.example.com"]),
    ];
    listener(Settings { strict_sni, ..settings(pairs) })
}

#[test]
fn a_client_is_shown_the_certificate_for_its_name() {
    let folder = Folder::new();
    let listener = of_names(&folder, false);
    for (asked, shown) in [
        ("router.example.com", "router.example.com"),
        ("ROUTER.example.com", "router.example.com"),
        ("a.impala.example.com", "a.impala.example.com"),
        ("b.impala.example.com", "*.impala.example.com"),
        ("impala.example.com", "*.impala.example.com"),
        // A wildcard stands for one label.
        ("a.b.impala.example.com", "router.example.com"),
        ("elsewhere.example.com", "router.example.com"),
        ("localhost", "router.example.com"),
        ("127.0.0.1", "router.example.com"),
    ] {
        assert_eq!(Client::new().connect(&listener, asked).unwrap().shown, shown, "{asked}");
    }
}

#[test]
fn a_strict_listener_refuses_names_that_no_certificate_has() {
    let folder = Folder::new();
    let listener = of_names(&folder, true);
    assert!(Client::new().connect(&listener, "b.impala.example.com").is_ok());
    for asked in ["elsewhere.example.com", "a.b.impala.example.com", "127.0.0.1"] {
        let failed = Client::new().connect(&listener, asked).unwrap_err();
        let refusal = crate::net::tls::refusal::explain(&failed.server.unwrap());
        assert_eq!(refusal.cause(), "no_such_name", "{asked}");
        assert_eq!(refusal.alert_record(), Some([21, 3, 3, 0, 2, 2, 112]));
    }
}

#[test]
fn of_two_pairs_for_one_name_a_client_is_shown_the_one_that_it_can_verify() {
    let folder = Folder::new();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let called = |name: &str| {
        let mut params = params(&["one.example.com"]);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let pairs = vec![
        folder.write_pair("new", &issue_for(&called("new"), &folder.authority, &ed25519)),
        folder.write_pair("old", &issue(&called("old"), &folder.authority)),
    ];
    let listener = listener(settings(pairs));
    for (scheme, subject) in
        [(SignatureScheme::ED25519, "new"), (SignatureScheme::ECDSA_NISTP256_SHA256, "old")]
    {
        for asked in ["one.example.com", "another.example.com"] {
            let client = Client { schemes: vec![scheme], ..Client::new() };
            assert_eq!(client.connect(&listener, asked).unwrap().subject, subject, "{scheme:?}, {asked}");
        }
    }
}

#[test]
fn both_versions_are_spoken_unless_the_older_is_refused() {
    let folder = Folder::new();
    let pairs = vec![folder.pair("a", &["a"])];
    let usual = listener(settings(pairs.clone()));
    let newest = listener(Settings { minimum_version: Version::Tls13, ..settings(pairs) });
    let version =
        |client: &Client, listener| client.connect(listener, "a").map(|connected| connected.version);
    let (old, new) = (Client::only(&TLS12), Client::only(&TLS13));
    assert_eq!(version(&old, &usual).unwrap(), ProtocolVersion::TLSv1_2);
    assert_eq!(version(&new, &usual).unwrap(), ProtocolVersion::TLSv1_3);
    assert_eq!(version(&new, &newest).unwrap(), ProtocolVersion::TLSv1_3);
    let failed = version(&old, &newest).unwrap_err();
    assert_eq!(crate::net::tls::refusal::explain(&failed.server.unwrap()).cause(), "no_common_version");
}

#[test]
fn a_client_certificate_is_demanded_or_merely_asked_for() {
    let folder = Folder::new();
    let users = authority("users");
    let ca = folder.write("users.pem", users.pem());
    let pairs = vec![folder.pair("a", &["a"])];
    let with = |auth| {
        let clients = Some(ClientCertificates { ca: ca.clone(), auth });
        listener(Settings { clients, ..settings(pairs.clone()) })
    };
    let (required, optional) = (with(ClientAuth::Required), with(ClientAuth::Optional));
    let known = || Client::with_certificate(issue(&params(&["joe"]), &users));
    let stranger = || Client::with_certificate(issue(&params(&["joe"]), &authority("others")));
    assert!(known().connect(&required, "a").is_ok());
    assert!(known().connect(&optional, "a").is_ok());
    assert!(Client::new().connect(&optional, "a").is_ok());
    assert!(Client::new().connect(&required, "a").is_err());
    // One that is shown must be good, even where none is needed.
    assert!(stranger().connect(&optional, "a").is_err());
    assert!(stranger().connect(&required, "a").is_err());
}

#[test]
fn a_certificate_that_is_no_authority_is_refused_in_client_ca() {
    let folder = Folder::new();
    let users = authority("users");
    let of_joe = issue(&params(&["joe.example.com"]), &users).certificate;
    let ca = folder.write("users.pem", users.pem() + &of_joe);
    let clients = Some(ClientCertificates { ca, auth: ClientAuth::Required });
    let refused = ListenerTls::load(Settings { clients, ..settings(vec![folder.pair("a", &["a"])]) });
    let said = refused.unwrap_err().to_string();
    for words in ["certificate 2 in", "users.pem", "joe.example.com", "is no authority", "; "] {
        assert!(said.contains(words), "{words:?} is not in {said:?}");
    }
}

#[test]
fn nothing_is_taken_before_the_handshake_is_complete() {
    let folder = Folder::new();
    let listener = listener(settings(vec![folder.pair("a", &["a"])]));
    assert_eq!(listener.config().max_early_data_size, 0);
}
