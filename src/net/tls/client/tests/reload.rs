//! Files that are bad, or that change while the router runs.

use super::*;

fn expiry(cluster: &ClusterTls) -> Option<SystemTime> {
    cluster.client_certificate().map(|certificate| certificate.not_after)
}

#[test]
fn changed_files_take_effect_and_what_was_resumable_is_not() {
    let folder = Folder::new();
    let (former, next) = (ca("Example CA"), ca("Next CA"));
    let cluster = cluster(trusting(&folder, &former.pem));
    let tls = cluster.for_coordinator("impala-1", None).unwrap();
    let server = coordinator(&former.signs(&params("x", &["impala-1"])), BOTH, None);
    assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Full));
    assert!(matches!(cluster.refresh(), Refreshed::Unchanged));
    assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Resumed));
    folder.write("ca.pem", &next.pem);
    assert!(matches!(cluster.refresh(), Refreshed::Changed));
    assert!(matches!(cluster.refresh(), Refreshed::Unchanged));
    let failure = handshake(&tls, &server).unwrap_err();
    assert_eq!(failure.as_str(), "untrusted");
}

#[test]
fn bad_files_change_nothing_and_are_told_once() {
    let folder = Folder::new();
    let ca = ca("Example CA");
    let pair = folder.write_pair(&ca.signs(&params("router", &[])));
    let settings = ClusterTlsSettings { pair: Some(pair), ..trusting(&folder, &ca.pem) };
    let cluster = cluster(settings);
    let tls = cluster.for_coordinator("impala-1", None).unwrap();
    let asking = coordinator(&ca.signs(&params("x", &["impala-1"])), BOTH, Some(&ca));
    let until = expiry(&cluster).unwrap();
    assert_eq!(until, SystemTime::from(date_time_ymd(2027, 1, 1)));
    let mut renewed = params("router", &[]);
    renewed.not_after = date_time_ymd(2028, 1, 1);
    let renewed = ca.signs(&renewed);

    folder.write("client.pem", &renewed.pem);
    let Refreshed::Failed(error) = cluster.refresh() else { panic!("the key is still that of before") };
    assert!(matches!(error, CertificateError::OtherKey { .. }), "{error}");
    assert!(matches!(cluster.refresh(), Refreshed::Unchanged));
    fs::remove_file(folder.0.path().join("client.key")).unwrap();
    let Refreshed::Failed(error) = cluster.refresh() else { panic!("the key is gone") };
    assert!(error.to_string().contains("client.key"), "{error}");
    assert!(matches!(cluster.refresh(), Refreshed::Unchanged));
    assert_eq!(expiry(&cluster), Some(until));
    assert!(handshake(&tls, &asking).is_ok());

    folder.write("client.key", &renewed.key.serialize_pem());
    assert!(matches!(cluster.refresh(), Refreshed::Changed));
    assert_eq!(expiry(&cluster), Some(date_time_ymd(2028, 1, 1).into()));
    assert!(handshake(&tls, &asking).is_ok());
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_never_quoted() {
    let folder = Folder::new();
    let ca = ca("Example CA");
    let good = trusting(&folder, &ca.pem);
    let said = |settings: ClusterTlsSettings| ClusterTls::load_at(settings, now()).unwrap_err().to_string();
    let with_ca = |text: &str| ClusterTlsSettings { ca: Some(folder.write("bad.pem", text)), ..good.clone() };
    assert!(
        said(with_ca("")).contains("bad.pem is empty; write the PEM text into it"),
        "{}",
        said(with_ca(""))
    );
    let half = &ca.pem[..100];
    assert!(said(with_ca(half)).contains("a section has no -----END"), "{}", said(with_ca(half)));
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(said(with_ca(no_certificate)).contains("bad.pem"), "{}", said(with_ca(no_certificate)));
    let missing = ClusterTlsSettings { ca: Some("/no/such/ca.pem".into()), ..good.clone() };
    assert!(said(missing.clone()).contains("cannot read /no/such/ca.pem"), "{}", said(missing));

    let pair = ca.signs(&params("router", &[]));
    let files = folder.write_pair(&pair);
    let secret: String = pair.key.serialize_pem().lines().nth(1).unwrap().to_owned();
    for text in
        [secret.clone(), format!("-----BEGIN PRIVATE KEY-----\n!{secret}\n-----END PRIVATE KEY-----\n")]
    {
        folder.write("client.key", &text);
        let settings = ClusterTlsSettings { pair: Some(files.clone()), ..good.clone() };
        let said = said(settings);
        assert!(said.contains("client.key ") && said.contains("; "), "{said}");
        assert!(!said.contains(&secret[..8]), "{said}");
    }
}
