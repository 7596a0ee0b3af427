//! The subcommands, and the exit codes of their failures.

use std::process::ExitCode;

use crate::cmd::check::BadCertificates;
use crate::cmd::operator::port::NoAnswer;
use crate::cmd::operator::wait::Unfinished;
use crate::control::config::{ConfigError, Problems};
use crate::control::history::HistoryError;
use crate::net::tls::certificates::CertificateError;

pub mod check;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod operator;
pub mod run;

/// Wrong usage (sysexits.h, `EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// No router answers (sysexits.h, `EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;

/// The time that was given is over (sysexits.h, `EX_TEMPFAIL`).
pub const EXIT_TIMED_OUT: u8 = 75;

/// Wrong config (sysexits.h, `EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// The exit code for a failure: [`EXIT_CONFIG`] if the config file, or a file that it names, is to blame,
/// [`EXIT_USAGE`] if the arguments in place of a file are, [`EXIT_UNAVAILABLE`] if no router answers, [`EXIT_TIMED_OUT`] if
/// a wait took too long, else 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    for cause in error.chain() {
        let is_of_files = cause.is::<CertificateError>() || cause.is::<BadCertificates>();
        if cause.is::<ConfigError>() || is_of_files || cause.is::<HistoryError>() {
            return ExitCode::from(EXIT_CONFIG);
        }
        if cause.is::<Problems>() {
            return ExitCode::from(EXIT_USAGE);
        }
        if let Some(NoAnswer::Unreachable { .. } | NoAnswer::TimedOut { .. }) = cause.downcast_ref() {
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
        if let Some(Unfinished::TimedOut { .. }) = cause.downcast_ref() {
            return ExitCode::from(EXIT_TIMED_OUT);
        }
    }
    ExitCode::FAILURE
}

/// The error and its causes in one text, in which nothing stands twice: many errors have their cause in their own words.
pub fn in_words(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |said, cause| {
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::control::config::Config;

    #[test]
    fn the_exit_code_tells_a_wrong_file_from_wrong_arguments() {
        let file = Config::parse("test", "").context("cannot start").unwrap_err();
        assert_eq!(exit_code(&file), ExitCode::from(78));
        let arguments = Config::of_coordinators(&[], None, None).context("cannot start").unwrap_err();
        assert_eq!(exit_code(&arguments), ExitCode::from(64));
        assert_eq!(exit_code(&anyhow::anyhow!("anything else")), ExitCode::FAILURE);
    }

    #[test]
    fn an_error_says_all_its_causes_and_none_twice() {
        let error =
            anyhow::anyhow!("no such file").context("cannot read a.pem: no such file; check the path");
        assert_eq!(in_words(&error), "cannot read a.pem: no such file; check the path");
        let error = anyhow::anyhow!("permission denied").context("cannot read a.pem").context("listener a");
        assert_eq!(in_words(&error), "listener a: cannot read a.pem: permission denied");
    }
}
