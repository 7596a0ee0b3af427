//! Real clients that prove their user by tickets of Kerberos, over HTTP or SASL. They show what the others show.

use std::path::Path;
use std::process::Command;

use super::clients::{Complaints, Shown, Target, script, show, with_deadline};
use super::clients::{Cursors, Interrupted, SHELL_PATIENCE, newest_driver, show_beeline};
use super::kdc::{self, REALM};
use super::tools::{self, BRIEF_JAVA};

/// How the notes of what ran call it.
fn login(target: &Target) -> &'static str {
    if target.over_http { "HTTP-KERBEROS" } else { "KERBEROS" }
}

/// The service that clients ask a ticket for. Over HTTP Impala takes any of its keytab, and Spark `HTTP` or `hive`;
/// over SASL each takes the one that it is called.
fn service(target: &Target) -> &'static str {
    if target.over_http { "HTTP" } else { target.service }
}

/// How the scripts in Python are told how to reach a target.
fn transport(target: &Target) -> &'static str {
    if target.over_http { "http" } else { "binary" }
}

/// impyla, as `clients::impyla`.
pub(crate) fn impyla(target: &Target, user: &str, cursors: Cursors, statements: &[&str]) -> Shown {
    let mut command = script("impyla_rows.py");
    command.args(place(target)).args([transport(target), "clear", "KERBEROS", user, service(target)]);
    command.arg(cursors.word()).args(statements).envs(kdc::shared().settings_of(user));
    show(command, target, Complaints::LastLine).by("impyla", login(target))
}

/// `PyHive`, as `clients::pyhive`.
pub(crate) fn pyhive(target: &Target, user: &str, statements: &[&str]) -> Shown {
    let mut command = script("pyhive_rows.py");
    command.args(place(target)).args([transport(target), "clear", "KERBEROS", user, service(target)]);
    command.args(statements).envs(kdc::shared().settings_of(user));
    show(command, target, Complaints::LastLine).by("pyhive", login(target))
}

/// impala-shell with `-q`, as `clients::impala_shell`. In strict mode only over HTTP: over SASL it then asks for a
/// ticket of a service without a name (`impala_shell.py` 4.6, which takes it for a client with a password).
pub(crate) fn impala_shell(target: &Target, user: &str, is_strict: bool, statements: &str) -> Shown {
    run_impala_shell(target, user, is_strict, &["-q", statements])
}

/// The same, where it asks for a ticket for a service that nobody has.
pub(crate) fn impala_shell_of_no_service(target: &Target, user: &str) -> Shown {
    run_impala_shell(target, user, false, &["-q", "SELECT 1", "-s", "nobody"])
}

/// The same with Beeswax.
#[cfg(feature = "kerberos")]
pub(crate) fn impala_shell_with_beeswax(target: &Target, user: &str, statements: &str) -> Shown {
    run_impala_shell(target, user, false, &["--protocol=beeswax", "-q", statements])
        .by("impala-shell", "Beeswax-KERBEROS")
}

fn run_impala_shell(target: &Target, user: &str, is_strict: bool, more: &[&str]) -> Shown {
    let home = tempfile::tempdir().unwrap();
    let mut command = with_deadline(&tools::python_program("impala-shell"));
    command.args(shell_options(target)).args(["--quiet", "-B"]).args(more);
    if is_strict {
        command.args(["--strict_hs2_protocol", "--http_path=cliservice"]);
    }
    command.envs(kdc::shared().settings_of(user)).env("HOME", home.path());
    let login = if is_strict { "HTTP-strict-KERBEROS" } else { login(target) };
    show(command, target, Complaints::OfTheShell).by("impala-shell", login)
}

/// impala-shell on a terminal, as `clients::impala_shell_interrupted`.
///
/// # Panics
///
/// When the shell ends or stays silent for too long.
pub(crate) fn impala_shell_interrupted(target: &Target, user: &str, long: &str, short: &str) -> Interrupted {
    let home = tempfile::tempdir().unwrap();
    let mut command = script("ishell_cancel.py");
    command.args([&SHELL_PATIENCE.to_string(), long, short]).arg(tools::python_program("impala-shell"));
    command.args(shell_options(target)).envs(kdc::shared().settings_of(user)).env("HOME", home.path());
    let shown = show(command, target, Complaints::LastLine);
    serde_json::from_str(&shown.output.concat()).unwrap_or_else(|error| panic!("{error}: {shown:?}"))
}

fn shell_options(target: &Target) -> Vec<String> {
    let [host, port] = place(target);
    let protocol = if target.over_http { "--protocol=hs2-http" } else { "--protocol=hs2" };
    let options = [protocol, "-k", "-s", service(target), "-i"].map(str::to_owned);
    options.into_iter().chain([format!("{host}:{port}")]).collect()
}

/// beeline with Hive's JDBC driver 2.3, from Spark's jars, as `clients::beeline`.
pub(crate) fn beeline(target: &Target, user: &str, statements: &[&str]) -> Shown {
    let mut command = with_deadline(&tools::spark_home().join("bin/beeline"));
    command.env("SPARK_HOME", tools::spark_home());
    run_beeline(command, target, user, statements).by("beeline", login(target))
}

/// The same with more of the URL behind the principal.
#[cfg(feature = "kerberos")]
pub(crate) fn beeline_with(target: &Target, user: &str, more: &str, statements: &[&str]) -> Shown {
    let mut command = with_deadline(&tools::spark_home().join("bin/beeline"));
    command.env("SPARK_HOME", tools::spark_home());
    run_beeline_with(command, target, user, more, statements).by("beeline", login(target))
}

/// beeline with Hive's newest JDBC driver; shows the same as [`beeline`].
pub(crate) fn beeline_with_newest_driver(target: &Target, user: &str, statements: &[&str]) -> Shown {
    let mut command = with_deadline(Path::new("java"));
    command.args(["-cp", &newest_driver(), "org.apache.hive.beeline.BeeLine"]);
    run_beeline(command, target, user, statements).by("jdbc", login(target))
}

fn run_beeline(command: Command, target: &Target, user: &str, statements: &[&str]) -> Shown {
    run_beeline_with(command, target, user, "", statements)
}

fn run_beeline_with(
    mut command: Command,
    target: &Target,
    user: &str,
    more: &str,
    statements: &[&str],
) -> Shown {
    let (home, kdc) = (tempfile::tempdir().unwrap(), kdc::shared());
    // The ticket cache is looked for outside of a JAAS login.
    let options = format!(
        "{BRIEF_JAVA} -Duser.home={} -Djava.security.krb5.conf={} -Djavax.security.auth.useSubjectCredsOnly=false",
        home.path().display(),
        kdc.config().display()
    );
    command.env("JDK_JAVA_OPTIONS", options).envs(kdc.settings_of(user));
    let [host, port] = place(target);
    let http = if target.over_http { ";transportMode=http;httpPath=cliservice" } else { "" };
    let service = service(target);
    let url = format!("jdbc:hive2://{host}:{port}/{http};principal={service}/localhost@{REALM}{more}");
    command.args(["-u", &url]);
    show_beeline(command, target, statements)
}

/// Where to connect to, by the name that the tickets are for.
fn place(target: &Target) -> [String; 2] {
    ["localhost".to_owned(), target.port.to_string()]
}
