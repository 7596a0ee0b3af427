//! The clusters that TLS clients choose by their server name: `{ "impala-a.example.com" = "a" }`.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::DeValue;

use super::host::Name;
use super::problem::{Fault, Problems};
use super::value::{Entry, Value, bad_value, wrong_type};
use crate::net::server_names::NamePattern;

/// Which cluster each server name stands for.
#[derive(Clone, Debug)]
pub(super) struct NamesFile(pub(super) Vec<NameFile>);

/// A server name or pattern with the cluster that it stands for.
#[derive(Clone, Debug)]
pub(super) struct NameFile {
    pub(super) pattern: NamePattern,
    pub(super) cluster: Entry<Name>,
}

impl Value for NamesFile {
    fn kind() -> String {
        "table of clusters by server name".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            let fault = wrong_type(value.get_ref(), "a table such as { \"a.example.com\" = \"a\" }");
            problems.add(&value.span(), key, fault);
            return None;
        };
        let mut names = Vec::with_capacity(table.len());
        let mut seen = HashSet::new();
        for (name, cluster) in table {
            let text: &str = name.get_ref();
            match text.parse::<NamePattern>() {
                Ok(pattern) if seen.insert(pattern.clone()) => {
                    let value = Name::read(cluster, key, problems);
                    let cluster = Entry { value, written: true, at: cluster.span(), key };
                    names.push(NameFile { pattern, cluster });
                }
                Ok(pattern) => {
                    let remedy = "list each server name once; upper and lower case are the same";
                    problems.add(&name.span(), key, Fault::Duplicate { value: pattern.to_string(), remedy });
                }
                Err(why) => {
                    let expected = "a host name such as \"a.example.com\" or \"*.example.com\"";
                    problems.add(&name.span(), key, bad_value(text, why, expected));
                }
            }
        }
        Some(Self(names))
    }
}
