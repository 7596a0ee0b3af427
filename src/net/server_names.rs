//! Host names that TLS clients ask for, each with what it stands for.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// The longest host name (RFC 1035 §2.3.4, without the last dot).
const LONGEST: usize = 253;

/// A host name, or all names one label below one: `impala.example.com`, `*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern {
    /// In lower case, without the `*.`.
    name: Box<str>,
    is_wildcard: bool,
}

/// The text is not a [`NamePattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a host name, nor one behind \"*.\"")]
pub struct NoNamePattern;

impl FromStr for NamePattern {
    type Err = NoNamePattern;

    fn from_str(text: &str) -> Result<Self, NoNamePattern> {
        let (name, is_wildcard) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let is_label = |label: &str| {
            let is_one = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(is_one)
        };
        if name.len() > LONGEST || !name.split('.').all(is_label) {
            return Err(NoNamePattern);
        }
        Ok(Self { name: name.to_ascii_lowercase().into(), is_wildcard })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_wildcard { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}

/// What each name stands for.
#[derive(Clone, Debug)]
pub struct ServerNames<T> {
    exact: HashMap<Box<str>, T>,
    /// By the name behind the `*.`.
    wildcards: HashMap<Box<str>, T>,
}

impl<T> Default for ServerNames<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcards: HashMap::new() }
    }
}

impl<T> ServerNames<T> {
    /// Has a name, or all names of a pattern, stand for something.
    pub fn insert(&mut self, pattern: NamePattern, meaning: T) {
        self.meanings(&pattern).insert(pattern.name, meaning);
    }

    /// What a name, or all names of a pattern, stand for; the default if they stood for nothing.
    pub fn entry(&mut self, pattern: NamePattern) -> &mut T
    where
        T: Default,
    {
        self.meanings(&pattern).entry(pattern.name).or_default()
    }

    fn meanings(&mut self, pattern: &NamePattern) -> &mut HashMap<Box<str>, T> {
        if pattern.is_wildcard { &mut self.wildcards } else { &mut self.exact }
    }

    /// Whether no name stands for anything.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// What this name, in lower case, stands for: by itself, or else by the pattern that is one label above
    /// it (a wildcard stands for one label: RFC 6125, 6.4.3).
    pub fn find(&self, name: &str) -> Option<&T> {
        let above = || name.split_once('.').and_then(|(_, above)| self.wildcards.get(above));
        self.exact.get(name).or_else(above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&'static str]) -> ServerNames<&'static str> {
        let mut names = ServerNames::default();
        for text in of {
            names.insert(text.parse().unwrap(), *text);
        }
        names
    }

    #[test]
    fn a_name_goes_before_the_pattern_and_a_pattern_is_one_label_deep() {
        let names = names(&["a.example.com", "*.example.com", "*.b.example.com", "localhost"]);
        for (name, found) in [
            ("a.example.com", Some("a.example.com")),
            ("b.example.com", Some("*.example.com")),
            ("x.b.example.com", Some("*.b.example.com")),
            ("x.a.example.com", None),
            ("example.com", None),
            ("localhost", Some("localhost")),
            ("com", None),
            ("", None),
        ] {
            assert_eq!(names.find(name).copied(), found, "{name}");
        }
        assert!(!names.is_empty() && ServerNames::<()>::default().is_empty());
    }

    #[test]
    fn a_pattern_is_a_host_name_in_any_case() {
        assert_eq!("A.Example.COM".parse::<NamePattern>().unwrap().to_string(), "a.example.com");
        assert_eq!("*.Example.com".parse::<NamePattern>().unwrap().to_string(), "*.example.com");
        let label = "a".repeat(64);
        for text in
            ["", "*", "*.", "a.", ".a", "a..b", "*a.b", "a.*.b", "*.*.b", "a b", "ä.b", "[::1]", &label]
        {
            assert_eq!(text.parse::<NamePattern>(), Err(NoNamePattern), "{text:?}");
        }
        assert_eq!("a.".repeat(130).trim_end_matches('.').parse::<NamePattern>(), Err(NoNamePattern));
    }
}
