//! TLS towards the coordinators of a cluster, as the config wants it.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::config::{ClusterConfig, CoordinatorConfig};
use crate::net::tls::certificates::CertificateError;
use crate::net::tls::client::{ClusterTls, NoServerName, Verify};
use crate::serve::settings::TlsPlan;

/// Reads the files of a cluster that is reached with TLS. Warns if nothing is verified.
///
/// # Errors
/// When a file cannot be used.
pub(super) fn plan(config: &ClusterConfig) -> Result<Option<TlsPlan>, CertificateError> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let cluster = Arc::new(ClusterTls::load(tls.settings.clone())?);
    if *cluster.verify() == Verify::Nothing {
        tracing::warn!(
            cluster = %config.name,
            "coordinators' certificates are not verified: passwords go to whoever answers at a coordinator's address, \
             until [cluster.tls] has verify = \"full\""
        );
    }
    Ok(Some(TlsPlan { cluster, web: tls.web }))
}

/// The name that a coordinator's certificate must be for; `None` if it is reached without TLS.
///
/// # Errors
/// When no certificate can be for the name.
pub(super) fn name_for(
    coordinator: &CoordinatorConfig,
    cluster: &ClusterConfig,
) -> Result<Option<ServerName<'static>>, NoServerName> {
    let Some(tls) = cluster.tls.as_ref().filter(|_| coordinator.tls) else { return Ok(None) };
    tls.settings.verify.name_for(&coordinator.host, coordinator.server_name.as_deref()).map(Some)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::control::config::{Config, LogConfig, LogFormat, LogLevel};
    use crate::control::log::subscriber;

    #[test]
    fn each_coordinator_has_the_name_that_its_certificate_must_be_for() {
        let text = include_str!("../../fixtures/config/valid/cluster-tls.toml");
        let config = Config::parse("test", text).unwrap();
        let names = |cluster: &ClusterConfig| -> Vec<Option<String>> {
            let name = |one| name_for(one, cluster).unwrap().map(|name| name.to_str().into_owned());
            cluster.coordinators.iter().map(name).collect()
        };
        let some = |name: &str| Some(name.to_owned());
        let [one, two, three] = config.clusters.as_slice() else { panic!("three clusters") };
        assert_eq!(names(one), [some("impala-1"), some("impala-2.example.com"), None]);
        assert_eq!(names(two), [some("impala.example.com"), some("impala.example.com")]);
        assert_eq!(names(three), [some("impala_6")]);
    }

    /// What is logged while the plan of a cluster with this TLS is made.
    fn logged(tls: &str) -> String {
        let text = format!("[[cluster]]\ncoordinators = [\"a\"]\ntls = {tls}");
        let config = Config::parse("test", &text).unwrap();
        let lines = tempfile::NamedTempFile::new().unwrap();
        let file = lines.reopen().unwrap();
        let log = LogConfig { format: LogFormat::Text, level: LogLevel::Info };
        tracing::subscriber::with_default(subscriber(log, move || file.try_clone().unwrap()).0, || {
            plan(&config.clusters[0]).unwrap();
        });
        fs::read_to_string(lines.path()).unwrap()
    }

    #[test]
    fn to_verify_nothing_is_warned_of_with_the_cluster_and_the_remedy() {
        let said = logged("{ verify = \"none\" }");
        assert!(said.contains("WARN") && said.contains("cluster=impala"), "{said}");
        assert!(said.contains("until [cluster.tls] has verify = \"full\""), "{said}");
    }

    #[test]
    fn a_cluster_without_the_table_has_no_plan_and_one_without_its_files_does_not_start() {
        let parse = |text: &str| Config::parse("test", text).unwrap().clusters.remove(0);
        assert!(plan(&parse("[[cluster]]\ncoordinators = [\"a\"]")).unwrap().is_none());
        let cluster = parse("[[cluster]]\ncoordinators = [\"a\"]\ntls = { verify = \"none\", web = true }");
        assert!(
            plan(&cluster).unwrap().is_some_and(|plan| plan.web && *plan.cluster.verify() == Verify::Nothing)
        );
        let cluster = parse("[[cluster]]\ncoordinators = [\"a\"]\ntls = { ca = \"/no/such.pem\" }");
        assert!(matches!(plan(&cluster), Err(CertificateError::Unreadable { .. })));
    }
}
