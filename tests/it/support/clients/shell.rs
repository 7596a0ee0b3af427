//! impala-shell, the newest and an old one.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Complaints, Login, Shown, Target, Tls, script, show, tools, way, with_deadline};

/// Seconds that the interactive shell may stay silent when it should show something.
pub(in crate::support) const SHELL_PATIENCE: u32 = 60;

/// What impala-shell speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// HS2 with Impala's own calls, as it does by default.
    Hs2(Login),
    /// The old protocol.
    Beeswax(Login),
    /// HS2 without Impala's own calls. It always logs in.
    StrictHs2(Login),
}

/// What an interactive impala-shell showed that was interrupted by Ctrl-C.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interrupted {
    /// Seconds from Ctrl-C to the next prompt.
    pub(crate) lasted: f64,
    /// The lines between.
    pub(crate) after: Vec<String>,
    /// The lines that the statement after it brought.
    pub(crate) short: Vec<String>,
    /// The shell's exit status.
    pub(crate) code: i32,
}

/// Which impala-shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// 4.6.
    Newest,
    /// 4.3, of 2023: over HTTP it opens a connection for each call.
    Old,
}

impl Shell {
    fn program(self) -> PathBuf {
        match self {
            Self::Newest => tools::python_program("impala-shell"),
            Self::Old => tools::old_shell(),
        }
    }

    /// What `tests/tested_with` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Newest => "impala-shell",
            Self::Old => "old-impala-shell",
        }
    }
}

/// impala-shell 4.6 with `-q`: the rows, separated by tabs.
pub(crate) fn impala_shell(target: &Target, dialect: Dialect, statements: &str) -> Shown {
    run_impala_shell(Shell::Newest, target, dialect, statements)
}

/// The same with any impala-shell.
pub(crate) fn run_impala_shell(shell: Shell, target: &Target, dialect: Dialect, statements: &str) -> Shown {
    let home = tempfile::tempdir().unwrap();
    let mut command = with_deadline(&shell.program());
    command
        .args(shell_options(target, dialect))
        .args(["--quiet", "-B", "-q", statements])
        .env("HOME", home.path());
    let login = match dialect {
        Dialect::Hs2(login) => login.authentication().to_owned(),
        Dialect::StrictHs2(login) => format!("strict-{}", login.authentication()),
        Dialect::Beeswax(login) => format!("Beeswax-{}", login.authentication()),
    };
    show(command, target, Complaints::OfTheShell).by(shell.name(), way(target, &login))
}

/// impala-shell 4.6 on a terminal: Ctrl-C while `long` runs, then `short`.
///
/// # Panics
///
/// When the shell ends or stays silent for too long; the panic says what it showed last.
pub(crate) fn impala_shell_interrupted(
    target: &Target,
    dialect: Dialect,
    long: &str,
    short: &str,
) -> Interrupted {
    interrupt_impala_shell(Shell::Newest, target, dialect, [long, short])
}

/// The same with any impala-shell: the long statement, and the short one.
///
/// # Panics
///
/// The same as [`impala_shell_interrupted`].
pub(crate) fn interrupt_impala_shell(
    shell: Shell,
    target: &Target,
    dialect: Dialect,
    statements: [&str; 2],
) -> Interrupted {
    let home = tempfile::tempdir().unwrap();
    let mut command = script("ishell_cancel.py");
    command.arg(SHELL_PATIENCE.to_string()).args(statements).arg(shell.program());
    command.args(shell_options(target, dialect)).env("HOME", home.path());
    let shown = show(command, target, Complaints::LastLine);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    serde_json::from_str(&shown.output.concat()).unwrap_or_else(|error| panic!("{error}: {shown:?}"))
}

fn shell_options(target: &Target, dialect: Dialect) -> Vec<String> {
    let (Dialect::Hs2(login) | Dialect::Beeswax(login) | Dialect::StrictHs2(login)) = dialect;
    let protocol = match dialect {
        Dialect::Hs2(_) if target.over_http => "--protocol=hs2-http",
        Dialect::Hs2(_) => "--protocol=hs2",
        Dialect::Beeswax(_) => "--protocol=beeswax",
        Dialect::StrictHs2(_) => "--strict_hs2_protocol",
    };
    let mut options = vec!["-i".to_owned(), format!("{}:{}", target.host, target.port), protocol.to_owned()];
    if target.over_http && matches!(dialect, Dialect::StrictHs2(_)) {
        options.push("--protocol=hs2-http".to_owned());
    }
    match &target.tls {
        Tls::Off => {}
        Tls::Unverified => options.push("--ssl".to_owned()),
        Tls::Verified(ca) => options.extend(["--ssl".to_owned(), format!("--ca_cert={}", ca.display())]),
    }
    if login != Login::NoSasl {
        options.extend(["-l", "-u", login.user()].map(str::to_owned));
        if target.tls == Tls::Off {
            options.push("--auth_creds_ok_in_clear".to_owned());
        }
        options.push(format!("--ldap_password_cmd=printf {}", login.password()));
    }
    options
}
