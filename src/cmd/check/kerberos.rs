//! What `check` says about Kerberos.

use std::fs::File;
use std::io::{self, Write};

use anyhow::Context as _;

use crate::control::config::{ClusterKerberos, Config, ListenerKerberos};
use crate::net::kerberos::{IS_BUILT_IN, Keytabs, NOT_BUILT_IN};

/// Looks whether this build has what the config needs, and whether the keytabs can be read.
///
/// # Errors
/// When it has not, or one cannot be.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    let Some(Keytabs { listeners, clusters }) = config.keytabs() else { return Ok(()) };
    anyhow::ensure!(IS_BUILT_IN, NOT_BUILT_IN);
    for keytab in listeners.iter().chain(&clusters) {
        File::open(keytab).with_context(|| format!("cannot read the keytab {}", keytab.display()))?;
    }
    Ok(())
}

pub(super) fn describe_listener(kerberos: &ListenerKerberos, out: &mut impl Write) -> io::Result<()> {
    let ListenerKerberos { keytab, principal, rules } = kerberos;
    let realms = rules.realms.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let keytab = keytab.display();
    match principal {
        Some(principal) => write!(out, "    accepts tickets for {principal}, whose key is in {keytab},")?,
        None => write!(out, "    accepts tickets for any principal in {keytab},")?,
    }
    writeln!(out, " of users of {realms}")
}

pub(super) fn describe_cluster(kerberos: &ClusterKerberos, out: &mut impl Write) -> io::Result<()> {
    let ClusterKerberos { principal, keytab, coordinator } = kerberos;
    let keytab = keytab.display();
    writeln!(out, "  as {principal} with the key in {keytab}, with tickets for {coordinator}")
}
