//! What `check` says of the certificates of listeners.

use std::fmt;
use std::io::{self, Write};
use std::time::SystemTime;

use crate::control::config::Config;
use crate::net::listen::ListenAddress;
use crate::net::tls::certificates::{Certificate, CertificateError, Standing};
use crate::net::tls::server::{ClientAuth, ListenerTls, Settings};

/// The certificates of one listener.
pub(super) struct Loaded<'a> {
    listener: ListenAddress,
    settings: &'a Settings,
    certificates: Vec<Certificate>,
}

/// Files of listeners that cannot be used; each listener is there with the first of its files.
#[derive(Debug)]
pub struct BadCertificates(Vec<BadFile>);

#[derive(Debug)]
struct BadFile {
    listener: ListenAddress,
    error: CertificateError,
}

impl fmt::Display for BadCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, BadFile { listener, error }) in self.0.iter().enumerate() {
            let line = if nth > 0 { "\n" } else { "" };
            write!(f, "{line}listener {listener}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BadCertificates {}

/// Reads the files of all listeners, as a router would at its start.
pub(super) fn load(config: &Config) -> Result<Vec<Loaded<'_>>, BadCertificates> {
    let (mut loaded, mut bad) = (Vec::new(), Vec::new());
    for listener in &config.listeners {
        let Some(settings) = &listener.tls else { continue };
        let listener = listener.address;
        match ListenerTls::load(settings.clone()) {
            Ok(tls) => loaded.push(Loaded { listener, settings, certificates: tls.certificates() }),
            Err(error) => bad.push(BadFile { listener, error }),
        }
    }
    if bad.is_empty() { Ok(loaded) } else { Err(BadCertificates(bad)) }
}

/// Says what a listener demands of its clients.
pub(super) fn describe_settings(settings: &Settings, out: &mut impl Write) -> io::Result<()> {
    write!(out, "    with TLS {} or newer", settings.minimum_version.as_str())?;
    match settings.clients.as_ref().map(|clients| clients.auth) {
        Some(ClientAuth::Required) => write!(out, ", a client's certificate is required")?,
        Some(ClientAuth::Optional) => write!(out, ", a client's certificate is optional")?,
        None => {}
    }
    writeln!(out, "{}", if settings.required { "" } else { "; clients without TLS are served too" })
}

/// Shows each certificate's names and time, and warns of those that are not good or not for long.
pub(super) fn describe(loaded: &[Loaded<'_>], now: SystemTime, out: &mut impl Write) -> io::Result<()> {
    for Loaded { listener, settings, certificates } in loaded {
        writeln!(out, "\nCertificates of {listener}:")?;
        for certificate in certificates {
            let until = certificate.until_day();
            writeln!(out, "  {}: valid until {until}", certificate.all_names())?;
        }
        for certificate in certificates {
            warn_of(certificate, now, out)?;
            if !certificate.has_alternative_names() {
                writeln!(
                    out,
                    "warning: the certificate for {} has no alternative names, and clients do not read its CN; issue it \
                     with subjectAltName",
                    certificate.name()
                )?;
            }
        }
        let demands = settings.clients.as_ref().is_some_and(|clients| clients.auth == ClientAuth::Required);
        if demands && !settings.required {
            writeln!(
                out,
                "warning: {listener} requires certificates of clients with TLS, but lets in clients without TLS; \
                 remove required = false once they are gone"
            )?;
        }
    }
    Ok(())
}

/// Warns of a certificate that is not valid, or not for long.
pub(super) fn warn_of(certificate: &Certificate, now: SystemTime, out: &mut impl Write) -> io::Result<()> {
    let name = certificate.name();
    match certificate.standing(now) {
        Standing::Valid => Ok(()),
        Standing::Expired => writeln!(out, "warning: the certificate for {name} has expired; renew it"),
        Standing::ExpiresSoon => {
            writeln!(out, "warning: the certificate for {name} expires within 30 days; renew it")
        }
        Standing::NotYetValid => {
            let from = certificate.from_day();
            writeln!(out, "warning: the certificate for {name} is valid only from {from} on")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
    use tempfile::TempDir;

    use super::*;

    /// A folder with a certificate that is valid in the year 2020, and its key.
    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        let names = ["router.example.com", "10.0.0.3"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("a.pem"), certificate + &key.serialize_pem()).unwrap();
        folder
    }

    fn config(folder: &TempDir, keys: &str) -> Config {
        let file = folder.path().join("router.toml");
        let text = format!(
            "[[listener]]\naddress = \"0.0.0.0:21050\"\n[listener.tls]\n{keys}\n[[cluster]]\ncoordinators = [\"a\"]"
        );
        fs::write(&file, text).unwrap();
        Config::load(&file).unwrap_or_else(|error| panic!("{error}"))
    }

    fn said(config: &Config, now: SystemTime) -> String {
        let mut out = Vec::new();
        describe(&load(config).unwrap(), now, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_and_expiry_are_shown_and_warned_of() {
        let folder = folder();
        let config = config(&folder, "certificate = \"a.pem\"");
        let new_year = SystemTime::from(rcgen::date_time_ymd(2020, 1, 1));
        let on_day = |day: u64| said(&config, new_year + Duration::from_hours(24 * day));
        let shown =
            "\nCertificates of 0.0.0.0:21050:\n  router.example.com, 10.0.0.3: valid until 2021-01-01\n";
        assert_eq!(on_day(1), shown);
        assert!(
            on_day(340).contains("warning: the certificate for router.example.com expires within 30 days")
        );
        assert!(on_day(400).contains("warning: the certificate for router.example.com has expired"));
        let early = said(&config, new_year - Duration::from_secs(1));
        assert!(early.contains("is valid only from 2020-01-01 on"), "{early}");
    }

    #[test]
    fn a_certificate_that_clients_cannot_find_a_name_in_is_warned_of() {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "router.example.com");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("a.pem"), certificate + &key.serialize_pem()).unwrap();
        let said = said(&config(&folder, "certificate = \"a.pem\""), rcgen::date_time_ymd(2020, 2, 1).into());
        let warning = "warning: the certificate for router.example.com has no alternative names, and clients";
        assert!(said.contains(warning) && said.contains("subjectAltName"), "{said}");
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_their_listener_and_cost_exit_code_78() {
        let folder = folder();
        let config = config(&folder, "certificate = \"a.pem\"\nkey = \"b.key\"");
        let Err(error) = load(&config) else { panic!("there is no b.key") };
        let text = error.to_string();
        assert!(
            text.starts_with("listener 0.0.0.0:21050: cannot read ") && text.contains("/b.key"),
            "{text}"
        );
        let code = crate::cmd::exit_code(&anyhow::Error::new(error));
        assert_eq!(code, std::process::ExitCode::from(78));
    }

    #[test]
    fn what_is_demanded_of_clients_is_said() {
        let folder = folder();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = authority.self_signed(&KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let keys =
            "certificate = \"a.pem\"\nclient_ca = \"ca.pem\"\nrequired = false\nminimum_version = \"1.3\"";
        let config = config(&folder, keys);
        let mut out = Vec::new();
        describe_settings(config.listeners[0].tls.as_ref().unwrap(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "    with TLS 1.3 or newer, a client's certificate is required; clients without TLS are served too\n"
        );
        let said = said(&config, rcgen::date_time_ymd(2020, 2, 1).into());
        assert!(
            said.contains("warning: 0.0.0.0:21050 requires certificates of clients with TLS, but"),
            "{said}"
        );
    }
}
