//! The problems of a config. All are collected, so that one run of `check` shows them all.

use std::fmt;
use std::ops::Range;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; `None` for a value that did not come from a file.
    pub line: Option<usize>,
    /// The key as the reference lists it: `cluster.coordinators.weight`.
    pub key: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What can be wrong with a key. Each prints as the problem and the remedy, separated by a semicolon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The router does not know this key here.
    #[error("unknown key; {hint}")]
    UnknownKey {
        /// What was probably meant.
        hint: String,
    },
    /// The key is planned, but not supported yet.
    #[error("not supported yet; remove it")]
    NotSupportedYet,
    /// The value has another type.
    #[error("is {found}; write {expected}")]
    WrongType {
        /// The type found.
        found: &'static str,
        /// The type and an example.
        expected: String,
    },
    /// The value has the right type but is invalid.
    #[error("{value:?} {why}; {remedy}")]
    BadValue {
        /// As written.
        value: String,
        /// What is wrong with the value.
        why: String,
        /// What to write.
        remedy: String,
    },
    /// A key without a default is absent.
    #[error("is missing; add {example}")]
    Missing {
        /// A line to add.
        example: &'static str,
    },
    /// A number, a duration or a size is outside its range.
    #[error("{value} is out of range; write {range}")]
    OutOfRange {
        /// As written.
        value: String,
        /// The range in words.
        range: &'static str,
    },
    /// Two of a kind share a value that must differ.
    #[error("{value:?} is used twice; {remedy}")]
    Duplicate {
        /// The shared value.
        value: String,
        /// How to tell them apart.
        remedy: &'static str,
    },
    /// Keys contradict each other.
    #[error("{what}; {remedy}")]
    Conflict {
        /// The contradiction.
        what: String,
        /// How to resolve it.
        remedy: String,
    },
}

/// All problems of one config, in the order of its lines.
#[derive(Clone, Debug)]
pub struct Problems {
    origin: String,
    /// The byte offset of each line's start; empty for a config that did not come from a file.
    line_starts: Vec<usize>,
    found: Vec<Problem>,
    /// Finds the section that has a key of this name.
    sections: fn(&str) -> Option<&'static str>,
}

impl Problems {
    /// No problems yet, for a text that was read from `origin`, with which each printed line begins.
    /// `sections` finds the header of the section that has a key.
    pub fn of_text(origin: &str, text: &str, sections: fn(&str) -> Option<&'static str>) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Self { origin: origin.to_owned(), line_starts, found: Vec::new(), sections }
    }

    /// No problems yet, for a config from the command line.
    pub fn of_arguments() -> Self {
        let origin = "command line".to_owned();
        Self { origin, line_starts: Vec::new(), found: Vec::new(), sections: |_| None }
    }

    /// The header of the section that has a key of this name.
    pub(super) fn section_of(&self, key: &str) -> Option<&'static str> {
        (self.sections)(key)
    }

    /// Adds a problem. `at` is its place in the text.
    pub fn add(&mut self, at: &Range<usize>, key: &str, fault: Fault) {
        let line = self.line_starts.partition_point(|start| *start <= at.start);
        let line = (line > 0).then_some(line);
        self.found.push(Problem { line, key: key.to_owned(), fault });
    }

    /// Whether there is no problem so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }

    /// The same problems in the order of lines.
    pub(super) fn sorted(mut self) -> Self {
        self.found.sort_by_key(|problem| problem.line);
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, Problem { line, key, fault }) in self.found.iter().enumerate() {
            if nth > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.origin)?;
            if let Some(line) = line {
                write!(f, "{line}:")?;
            }
            write!(f, " {key}: {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_file_line_key_and_remedy() {
        let mut problems = Problems::of_text("a.toml", "one\ntwo\nthree", |_| None);
        problems.add(&(8..9), "b", Fault::NotSupportedYet);
        problems.add(&(3..4), "a", Fault::NotSupportedYet);
        assert_eq!(
            problems.sorted().to_string(),
            "a.toml:1: a: not supported yet; remove it\na.toml:3: b: not supported yet; remove it"
        );
    }

    #[test]
    fn what_has_no_lines_prints_none() {
        let mut problems = Problems::of_arguments();
        problems.add(&(0..0), "--coordinator", Fault::NotSupportedYet);
        assert_eq!(problems.to_string(), "command line: --coordinator: not supported yet; remove it");
    }
}
