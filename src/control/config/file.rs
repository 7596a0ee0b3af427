//! Reads a config file into its tables, as written.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::host::HostPort;
use super::keys::{
    AdminFile, ClusterFile, CoordinatorFile, ListenerFile, LogFile, PairFile, RouterFile, SECTIONS,
};
use super::problem::{Fault, Problems};
use super::section::{Section, nearest, not_a_table, table};
use super::value::{Value, bad_value, wrong_type};

/// The whole document.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) router: RouterFile,
    pub(super) log: LogFile,
    pub(super) admin: AdminFile,
    pub(super) listeners: Vec<ListenerFile>,
    pub(super) clusters: Vec<ClusterFile>,
    /// The address of the default listeners, if none is written; none for all addresses.
    pub(super) listen_on: Option<IpAddr>,
    /// Whether the key `cluster` is there in any form, even an invalid one.
    pub(super) names_a_cluster: bool,
}

impl File {
    /// Reads a document that is valid TOML; problems with its keys and values are added to `problems`.
    pub(super) fn read(document: &DeTable<'_>, problems: &mut Problems) -> Self {
        refuse_other_tables(document, problems);
        Self {
            router: one(document, problems),
            log: one(document, problems),
            admin: one(document, problems),
            listeners: many(document, problems),
            clusters: many(document, problems),
            listen_on: Some(Ipv4Addr::UNSPECIFIED.into()),
            names_a_cluster: document.contains_key(ClusterFile::INFO.path),
        }
    }
}

fn refuse_other_tables(document: &DeTable<'_>, problems: &mut Problems) {
    // A coordinator's table has no header of its own.
    let tables = || SECTIONS.iter().filter(|section| !section.path.contains('.'));
    for key in document.keys() {
        let name: &str = key.get_ref();
        if tables().any(|section| section.path == name) {
            continue;
        }
        let hint = match nearest(name, tables().map(|section| section.path)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("tables are {}", tables().map(|s| s.header).collect::<Vec<_>>().join(", ")),
        };
        problems.add(&key.span(), name, Fault::UnknownKey { hint });
    }
}

/// A `[section]`; all defaults where it is absent.
fn one<S: Section>(document: &DeTable<'_>, problems: &mut Problems) -> S {
    let info = S::INFO;
    let value = document.get(info.path);
    let found = value.and_then(|value| Some((table(value, &info, problems)?, value.span())));
    match found {
        Some((table, at)) => S::read(table, &at, problems),
        None => S::read(&DeTable::new(), &(0..0), problems),
    }
}

/// Every `[[section]]`.
fn many<S: Section>(document: &DeTable<'_>, problems: &mut Problems) -> Vec<S> {
    let info = S::INFO;
    let Some(value) = document.get(info.path) else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        problems.add(&value.span(), info.path, not_a_table(value.get_ref(), &info));
        return Vec::new();
    };
    let mut sections = Vec::with_capacity(list.len());
    for value in list {
        if let Some(table) = table(value, &info, problems) {
            sections.push(S::read(table, &value.span(), problems));
        }
    }
    sections
}

impl Value for Vec<CoordinatorFile> {
    fn kind() -> String {
        "list of hosts or tables".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let Some(list) = value.get_ref().as_array() else {
            let fault = wrong_type(value.get_ref(), "a list of hosts such as [\"impala-1\", \"impala-2\"]");
            problems.add(&value.span(), key, fault);
            return None;
        };
        Some(list.iter().map(|value| CoordinatorFile::read_any(value, key, problems)).collect())
    }
}

impl Value for Vec<PairFile> {
    fn kind() -> String {
        "list of tables".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let expected = "a list of tables such as [{ certificate = \"a.crt\", key = \"a.key\" }]";
        let Some(list) = value.get_ref().as_array() else {
            problems.add(&value.span(), key, wrong_type(value.get_ref(), expected));
            return None;
        };
        let mut pairs = Self::with_capacity(list.len());
        for value in list {
            match value.get_ref().as_table() {
                Some(table) => pairs.push(PairFile::read(table, &value.span(), problems)),
                None => problems.add(
                    &value.span(),
                    key,
                    wrong_type(value.get_ref(), "a table { certificate = \"…\", key = \"…\" }"),
                ),
            }
        }
        Some(pairs)
    }
}

impl CoordinatorFile {
    /// A value that cannot be read is noted and becomes a coordinator without a host, so that the others are
    /// still checked.
    fn read_any(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Self {
        let at = value.span();
        let fault = match value.get_ref() {
            DeValue::Table(table) => return Self::read(table, &at, problems),
            DeValue::String(text) => match text.parse::<HostPort>() {
                Ok(host) => return Self::at_host(&host, &at, problems),
                Err(why) => bad_value(text, why, "a host name or an IP address, perhaps with a port"),
            },
            other => wrong_type(other, "a host or a table { host = \"…\" }"),
        };
        problems.add(&at, key, fault);
        // The missing host follows from the problem that was just noted.
        Self::read(&DeTable::new(), &at, &mut Problems::of_arguments())
    }

    /// The coordinator for which only a host is given. If it has a port, that is its `HiveServer2` port and
    /// it has no other service, because the ports of others are not known.
    pub(super) fn at_host(host: &HostPort, at: &Range<usize>, problems: &mut Problems) -> Self {
        let mut table = DeTable::new();
        let text = |text: String| Spanned::new(at.clone(), DeValue::String(text.into()));
        let mut set = |name: &'static str, value| {
            table.insert(Spanned::new(at.clone(), name.into()), value);
        };
        set("host", text(host.host.to_string()));
        set("name", text(host.to_string()));
        let mut coordinator = Self::read(&table, at, problems);
        if let Some(port) = host.port {
            coordinator.hs2.value = Some(port);
            for absent in [&mut coordinator.beeswax, &mut coordinator.hs2_http, &mut coordinator.web] {
                absent.value = Some(0);
            }
        }
        coordinator
    }
}
