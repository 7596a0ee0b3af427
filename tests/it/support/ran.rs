//! What ran together, for README's table of what hs2router was tested with and for `docs/CLIENTS.md`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;

use super::clients::{Shown, Target, Tls};

/// The folder that `tests/run` collects the notes in; without it nothing is noted.
const FOLDER: &str = "HS2ROUTER_RAN";

/// The metric of a ticket with which the router itself goes to servers.
const TICKET: &str = "hs2router_kerberos_ticket_expires_timestamp_seconds{";

/// A client and servers that met through the router.
#[derive(Clone, Copy)]
pub(crate) struct Met<'a> {
    /// What the client showed.
    pub(crate) shown: &'a Shown,
    /// The servers' name in `tests/tested_with`.
    pub(crate) server: &'a str,
    /// Where the client reached the router.
    pub(crate) target: &'a Target,
}

impl Met<'_> {
    /// Notes that the client got through the router what it gets from a server directly, or what it should get, if
    /// that was more than a refusal; and how deep the router understood its connections, as these metrics of the router's say.
    ///
    /// # Panics
    ///
    /// When the metrics count no connection of a client, or the note cannot be written.
    pub(crate) fn got_through(self, metrics: &str) {
        let depths = depths(metrics);
        assert!(!depths.is_empty(), "no connection was counted: {metrics}");
        let has_own_ticket = metrics.lines().any(|line| line.starts_with(TICKET) && !line.ends_with(" 0"));
        let by = if has_own_ticket { "-by-own-ticket" } else { "" };
        if !self.shown.output.is_empty() {
            self.note(&format!("{}{by}", Vec::from_iter(depths).join("+")), "");
        }
    }

    /// Notes that the client was refused with this text, which is part of what it complained about.
    ///
    /// # Panics
    ///
    /// When it was not, or the note cannot be written.
    pub(crate) fn was_refused(self, text: &str) {
        assert!(self.shown.complaints.concat().contains(text), "{:?}", self.shown);
        self.note("refused", text);
    }

    fn note(self, outcome: &str, text: &str) {
        let Shown { client, login, .. } = self.shown;
        assert!(!client.is_empty(), "{:?} does not say what it is of", self.shown);
        let tls = if self.target.tls == Tls::Off { "" } else { "TLS-" };
        if let Some(folder) = env::var_os(FOLDER) {
            let name = format!("{client} {} {tls}{login} {outcome}", self.server);
            fs::write(PathBuf::from(folder).join(name), text).unwrap();
        }
    }
}

/// The depths of which a router has counted connections.
fn depths(metrics: &str) -> BTreeSet<&str> {
    let counted = |line: &'_ str| line.starts_with("hs2router_connections_total{") && !line.ends_with(" 0");
    let lines = metrics.lines().filter(|line| counted(line));
    lines.filter_map(|line| line.split_once("depth=\"")?.1.split('"').next()).collect()
}
