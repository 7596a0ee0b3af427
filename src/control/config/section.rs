//! Tables of the config: their keys, defaults and meanings, stated once for both the reader and the
//! reference.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Problems};
use super::value::{Entry, Value};

/// What holds when a key is absent.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// This value, as TOML.
    Default(&'static str),
    /// A value that depends on other keys, in words; the words are made from the real values where there are
    /// any.
    Derived(fn() -> String),
    /// The key is required; this is an example.
    Required(&'static str),
}

/// A supported key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name of the key.
    pub name: &'static str,
    /// The type, as the reference names it.
    pub kind: fn() -> String,
    /// What holds when it is absent.
    pub absent: Absent,
    /// What it does, one string per line.
    pub meaning: &'static [&'static str],
}

/// A table of the config.
#[derive(Clone, Copy, Debug)]
pub struct SectionInfo {
    /// The path of its keys: `cluster.coordinators`.
    pub path: &'static str,
    /// How the table is written: `[[cluster]]`.
    pub header: &'static str,
    /// What it is for, one string per line.
    pub about: &'static [&'static str],
    /// The supported keys.
    pub keys: &'static [Key],
    /// The keys that are planned, with what they will do.
    pub later: &'static [(&'static str, &'static str)],
}

impl SectionInfo {
    fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key) || self.later.iter().any(|(name, _)| *name == key)
    }
}

/// A table with a type of its own.
pub(super) trait Section: Sized {
    const INFO: SectionInfo;

    /// Reads every key of the table; problems are added to `problems`.
    fn read(table: &DeTable<'_>, at: &Range<usize>, problems: &mut Problems) -> Self;
}

/// Defines a [`Section`]: `key: Type = default(literal)`, `= derived("words")`, `= computed(function)` that
/// makes the words, or `= required("example")`. Where it is used, `SECTIONS` lists all of them.
macro_rules! section {
    (
        $(#[doc = $about:expr])*
        $name:ident at $path:literal, $header:literal {
            $( $(#[doc = $doc:expr])* $field:ident: $type:ty = $how:ident($absent:expr), )*
        }
        later { $($later:literal: $later_meaning:literal,)* }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub(in $crate::control::config) struct $name {
            $( $(#[doc = $doc])* pub(in $crate::control::config) $field: Entry<$type>, )*
        }

        impl Section for $name {
            const INFO: SectionInfo = SectionInfo {
                path: $path,
                header: $header,
                about: &[$($about),*],
                keys: &[$(Key {
                    name: stringify!($field),
                    kind: <$type as Value>::kind,
                    absent: section!(@absent $how $absent),
                    meaning: &[$($doc),*],
                }),*],
                later: &[$(($later, $later_meaning)),*],
            };

            fn read(
                table: &toml::de::DeTable<'_>,
                at: &std::ops::Range<usize>,
                problems: &mut Problems,
            ) -> Self {
                $crate::control::config::section::refuse_other_keys(
                    table,
                    &Self::INFO,
                    SECTIONS,
                    problems,
                );
                Self {
                    $($field: $crate::control::config::section::read_key(
                        table,
                        at,
                        &$crate::control::config::section::KeyName {
                            name: stringify!($field),
                            path: concat!($path, ".", stringify!($field)),
                            absent: section!(@absent $how $absent),
                        },
                        problems,
                    ),)*
                }
            }
        }
    };
    (@absent default $value:expr) => { Absent::Default(stringify!($value)) };
    (@absent derived $words:expr) => { Absent::Derived(|| $words.to_owned()) };
    (@absent computed $words:expr) => { Absent::Derived($words) };
    (@absent required $value:expr) => { Absent::Required($value) };
}
pub(super) use section;

/// What [`read_key`] needs to know about a key.
pub(super) struct KeyName {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) absent: Absent,
}

/// Reads one key of a table, or its default.
pub(super) fn read_key<T: Value>(
    table: &DeTable<'_>,
    table_at: &Range<usize>,
    key: &KeyName,
    problems: &mut Problems,
) -> Entry<T> {
    let KeyName { name, path, absent } = *key;
    if let Some(value) = table.get(name) {
        let read = T::read(value, path, problems);
        return Entry { value: read, written: true, at: value.span(), key: path };
    }
    let value = match absent {
        Absent::Default(text) => {
            DeValue::parse(text).ok().and_then(|default| T::read(&default, path, problems))
        }
        Absent::Derived(_) => None,
        Absent::Required(example) => {
            problems.add(table_at, path, Fault::Missing { example });
            None
        }
    };
    Entry { value, written: false, at: table_at.clone(), key: path }
}

/// Notes every key that the section does not support. The hint may name another section, one of `all`.
pub(super) fn refuse_other_keys(
    table: &DeTable<'_>,
    info: &SectionInfo,
    all: &[SectionInfo],
    problems: &mut Problems,
) {
    for key in table.keys() {
        let name: &str = key.get_ref();
        if info.keys.iter().any(|known| known.name == name) {
            continue;
        }
        let fault = if info.knows(name) {
            Fault::NotSupportedYet
        } else {
            Fault::UnknownKey { hint: hint(name, info, all) }
        };
        problems.add(&key.span(), &format!("{}.{name}", info.path), fault);
    }
}

fn hint(name: &str, info: &SectionInfo, all: &[SectionInfo]) -> String {
    let names = || info.keys.iter().map(|key| key.name);
    if let Some(near) = nearest(name, names()) {
        return format!("did you mean {near:?}?");
    }
    let elsewhere = all.iter().find(|section| section.knows(name));
    match elsewhere {
        Some(section) => format!("it belongs to {}", section.header),
        None => format!("known here: {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// The known word of which `word` is most likely a misspelling.
pub(super) fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let distances = known.map(|name| (strsim::damerau_levenshtein(word, name), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.len() / 4).then_some(name)
}

/// The table that is the value of a key; notes a problem if the value is something else.
pub(super) fn table<'v, 'i>(
    value: &'v Spanned<DeValue<'i>>,
    info: &SectionInfo,
    problems: &mut Problems,
) -> Option<&'v DeTable<'i>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        problems.add(&value.span(), info.path, not_a_table(value.get_ref(), info));
    }
    table
}

/// The problem with a value where `[section]` or `[[section]]` belongs.
pub(super) fn not_a_table(value: &DeValue<'_>, info: &SectionInfo) -> Fault {
    super::value::wrong_type(value, &format!("a line {} with the keys below it", info.header))
}
