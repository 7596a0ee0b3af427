//! How the certificates of coordinators are judged, and what is said of bad ones.

use super::*;

#[track_caller]
fn assert_untrusted(failure: TlsFailure, expected: &Distrust, said: &str) {
    assert_eq!(failure.to_string(), said);
    assert!(failure.is_remote());
    assert_eq!(failure.as_str(), "untrusted");
    match failure {
        TlsFailure::Untrusted(untrusted) => assert_eq!(untrusted.distrust, *expected),
        other => panic!("{other:?}"),
    }
}

/// How a cluster that trusts `trusted` judges the certificate of the coordinator `impala-1`.
fn judged(trusted: &str, pair: &Pair) -> (Result<HandshakeKind, TlsFailure>, String) {
    let folder = Folder::new();
    let settings = trusting(&folder, trusted);
    let roots = settings.ca.clone().unwrap().display().to_string();
    let tls = cluster(settings).for_coordinator("impala-1", None).unwrap();
    let [newer, older] = BOTH
        .iter()
        .map(|version| coordinator(pair, &[version], None))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let result = handshake(&tls, &newer);
    assert_eq!(result, handshake(&tls, &older), "the same in both versions");
    (result, roots)
}

#[test]
fn a_certificate_for_the_coordinators_name_is_trusted() {
    let ca = ca("Example CA");
    let (result, _) = judged(&ca.pem, &ca.signs(&params("x", &["impala-1"])));
    assert_eq!(result, Ok(HandshakeKind::Full));
}

#[test]
fn a_certificate_for_another_name_is_told_with_its_names() {
    let ca = ca("Example CA");
    let pair = ca.signs(&params("impala-x", &["impala-x.example.com", "10.0.0.9"]));
    let (result, _) = judged(&ca.pem, &pair);
    assert_untrusted(
        result.unwrap_err(),
        &Distrust::WrongName { expected: "impala-1".to_owned() },
        "its certificate (CN=impala-x, for impala-x.example.com 10.0.0.9, issued by CN=Example CA, valid until \
         2027-01-01) is not for the name impala-1; set server_name to a name that it is for, or have it issued for \
         impala-1 too",
    );
}

#[test]
fn a_certificate_with_nothing_but_a_cn_is_explained() {
    let ca = ca("Example CA");
    let (result, _) = judged(&ca.pem, &ca.signs(&params("impala-1", &[])));
    assert_untrusted(
        result.unwrap_err(),
        &Distrust::WrongName { expected: "impala-1".to_owned() },
        "its certificate (CN=impala-1, for no host name, issued by CN=Example CA, valid until 2027-01-01) has no \
         alternative names, and its CN is not read; have it issued with impala-1 as an alternative name",
    );
}

#[test]
fn a_certificate_out_of_its_time_is_told_with_the_date() {
    let ca = ca("Example CA");
    let mut expired = params("impala-1", &["impala-1"]);
    expired.not_after = date_time_ymd(2026, 1, 2);
    let said = "its certificate (CN=impala-1, for impala-1, issued by CN=Example CA, valid until";
    assert_untrusted(
        judged(&ca.pem, &ca.signs(&expired)).0.unwrap_err(),
        &Distrust::Expired,
        &format!("{said} 2026-01-02) expired on 2026-01-02; renew it on the coordinator"),
    );
    let mut early = params("impala-1", &["impala-1"]);
    early.not_before = date_time_ymd(2026, 7, 1);
    assert_untrusted(
        judged(&ca.pem, &ca.signs(&early)).0.unwrap_err(),
        &Distrust::NotYetValid,
        &format!("{said} 2027-01-01) is not valid before 2026-07-01; compare the clocks of both machines"),
    );
}

#[test]
fn a_certificate_of_another_issuer_is_told_with_the_issuer_and_the_file() {
    let (trusted, other) = (ca("Example CA"), ca("Other CA"));
    let (result, roots) = judged(&trusted.pem, &other.signs(&params("impala-1", &["impala-1"])));
    assert_untrusted(
        result.unwrap_err(),
        &Distrust::UnknownIssuer { roots: roots.clone() },
        &format!(
            "its certificate (CN=impala-1, for impala-1, issued by CN=Other CA, valid until 2027-01-01) cannot be \
             traced to an issuer in {roots}; add CN=Other CA to the file of ca, or have the coordinator send the \
             certificates between"
        ),
    );
}

#[test]
fn a_certificate_of_an_issuer_with_a_new_key_is_told_apart() {
    let (trusted, renewed) = (ca("Example CA"), ca("Example CA"));
    let (result, roots) = judged(&trusted.pem, &renewed.signs(&params("impala-1", &["impala-1"])));
    assert_untrusted(
        result.unwrap_err(),
        &Distrust::BadSignature { roots: roots.clone() },
        &format!(
            "its certificate (CN=impala-1, for impala-1, issued by CN=Example CA, valid until 2027-01-01) was signed \
             with another key than that of CN=Example CA in {roots}; put the issuer's present certificate there"
        ),
    );
}

#[test]
fn a_certificate_for_clients_alone_is_no_servers() {
    let ca = ca("Example CA");
    let mut of_client = params("impala-1", &["impala-1"]);
    of_client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_untrusted(
        judged(&ca.pem, &ca.signs(&of_client)).0.unwrap_err(),
        &Distrust::WrongPurpose,
        "its certificate (CN=impala-1, for impala-1, issued by CN=Example CA, valid until 2027-01-01) is not made for \
         servers; have it issued with the purpose serverAuth",
    );
}

/// As `openssl req -x509` makes it: marked as an issuer.
fn self_signed_by_openssl() -> CertificateParams {
    let mut params = params("impala-1", &["impala-1"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

#[test]
fn a_self_signed_certificate_is_trusted_only_if_it_is_listed() {
    for params in [params("impala-1", &["impala-1"]), self_signed_by_openssl()] {
        let pair = self_signed(&params);
        assert_eq!(judged(&pair.pem, &pair).0, Ok(HandshakeKind::Full));
        let (result, roots) = judged(&ca("Example CA").pem, &pair);
        let failure = result.unwrap_err().to_string();
        let expected = format!("is self-signed and not in {roots}; add it to the file of ca");
        assert!(failure.ends_with(&expected), "{failure}");
    }
}

#[test]
fn a_listed_certificate_that_is_no_authority_vouches_for_no_other() {
    let listed = params("impala-2", &["impala-2"]);
    let key = KeyPair::generate().unwrap();
    let pem = listed.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(listed, key);
    let forged = Ca { pem, der: CertificateDer::from(Vec::new()), issuer };
    let pair = forged.signs(&params("impala-1", &["impala-1"]));
    let authority = ca("Example CA");
    // Whether or not an authority is listed beside it.
    for trusted in [forged.pem.clone(), forged.pem.clone() + &authority.pem] {
        let (result, roots) = judged(&trusted, &pair);
        match result.unwrap_err() {
            TlsFailure::Untrusted(untrusted) => {
                assert_eq!(untrusted.distrust, Distrust::UnknownIssuer { roots });
            }
            other => panic!("{other:?}"),
        }
    }
    let leaf = authority.signs(&params("impala-1", &["impala-1"]));
    assert_eq!(judged(&(forged.pem + &authority.pem), &leaf).0, Ok(HandshakeKind::Full));
}

#[test]
fn the_certificate_of_an_issuer_is_no_servers() {
    let ca = ca("Example CA");
    let failure = judged(&ca.pem, &ca.signs(&self_signed_by_openssl())).0.unwrap_err().to_string();
    assert!(failure.ends_with("is not acceptable: CaUsedAsEndEntity"), "{failure}");
}

#[test]
fn a_listed_certificate_must_still_be_for_the_name_and_the_time() {
    let mut other_name = self_signed_by_openssl();
    other_name.subject_alt_names = params("", &["impala-2"]).subject_alt_names;
    let pair = self_signed(&other_name);
    let failure = judged(&pair.pem, &pair).0.unwrap_err().to_string();
    assert!(failure.contains("for impala-2,") && failure.contains("not for the name impala-1"), "{failure}");
    let mut expired = self_signed_by_openssl();
    expired.not_after = date_time_ymd(2026, 5, 31);
    let pair = self_signed(&expired);
    let failure = judged(&pair.pem, &pair).0.unwrap_err().to_string();
    assert!(failure.contains("expired on 2026-05-31"), "{failure}");
    let mut early = self_signed_by_openssl();
    early.not_before = date_time_ymd(2026, 6, 2);
    let pair = self_signed(&early);
    let failure = judged(&pair.pem, &pair).0.unwrap_err().to_string();
    assert!(failure.contains("not valid before 2026-06-02"), "{failure}");
}

#[test]
fn what_a_stranger_writes_into_a_certificate_is_bounded_and_plain() {
    let ca = ca("Example CA");
    let names: Vec<String> = (0..500).map(|n| format!("impala-{n:03}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cn = format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(5000));
    let seen = Certificate::of(&ca.signs(&params(&cn, &names)).der).unwrap().to_string();
    assert!(seen.len() < 500 && seen.contains("and 495 more"), "{seen}");
    assert!(seen.starts_with("CN=a?b?[31m?xxx") && seen.contains('…'), "{seen}");
}

#[test]
fn every_beginning_of_a_certificate_is_read_or_not_but_never_worse() {
    let der = ca("Example CA").signs(&params("impala-1", &["impala-1", "10.0.0.1"])).der;
    for end in 0..der.len() {
        assert_eq!(Certificate::of(&der[..end]).ok(), None, "{end}");
    }
    assert!(Certificate::of(&der).is_ok());
}
