//! The subcommands, and the exit codes of their failures.

use std::process::ExitCode;

use crate::cmd::check::BadCertificates;
use crate::control::config::{ConfigError, Problems};
use crate::net::tls::certificates::CertificateError;

pub mod check;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod run;

/// Wrong usage (sysexits.h, `EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// Wrong config (sysexits.h, `EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// The exit code for a failure: [`EXIT_CONFIG`] if the config file, or a file that it names, is to blame,
/// [`EXIT_USAGE`] if the arguments in place of a file are, else 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    for cause in error.chain() {
        if cause.is::<ConfigError>() || cause.is::<CertificateError>() || cause.is::<BadCertificates>() {
            return ExitCode::from(EXIT_CONFIG);
        }
        if cause.is::<Problems>() {
            return ExitCode::from(EXIT_USAGE);
        }
    }
    ExitCode::FAILURE
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
}
