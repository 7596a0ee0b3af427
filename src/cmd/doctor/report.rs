//! Writes findings, for people or for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::finding::{Finding, Level};

/// How many findings have this level.
pub(super) fn count(found: &[Finding], level: Level) -> usize {
    found.iter().filter(|one| one.kind.level == level).count()
}

/// As text: the findings about each thing below its name, with the remedy where there is something to do.
pub(super) fn text(found: &[Finding], out: &mut impl Write) -> io::Result<()> {
    let mut about = None;
    for finding in found {
        let Finding { kind, about: now, seen } = finding;
        if about != Some(now) {
            writeln!(out, "{}{now}", if about.is_some() { "\n" } else { "" })?;
            about = Some(now);
        }
        writeln!(out, "  {:7}  {}: {seen}", kind.level.as_str(), kind.name)?;
        if kind.level != Level::Ok {
            writeln!(out, "           It means: {}.", kind.means)?;
            writeln!(out, "           What to do: {}.", kind.remedy)?;
        }
    }
    let (failures, warnings) = (count(found, Level::Failure), count(found, Level::Warning));
    writeln!(out, "\n{}, {}", counted(failures, "failure"), counted(warnings, "warning"))
}

/// `1 failure`, `2 failures`
pub(super) fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[derive(Serialize)]
struct Report<'a> {
    failures: usize,
    warnings: usize,
    findings: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    level: &'a str,
    finding: &'a str,
    about: &'a str,
    seen: &'a str,
    means: &'a str,
    remedy: &'a str,
}

impl<'a> One<'a> {
    fn of(Finding { kind, about, seen }: &'a Finding) -> Self {
        Self {
            level: kind.level.as_str(),
            finding: kind.name,
            about,
            seen,
            means: kind.means,
            remedy: kind.remedy,
        }
    }
}

/// As one JSON object.
pub(super) fn json(found: &[Finding], out: &mut impl Write) -> io::Result<()> {
    let findings = found.iter().map(One::of).collect();
    let (failures, warnings) = (count(found, Level::Failure), count(found, Level::Warning));
    serde_json::to_writer_pretty(&mut *out, &Report { failures, warnings, findings })?;
    writeln!(out)
}
