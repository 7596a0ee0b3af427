//! Names, client certificates, resumption, and handshakes that fail for other reasons than a certificate.

use super::*;

/// How a handshake ends when the port answers with these bytes.
fn answered_with(tls: &CoordinatorTls, answer: &[u8]) -> TlsFailure {
    let mut client = ClientConnection::new(tls.config(), tls.server_name().clone()).unwrap();
    client.read_tls(&mut &*answer).unwrap();
    tls.failed(&io::Error::other(client.process_new_packets().unwrap_err()))
}

#[test]
fn an_address_is_a_name_like_another() {
    let ca = ca("Example CA");
    let folder = Folder::new();
    let cluster = cluster(trusting(&folder, &ca.pem));
    let server = coordinator(&ca.signs(&params("x", &["10.0.0.3", "::1"])), BOTH, None);
    for host in ["10.0.0.3", "::1", "::ffff:10.0.0.3"] {
        let tls = cluster.for_coordinator(host, None).unwrap();
        assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Full), "{host}");
    }
    let other = cluster.for_coordinator("10.0.0.4", None).unwrap();
    let failure = handshake(&other, &server).unwrap_err().to_string();
    assert!(failure.contains("for 10.0.0.3 ::1,") && failure.contains("name 10.0.0.4;"), "{failure}");
}

#[test]
fn the_expected_name_is_the_coordinators_own_or_the_clusters() {
    let ca = ca("Example CA");
    let folder = Folder::new();
    let of_host = coordinator(&ca.signs(&params("x", &["impala-1.example.com"])), BOTH, None);
    let of_cluster = coordinator(&ca.signs(&params("x", &["impala.example.com"])), BOTH, None);
    let full = cluster(trusting(&folder, &ca.pem));
    let by_host = full.for_coordinator("impala-1.example.com.", None).unwrap();
    let overridden = full.for_coordinator("10.0.0.1", Some("impala-1.example.com")).unwrap();
    for tls in [&by_host, &overridden] {
        assert!(handshake(tls, &of_host).is_ok());
        assert!(handshake(tls, &of_cluster).is_err());
    }
    let verify = Verify::NameOfCluster("impala.example.com".to_owned());
    let one_name = cluster(ClusterTlsSettings { verify, ..trusting(&folder, &ca.pem) });
    let tls = one_name.for_coordinator("impala-1.example.com", None).unwrap();
    assert!(handshake(&tls, &of_cluster).is_ok());
    assert!(handshake(&tls, &of_host).is_err());
}

#[test]
fn a_host_that_no_certificate_can_be_for_is_refused() {
    let folder = Folder::new();
    let cluster = cluster(trusting(&folder, &ca("Example CA").pem));
    let error = cluster.for_coordinator("impala..1", None).unwrap_err();
    assert!(error.to_string().contains("\"impala..1\" is not a name"), "{error}");
    assert!(cluster.for_coordinator("impala..1", Some("impala_1")).is_ok());
}

#[test]
fn nothing_is_verified_only_if_asked_for_but_the_key_must_fit_even_then() {
    let pair = self_signed(&params("x", &["else"]));
    let settings = ClusterTlsSettings { ca: None, pair: None, verify: Verify::Nothing };
    let tls = cluster(settings).for_coordinator("impala-1", None).unwrap();
    assert_eq!(handshake(&tls, &coordinator(&pair, BOTH, None)), Ok(HandshakeKind::Full));
    // Somebody who shows the certificate of another, without its key.
    let stolen = Pair { der: ca("x").signs(&params("x", &["else"])).der, ..pair };
    for version in BOTH {
        let failure = handshake(&tls, &with_any_key(&stolen, version)).unwrap_err();
        assert!(matches!(&failure, TlsFailure::Broken(_)), "{failure:?}");
    }
}

/// A coordinator whose key is not that of its certificate.
fn with_any_key(pair: &Pair, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let provider = crate::net::tls::provider();
    let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let unfit = rustls::sign::CertifiedKey::new(vec![pair.der.clone()], key);
    let builder =
        ServerConfig::builder_with_details(provider, now()).with_protocol_versions(&[version]).unwrap();
    Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(unfit))))
}

#[test]
fn a_port_that_speaks_no_tls_is_told_apart() {
    let folder = Folder::new();
    let tls = cluster(trusting(&folder, &ca("Example CA").pem)).for_coordinator("impala-1", None).unwrap();
    for answer in [
        // SASL's BAD, a strict Thrift exception, a web port.
        &b"\x04\0\0\0\x0aBad status"[..],
        b"\x80\x01\0\x03\0\0\0\x0bOpenSession",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        let failure = answered_with(&tls, answer);
        assert_eq!((&failure, failure.as_str()), (&TlsFailure::NoTls, "no_tls"));
        assert!(failure.to_string().ends_with("does not speak TLS"), "{failure}");
    }
    let failure = tls.failed(&io::ErrorKind::UnexpectedEof.into());
    assert_eq!(failure, TlsFailure::Closed);
    assert!(failure.is_remote() && failure.to_string().contains("ended the connection"), "{failure}");
    let failure = tls.failed(&io::Error::new(io::ErrorKind::InvalidData, "too long"));
    assert_eq!(failure, TlsFailure::Broken("too long".to_owned()));
    let failure = tls.failed(&io::Error::other("out of something"));
    assert!(!failure.is_remote(), "{failure}");
}

#[test]
fn a_connection_that_breaks_during_the_handshake_is_not_the_routers_fault() {
    let folder = Folder::new();
    let tls = cluster(trusting(&folder, &ca("Example CA").pem)).for_coordinator("impala-1", None).unwrap();
    for kind in [
        io::ErrorKind::TimedOut,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::NetworkDown,
        io::ErrorKind::ConnectionReset,
    ] {
        let failure = tls.failed(&kind.into());
        assert!(failure.is_remote(), "{kind}: {failure}");
    }
    assert_eq!(tls.failed(&io::ErrorKind::TimedOut.into()).as_str(), "lost");
    // A demand of the coordinator is a reason to leave it alone, too.
    assert!(answered_with(&tls, &alert(116)).is_remote());
}

/// An alert record of TLS 1.2.
fn alert(code: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, code]
}

#[test]
fn an_alert_is_explained() {
    let folder = Folder::new();
    let ca = ca("Example CA");
    let without = cluster(trusting(&folder, &ca.pem)).for_coordinator("impala-1", None).unwrap();
    let pair = folder.write_pair(&ca.signs(&params("router", &[])));
    let settings = ClusterTlsSettings { pair: Some(pair), ..trusting(&folder, &ca.pem) };
    let with = cluster(settings).for_coordinator("impala-1", None).unwrap();
    // Codes of RFC 8446, section 6: handshake_failure, bad_certificate, unknown_ca, protocol_version,
    // internal_error, unrecognized_name, certificate_required.
    for (code, without_one, with_one) in [
        (40, "refused", "alert"),
        (42, "certificate_required", "certificate_refused"),
        (48, "certificate_required", "certificate_refused"),
        (70, "incompatible", "incompatible"),
        (80, "alert", "alert"),
        (112, "name_unknown", "name_unknown"),
        (116, "certificate_required", "certificate_required"),
    ] {
        assert_eq!(answered_with(&without, &alert(code)).as_str(), without_one, "{code}");
        assert_eq!(answered_with(&with, &alert(code)).as_str(), with_one, "{code}");
    }
    let said = answered_with(&without, &alert(116)).to_string();
    assert!(
        said.contains("asks for a client certificate") && said.contains("set certificate and key"),
        "{said}"
    );
}

#[test]
fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let folder = Folder::new();
    let (ca, other) = (ca("Example CA"), ca("Other CA"));
    let server = ca.signs(&params("x", &["impala-1"]));
    let good = folder.write_pair(&ca.signs(&params("router", &[])));
    let trusting = trusting(&folder, &ca.pem);
    let settings = ClusterTlsSettings { pair: Some(good), ..trusting.clone() };
    let shown = cluster(settings).for_coordinator("impala-1", None).unwrap();
    let none = cluster(trusting.clone()).for_coordinator("impala-1", None).unwrap();
    for version in BOTH {
        let asking = coordinator(&server, &[version], Some(&ca));
        assert!(handshake(&shown, &asking).is_ok());
        let failure = handshake(&none, &asking).unwrap_err();
        assert!(matches!(failure, TlsFailure::CertificateRequired { .. } | TlsFailure::Refused), "{failure}");
        let other = coordinator(&server, &[version], Some(&other));
        let failure = handshake(&shown, &other).unwrap_err();
        assert!(matches!(failure, TlsFailure::CertificateRefused { .. }), "{failure}");
        assert!(failure.is_remote());
    }
}

#[test]
fn a_session_is_resumed_at_the_same_port_and_nowhere_else() {
    let folder = Folder::new();
    let ca = ca("Example CA");
    let cluster = cluster(trusting(&folder, &ca.pem));
    for version in BOTH {
        // One certificate and one store of sessions: the server would resume whatever it is offered.
        let server = coordinator(&ca.signs(&params("x", &["impala-1"])), &[version], None);
        let here = cluster.for_coordinator("impala-1", None).unwrap();
        let there = cluster.for_coordinator("impala-1", None).unwrap();
        assert_eq!(handshake(&here, &server), Ok(HandshakeKind::Full));
        assert_eq!(handshake(&here, &server), Ok(HandshakeKind::Resumed));
        assert_eq!(handshake(&there, &server), Ok(HandshakeKind::Full));
        assert_eq!(handshake(&there, &server), Ok(HandshakeKind::Resumed));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_that_may_come_of_a_session_others_serve_where_one_has_and_else_none_for_a_day() {
    let folder = Folder::new();
    let ca = ca("Example CA");
    let tls = cluster(trusting(&folder, &ca.pem)).for_coordinator("impala-1", None).unwrap();
    let server = coordinator(&ca.signs(&params("x", &["impala-1"])), BOTH, None);
    // Nothing was there that it could object to.
    assert_eq!(answered_with(&tls, &alert(80)).as_str(), "alert");
    assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Full));
    assert_eq!(tls.failed(&io::ErrorKind::ConnectionReset.into()), TlsFailure::Closed);
    assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Resumed));
    // One odd alert.
    assert_eq!(answered_with(&tls, &alert(80)).as_str(), "alert");
    assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Full));
    // It objects to whatever it is offered.
    assert_eq!(answered_with(&tls, &alert(80)).as_str(), "alert");
    for hours in [0, 12, 11] {
        tokio::time::advance(Duration::from_hours(hours)).await;
        assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Full));
        assert_eq!(answered_with(&tls, &alert(80)).as_str(), "alert");
    }
    tokio::time::advance(Duration::from_hours(1)).await;
    assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Full));
    assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Resumed));
}

#[test]
fn no_session_is_resumed_whose_certificate_has_expired() {
    let folder = Folder::new();
    let ca = ca("Example CA");
    // The coordinator's own clock stands still: it would resume.
    let mut old = params("x", &["impala-1"]);
    old.not_after = date_time_ymd(2026, 6, 1) + Duration::from_mins(10);
    let expiry = u64::try_from(old.not_after.unix_timestamp()).unwrap();
    for version in BOTH {
        for verify in [Verify::Full, Verify::Nothing] {
            let is_verified = verify == Verify::Full;
            let settings = ClusterTlsSettings { verify, ..trusting(&folder, &ca.pem) };
            let clock = now();
            let cluster = Arc::new(ClusterTls::load_at(settings, Arc::clone(&clock) as Arc<_>).unwrap());
            let tls = cluster.for_coordinator("impala-1", None).unwrap();
            let server = coordinator(&ca.signs(&old), &[version], None);
            assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Full));
            // Resumed again and again, each time by what the time before has left.
            for _ in 0..10 {
                assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Resumed));
            }
            clock.0.store(expiry, Ordering::Relaxed);
            assert_eq!(handshake(&tls, &server), Ok(HandshakeKind::Resumed));
            clock.0.store(expiry + 1, Ordering::Relaxed);
            let expired = handshake(&tls, &server);
            if is_verified {
                let failure = expired.unwrap_err();
                assert_eq!(failure.as_str(), "untrusted");
                assert!(failure.to_string().contains("expired on 2026-06-01; renew it"), "{failure}");
            } else {
                assert_eq!(expired, Ok(HandshakeKind::Resumed));
            }
            // Renewed meanwhile, and nobody notices.
            let renewed = coordinator(&ca.signs(&params("x", &["impala-1"])), &[version], None);
            assert!(handshake(&tls, &renewed).is_ok());
            assert_eq!(handshake(&tls, &renewed), Ok(HandshakeKind::Resumed));
        }
    }
}
