//! What is read from certificates' files, and what is said of bad ones.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::net::tls::certificates::Standing;
use crate::net::tls::certificates::test::version_1;

fn loaded(certificate: PathBuf, key: PathBuf) -> Result<Vec<Certificate>, String> {
    let listener = ListenerTls::load(settings(vec![PairFiles { certificate, key }]));
    listener.map(|listener| listener.certificates()).map_err(|error| error.to_string())
}

#[track_caller]
fn is_said(result: Result<Vec<Certificate>, String>, words: &[&str]) {
    let said = result.unwrap_err();
    for word in words.iter().chain(&["; "]) {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

#[test]
fn names_addresses_and_times_are_read() {
    let folder = Folder::new();
    let mut params = params(&["Router.example.com", "*.example.com", "10.0.0.3", "::1"]);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 3, 1);
    let pair = folder.write_pair("a", &issue(&params, &folder.authority));
    let certificate = loaded(pair.certificate, pair.key).unwrap().remove(0);
    assert_eq!(certificate.names, ["router.example.com", "*.example.com"]);
    assert_eq!(certificate.all_names(), "router.example.com, *.example.com, 10.0.0.3, ::1");
    assert_eq!(certificate.name(), "router.example.com");
    let at = |year, month, day| SystemTime::from(rcgen::date_time_ymd(year, month, day));
    assert_eq!(certificate.standing(at(2019, 12, 31)), Standing::NotYetValid);
    assert_eq!(certificate.standing(at(2020, 1, 1)), Standing::Valid);
    assert_eq!(certificate.standing(at(2020, 1, 31)), Standing::Valid);
    assert_eq!(certificate.standing(at(2020, 2, 1)), Standing::ExpiresSoon);
    assert_eq!(certificate.standing(at(2020, 3, 2)), Standing::Expired);
    assert_eq!(certificate.standing(UNIX_EPOCH), Standing::NotYetValid);
}

#[test]
fn a_certificate_without_alternative_names_is_for_its_common_name() {
    let folder = Folder::new();
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, "Impala.example.com");
    let pair = folder.write_pair("a", &issue(&params, &folder.authority));
    assert_eq!(loaded(pair.certificate, pair.key).unwrap()[0].names, ["impala.example.com"]);
}

#[test]
fn a_certificate_of_version_1_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let der = version_1(params(&[]).signed_by(&key, &folder.authority).unwrap().der());
    let text = data_encoding::BASE64.encode(&der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let pair = folder.write_pair("a", &Issued { certificate: pem, key: key.serialize_pem() });
    let words = ["certificate 1 in ", "of X.509 version 1, ", "have it issued as version 3", "-extfile"];
    is_said(loaded(pair.certificate, pair.key), &words);
}

#[test]
fn one_file_may_have_the_certificate_its_authorities_and_the_key() {
    let folder = Folder::new();
    let Issued { certificate, key } = issue(&params(&["a"]), &folder.authority);
    let ca = folder.authority.pem();
    for text in [format!("{certificate}{ca}{key}"), format!("{key}\n# a remark\n{certificate}{ca}")] {
        let file = folder.write("all.pem", text);
        assert_eq!(loaded(file.clone(), file).unwrap()[0].names, ["a"]);
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let folder = Folder::new();
    let Issued { certificate, key } = issue(&params(&["a"]), &folder.authority);
    let good = |file: &str, text: &str| folder.write(file, text);
    let (crt, own) = (good("a.crt", &certificate), good("a.key", &key));
    let other = good("other.key", &KeyPair::generate().unwrap().serialize_pem());
    is_said(loaded(folder.path("none"), own.clone()), &["cannot read", "/none", "No such file"]);
    is_said(loaded(folder.files.path().into(), own.clone()), &["cannot read", "directory"]);
    is_said(loaded(good("empty", ""), own.clone()), &["/empty is empty"]);
    is_said(loaded(crt.clone(), good("no.key", "hello")), &["/no.key has no private key"]);
    is_said(loaded(good("no.crt", "hello"), own.clone()), &["/no.crt has no certificate"]);
    is_said(loaded(own.clone(), own.clone()), &["/a.key has no certificate"]);
    is_said(loaded(crt.clone(), crt.clone()), &["/a.crt has no private key"]);
    is_said(
        loaded(crt.clone(), other.clone()),
        &["other.key does not belong to the certificate in", "a.crt"],
    );
    let half = certificate.split("-----END").next().unwrap();
    is_said(loaded(good("half", half), own.clone()), &["/half is not valid PEM: a section has no -----END"]);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    is_said(loaded(good("bad", garbage), own.clone()), &["certificate 1 in", "/bad is invalid"]);
    let chain = format!("{certificate}{garbage}");
    is_said(loaded(good("bad.chain", &chain), own.clone()), &["certificate 2 in", "/bad.chain is invalid"]);
    let chain = folder.authority.pem() + &certificate;
    is_said(
        loaded(good("order", &chain), own.clone()),
        &["belongs to certificate 2 in", "put that one first"],
    );
    let large = vec![b'\n'; (4 << 20) + 1];
    is_said(loaded(folder.write("large", large), own), &["/large is larger than 4 MiB"]);
    let listener = Settings { ticket_key: Some(good("hex", &"ab".repeat(48))), ..settings(vec![]) };
    let said = ListenerTls::load(listener).unwrap_err().to_string();
    assert!(said.contains("/hex has no ticket keys (the key in line 1 has 72 bytes)"), "{said}");
    let listener = Settings { ticket_key: Some(good("pem", &key)), ..settings(vec![]) };
    let said = ListenerTls::load(listener).unwrap_err().to_string();
    assert!(said.contains("/pem has no ticket keys (it is a PEM file)"), "{said}");
}

#[test]
fn a_private_key_is_in_no_message() {
    let folder = Folder::new();
    let pair = folder.pair("a", &["a"]);
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0";
    let texts = [
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n"),
        format!("-----BEGIN PRIVATE KEY {secret}\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}!\n-----END PRIVATE KEY-----\n"),
    ];
    for text in texts {
        let said = loaded(pair.certificate.clone(), folder.write("bad.key", text)).unwrap_err();
        assert!(!said.contains(secret) && !said.contains("secret"), "{said}");
    }
}

/// What OpenSSL writes.
fn openssl(folder: &Folder, arguments: &str) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.files.path()).output();
    let output = run.expect("openssl can be run");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn keys_of_all_forms_that_openssl_writes_are_read_but_encrypted_ones_are_not() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("HS2ROUTER_REQUIRE_TOOLS").is_none(), "openssl is required and missing");
        println!("skipped: openssl is missing");
        return;
    }
    let folder = Folder::new();
    for kind in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256", "ed25519"] {
        let request = "-nodes -subj /CN=a -days 2 -keyout pkcs8.key -out a.crt";
        openssl(&folder, &format!("req -x509 -newkey {kind} {request}"));
        let of = |key: &str| loaded(folder.path("a.crt"), folder.path(key));
        assert_eq!(of("pkcs8.key").unwrap()[0].names, ["a"], "{kind}");
        openssl(&folder, "pkey -in pkcs8.key -aes256 -passout pass:x -out encrypted.key");
        is_said(of("encrypted.key"), &["encrypted.key is encrypted", "openssl pkey"]);
        // Ed25519 has no older form.
        if kind != "ed25519" {
            openssl(&folder, "pkey -in pkcs8.key -traditional -out old.key");
            let old = fs::read_to_string(folder.path("old.key")).unwrap();
            assert!(old.contains("BEGIN RSA PRIVATE KEY") || old.contains("BEGIN EC PRIVATE KEY"), "{old}");
            assert_eq!(of("old.key").unwrap()[0].names, ["a"], "{kind}");
            openssl(
                &folder,
                "pkey -in pkcs8.key -traditional -aes256 -passout pass:x -out old-encrypted.key",
            );
            is_said(of("old-encrypted.key"), &["old-encrypted.key is encrypted"]);
        }
    }
    openssl(&folder, "rand -out tickets.key 48");
    let pairs = vec![folder.pair("a", &["a"])];
    let ticket_key = Some(folder.path("tickets.key"));
    assert!(ListenerTls::load(Settings { ticket_key, ..settings(pairs) }).is_ok());
    openssl(&folder, "req -x509 -newkey rsa:1024 -nodes -subj /CN=a -keyout short.key -out a.crt");
    is_said(loaded(folder.path("a.crt"), folder.path("short.key")), &["short.key cannot be used", "2048"]);
}
