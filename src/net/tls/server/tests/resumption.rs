//! When a session resumes without a full handshake, and when it must not.

use super::*;
use data_encoding::BASE64;

fn kind(client: &Client, listener: &ListenerTls) -> HandshakeKind {
    client.connect(listener, "a").unwrap().kind
}

fn both_versions() -> [Client; 2] {
    [Client::only(&TLS12), Client::only(&TLS13)]
}

fn keys(count: u8) -> String {
    (0..count).map(|nth| BASE64.encode(&[nth; 80]) + "\n").collect()
}

#[test]
fn a_session_resumes_and_survives_the_renewal_of_the_certificate() {
    let folder = Folder::new();
    let listener = ListenerTls::load(settings(vec![folder.pair("a", &["a"])])).unwrap();
    for client in both_versions() {
        assert_eq!(kind(&client, &listener), HandshakeKind::Full);
        assert_eq!(kind(&client, &listener), HandshakeKind::Resumed);
        folder.pair("a", &["a"]);
        assert!(matches!(listener.refresh(), Refreshed::Changed));
        assert_eq!(kind(&client, &listener), HandshakeKind::Resumed);
        assert_eq!(kind(&Client::new(), &listener), HandshakeKind::Full);
    }
}

#[test]
fn sessions_resume_at_another_router_with_the_same_keys_and_at_no_other() {
    let folder = Folder::new();
    let with = |key: &str, content: &[u8]| {
        let ticket_key = Some(folder.write(key, content));
        let pairs = vec![folder.pair(key, &["a"])];
        ListenerTls::load(Settings { ticket_key, ..settings(pairs) }).unwrap()
    };
    let raw: Vec<u8> = (128..176).collect();
    let routers = [with("1", &raw), with("2", &raw)];
    let other = with("3", keys(1).as_bytes());
    for client in both_versions() {
        assert_eq!(kind(&client, &routers[0]), HandshakeKind::Full);
        assert_eq!(kind(&client, &routers[1]), HandshakeKind::Resumed);
        assert_eq!(kind(&client, &other), HandshakeKind::Full);
        assert_eq!(kind(&client, &routers[0]), HandshakeKind::Full);
    }
}

#[test]
fn a_key_that_is_appended_everywhere_costs_no_resumption() {
    let folder = Folder::new();
    let with = |key: &str| {
        let ticket_key = Some(folder.write(key, keys(3)));
        ListenerTls::load(Settings { ticket_key, ..settings(vec![folder.pair(key, &["a"])]) }).unwrap()
    };
    let (ahead, behind) = (with("1"), with("2"));
    let append = |router: &ListenerTls, key: &str, count| {
        folder.write(key, keys(count));
        assert!(matches!(router.refresh(), Refreshed::Changed));
    };
    let client = Client::only(&TLS13);
    assert_eq!(kind(&client, &ahead), HandshakeKind::Full);
    append(&ahead, "1", 4);
    // One router has the new key, the other does not know it yet.
    for router in [&ahead, &behind, &ahead] {
        assert_eq!(kind(&client, router), HandshakeKind::Resumed);
    }
    append(&behind, "2", 4);
    assert_eq!(kind(&client, &behind), HandshakeKind::Resumed);
    // Keys that are no more among the last three are forgotten.
    let old = Client::only(&TLS13);
    assert_eq!(kind(&old, &ahead), HandshakeKind::Full);
    append(&ahead, "1", 8);
    assert_eq!(kind(&old, &ahead), HandshakeKind::Full);
}

#[test]
fn a_ticket_works_for_twelve_hours() {
    let folder = Folder::new();
    let clock = Clock::new();
    let ticket_key = Some(folder.write("key", keys(1)));
    let pairs = vec![folder.pair("a", &["a"])];
    let time = Arc::clone(&clock) as Arc<dyn TimeProvider>;
    let listener = ListenerTls::load_at(Settings { ticket_key, ..settings(pairs) }, time).unwrap();
    let tickets = Arc::clone(&listener.config().ticketer);
    let ticket = tickets.encrypt(b"state").unwrap();
    assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(b"state".as_slice()));
    clock.advance(Duration::from_hours(12));
    assert!(tickets.decrypt(&ticket).is_some());
    clock.advance(Duration::from_secs(1));
    assert!(tickets.decrypt(&ticket).is_none());
}

#[test]
fn no_changed_and_no_shortened_ticket_is_opened() {
    let folder = Folder::new();
    let ticket_key = Some(folder.write("key", keys(1)));
    let pairs = vec![folder.pair("a", &["a"])];
    let listener = ListenerTls::load(Settings { ticket_key, ..settings(pairs) }).unwrap();
    let tickets = Arc::clone(&listener.config().ticketer);
    let ticket = tickets.encrypt(b"state").unwrap();
    assert_ne!(ticket, tickets.encrypt(b"state").unwrap());
    for at in 0..ticket.len() {
        assert!(tickets.decrypt(&ticket[..at]).is_none());
        let mut changed = ticket.clone();
        changed[at] ^= 1;
        assert!(tickets.decrypt(&changed).is_none());
    }
    assert!(tickets.decrypt(&[ticket.as_slice(), &[0]].concat()).is_none());
}

#[test]
fn a_session_without_a_client_certificate_does_not_resume_where_one_is_required() {
    let folder = Folder::new();
    let users = folder.write("users.pem", authority("users").pem());
    let ticket_key = Some(folder.write("key", keys(1)));
    let pairs = vec![folder.pair("a", &["a"])];
    let open = Settings { ticket_key, ..settings(pairs) };
    let clients = Some(ClientCertificates { ca: users, auth: ClientAuth::Required });
    let closed = ListenerTls::load(Settings { clients, ..open.clone() }).unwrap();
    let open = ListenerTls::load(open).unwrap();
    for client in both_versions() {
        assert_eq!(kind(&client, &open), HandshakeKind::Full);
        assert_eq!(kind(&client, &open), HandshakeKind::Resumed);
        assert!(client.connect(&closed, "a").is_err());
    }
}

#[test]
fn a_text_that_is_not_base64_is_no_ticket_key() {
    let folder = Folder::new();
    let pair = folder.pair("a", &["a"]);
    let key = BASE64.encode(&[251; 48]);
    let url_safe = key.replace('/', "_").replace('+', "-");
    assert_ne!(url_safe, key);
    let certificate = fs::read_to_string(&pair.certificate).unwrap();
    for (text, line) in [
        (certificate, 1),
        (fs::read_to_string(&pair.key).unwrap(), 1),
        (format!("{key}\n# a remark\n"), 2),
        (format!("# schl\u{fc}ssel\n{key}\n"), 1),
        (format!("\u{feff}{key}\n"), 1),
        (url_safe, 1),
        ("a".repeat(47) + "\n", 1),
        ("-".repeat(48), 1),
        ("-".repeat(80), 1),
    ] {
        let ticket_key = Some(folder.write("tickets.key", &text));
        let listener = Settings { ticket_key, ..settings(vec![pair.clone()]) };
        let said = ListenerTls::load(listener).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(&format!("(line {line} is not base64)")), "{text:?}: {said:?}");
    }
    for length in [32, 47, 49, 1024] {
        let ticket_key = Some(folder.write("tickets.key", vec![200; length]));
        let listener = Settings { ticket_key, ..settings(vec![pair.clone()]) };
        let said = ListenerTls::load(listener).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(&format!("has 48 or 80 bytes, and this file has {length}")), "{said:?}");
    }
}

/// A resumed handshake looks at no certificate: a client that has renewed its own would resume with the old
/// one, and one whose authority is no longer trusted would still come in.
#[test]
fn where_clients_are_asked_for_certificates_each_handshake_looks_at_one() {
    let folder = Folder::new();
    let users = authority("users");
    let ca = folder.write("users.pem", users.pem());
    let pairs = vec![folder.pair("a", &["a"])];
    for auth in [ClientAuth::Required, ClientAuth::Optional] {
        let clients = Some(ClientCertificates { ca: ca.clone(), auth });
        let listener = ListenerTls::load(Settings { clients, ..settings(pairs.clone()) }).unwrap();
        for version in [&TLS12, &TLS13] {
            let mut client = Client::with_certificate(issue(&params(&["joe"]), &users));
            client.versions = vec![version];
            for _ in 0..3 {
                assert_eq!(kind(&client, &listener), HandshakeKind::Full);
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_keys_or_refused_and_no_ticket_is_made_up(
        file in proptest::collection::vec(proptest::num::u8::ANY, 1..200),
        ticket in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
    ) {
        let content = Content { file: "any".into(), bytes: file.clone().into() };
        match FileTickets::new(&content, Clock::new()) {
            Ok(tickets) => {
                assert!(file.len() >= 48);
                assert!(tickets.decrypt(&ticket).is_none());
                let sealed = tickets.encrypt(&ticket).unwrap();
                assert_eq!(tickets.decrypt(&sealed), Some(ticket));
            }
            Err(error) => assert!(matches!(error, CertificateError::BadTicketKey { .. }), "{error}"),
        }
    }
}
