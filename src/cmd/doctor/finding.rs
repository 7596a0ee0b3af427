//! What a doctor finds.

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// It works, but not as well as it could, or not for everybody.
    Warning,
    /// Something fails, or will.
    Failure,
}

impl Level {
    /// The word for it in the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// What can be found, and what people should know about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// By which it is found in `docs/TROUBLESHOOTING.md`.
    pub name: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What it means.
    pub means: &'static str,
    /// What to do; empty if there is nothing to do.
    pub remedy: &'static str,
}

/// A finding about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was found.
    pub(super) kind: &'static Kind,
    /// Of what.
    pub(super) about: String,
    /// What was seen.
    pub(super) seen: String,
}

/// The findings about one thing.
#[derive(Debug)]
pub(super) struct Notes {
    about: String,
    pub(super) found: Vec<Finding>,
}

impl Notes {
    pub(super) fn about(about: impl Into<String>) -> Self {
        Self { about: about.into(), found: Vec::new() }
    }

    pub(super) fn add(&mut self, kind: &'static Kind, seen: impl Into<String>) {
        self.found.push(Finding { kind, about: self.about.clone(), seen: seen.into() });
    }
}
