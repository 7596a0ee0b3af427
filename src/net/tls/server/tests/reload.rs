//! Changed files take effect when all of them are good.

use super::*;

fn shown(listener: &ListenerTls) -> String {
    Client::new().connect(listener, "any.example.com").unwrap().shown
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections() {
    let folder = Folder::new();
    let listener = ListenerTls::load(settings(vec![folder.pair("a", &["old"])])).unwrap();
    assert!(matches!(listener.refresh(), Refreshed::Unchanged));
    assert_eq!(shown(&listener), "old");
    let before = listener.config();
    folder.pair("a", &["new"]);
    assert!(matches!(listener.refresh(), Refreshed::Changed));
    assert!(matches!(listener.refresh(), Refreshed::Unchanged));
    assert_eq!(shown(&listener), "new");
    assert_eq!(listener.certificates()[0].names, ["new"]);
    // A handshake that is under way goes on with what it began with.
    assert_eq!(handshake(Client::new().config(), &before, "a").unwrap().shown, "old");
}

#[test]
fn the_last_good_pair_stays_while_the_files_do_not_match() {
    let folder = Folder::new();
    let listener = ListenerTls::load(settings(vec![folder.pair("a", &["old"])])).unwrap();
    let old_key = fs::read(folder.path("a.key")).unwrap();
    let next = issue(&params(&["new"]), &folder.authority);
    folder.write("a.crt", &next.certificate);
    assert!(matches!(listener.refresh(), Refreshed::Failed(CertificateError::OtherKey { .. })));
    assert_eq!(shown(&listener), "old");
    // The same failure is told once.
    assert!(matches!(listener.refresh(), Refreshed::Unchanged));
    folder.write("a.key", "");
    assert!(matches!(listener.refresh(), Refreshed::Failed(CertificateError::Empty { .. })));
    fs::remove_file(folder.path("a.key")).unwrap();
    assert!(matches!(listener.refresh(), Refreshed::Failed(CertificateError::Unreadable { .. })));
    assert!(matches!(listener.refresh(), Refreshed::Unchanged));
    assert_eq!(shown(&listener), "old");
    folder.write("a.key", old_key);
    assert!(matches!(listener.refresh(), Refreshed::Failed(CertificateError::OtherKey { .. })));
    folder.write("a.key", &next.key);
    assert!(matches!(listener.refresh(), Refreshed::Changed));
    assert_eq!(shown(&listener), "new");
}

#[test]
fn one_bad_file_of_many_changes_nothing() {
    let folder = Folder::new();
    let pairs = vec![folder.pair("a", &["a"]), folder.pair("b", &["b"])];
    let ticket_key = Some(folder.write("key", [200; 48]));
    let listener = ListenerTls::load(Settings { ticket_key, ..settings(pairs) }).unwrap();
    folder.pair("a", &["new"]);
    folder.write("key", [200; 8]);
    assert!(matches!(listener.refresh(), Refreshed::Failed(CertificateError::BadTicketKey { .. })));
    assert_eq!(shown(&listener), "a");
    folder.write("key", [201; 48]);
    assert!(matches!(listener.refresh(), Refreshed::Changed));
    assert_eq!(shown(&listener), "new");
}

#[test]
fn a_symbolic_link_that_is_changed_is_followed() {
    let folder = Folder::new();
    for name in ["one", "two"] {
        fs::create_dir(folder.path(name)).unwrap();
        folder.pair(&format!("{name}/tls"), &[name]);
    }
    let link = folder.path("current");
    std::os::unix::fs::symlink(folder.path("one"), &link).unwrap();
    let files = PairFiles { certificate: link.join("tls.crt"), key: link.join("tls.key") };
    let listener = ListenerTls::load(settings(vec![files])).unwrap();
    assert_eq!(shown(&listener), "one");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(folder.path("two"), &link).unwrap();
    assert!(matches!(listener.refresh(), Refreshed::Changed));
    assert_eq!(shown(&listener), "two");
}
