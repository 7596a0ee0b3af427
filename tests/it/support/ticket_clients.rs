//! Real clients that prove their user by tickets of Kerberos, over HTTP and in SASL. They show what the others
//! show.

use std::path::Path;
use std::process::Command;

use super::clients::{Complaints, Shown, Target, script, show, with_deadline};
use super::clients::{Cursors, Interrupted, SHELL_PATIENCE, newest_driver, show_beeline};
use super::kdc::{self, REALM};
use super::tools;

/// How the notes of what ran call it.
const LOGIN: &str = "HTTP-KERBEROS";

/// The service that clients ask a ticket for. Impala takes any of its keytab, Spark this one or `hive`.
const SERVICE: &str = "HTTP";

/// impyla, as `clients::impyla`.
pub(crate) fn impyla(target: &Target, user: &str, cursors: Cursors, statements: &[&str]) -> Shown {
    let mut command = script("impyla_rows.py");
    command.args(place(target)).args(["http", "clear", "KERBEROS", user, SERVICE, cursors.word()]);
    command.args(statements).envs(kdc::shared().settings_of(user));
    show(command, target, Complaints::LastLine).by("impyla", LOGIN)
}

/// impala-shell with `-q`, as `clients::impala_shell`.
pub(crate) fn impala_shell(target: &Target, user: &str, is_strict: bool, statements: &str) -> Shown {
    let home = tempfile::tempdir().unwrap();
    let mut command = with_deadline(&tools::python_program("impala-shell"));
    command.args(shell_options(target)).args(["--quiet", "-B", "-q", statements]);
    if is_strict {
        command.args(["--strict_hs2_protocol", "--http_path=cliservice"]);
    }
    command.envs(kdc::shared().settings_of(user)).env("HOME", home.path());
    show(command, target, Complaints::OfTheShell)
        .by("impala-shell", if is_strict { "HTTP-strict-KERBEROS" } else { LOGIN })
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
    let options = ["--protocol=hs2-http", "-k", "-s", SERVICE, "-i"].map(str::to_owned);
    options.into_iter().chain([format!("{host}:{port}")]).collect()
}

/// beeline with Hive's JDBC driver 2.3, from Spark's jars, as `clients::beeline`.
pub(crate) fn beeline(target: &Target, user: &str, statements: &[&str]) -> Shown {
    let mut command = with_deadline(&tools::spark_home().join("bin/beeline"));
    command.env("SPARK_HOME", tools::spark_home());
    run_beeline(command, target, user, statements).by("beeline", LOGIN)
}

/// beeline with Hive's newest JDBC driver; shows the same as [`beeline`].
pub(crate) fn beeline_with_newest_driver(target: &Target, user: &str, statements: &[&str]) -> Shown {
    let mut command = with_deadline(Path::new("java"));
    command.args(["-cp", &newest_driver(), "org.apache.hive.beeline.BeeLine"]);
    run_beeline(command, target, user, statements).by("jdbc", LOGIN)
}

fn run_beeline(mut command: Command, target: &Target, user: &str, statements: &[&str]) -> Shown {
    let (home, kdc) = (tempfile::tempdir().unwrap(), kdc::shared());
    command.env("JDK_JAVA_OPTIONS", java_options(home.path())).envs(kdc.settings_of(user));
    let [host, port] = place(target);
    let url = format!(
        "jdbc:hive2://{host}:{port}/;transportMode=http;httpPath=cliservice;principal={SERVICE}/localhost@{REALM}"
    );
    command.args(["-u", &url]);
    show_beeline(command, target, statements)
}

/// How the notes of what ran call the clients without HTTP.
#[cfg(feature = "kerberos")]
const IN_SASL: &str = "KERBEROS";

/// impyla in SASL, as [`impyla`], with a ticket for this service.
#[cfg(feature = "kerberos")]
pub(crate) fn impyla_in_sasl(
    target: &Target,
    ticket: Ticket,
    cursors: Cursors,
    statements: &[&str],
) -> Shown {
    let Ticket { user, service } = ticket;
    let mut command = script("impyla_rows.py");
    command.args(place(target)).args(["binary", "clear", "KERBEROS", user, service, cursors.word()]);
    command.args(statements).envs(kdc::shared().settings_of(user));
    show(command, target, Complaints::LastLine).by("impyla", IN_SASL)
}

/// `PyHive` in SASL, as `clients::pyhive`.
#[cfg(feature = "kerberos")]
pub(crate) fn pyhive_in_sasl(target: &Target, ticket: Ticket, statements: &[&str]) -> Shown {
    let Ticket { user, service } = ticket;
    let mut command = script("pyhive_rows.py");
    command.args(place(target)).args(["binary", "clear", "KERBEROS", user, service]);
    command.args(statements).envs(kdc::shared().settings_of(user));
    show(command, target, Complaints::LastLine).by("pyhive", IN_SASL)
}

/// impala-shell in SASL with `-q`, as `clients::impala_shell`.
#[cfg(feature = "kerberos")]
pub(crate) fn impala_shell_in_sasl(
    target: &Target,
    ticket: Ticket,
    more: &[&str],
    statements: &str,
) -> Shown {
    let (home, Ticket { user, service }) = (tempfile::tempdir().unwrap(), ticket);
    let mut command = with_deadline(&tools::python_program("impala-shell"));
    let [host, port] = place(target);
    command.args(["-k", "-s", service, "-i", &format!("{host}:{port}"), "--quiet", "-B", "-q", statements]);
    command.args(more).envs(kdc::shared().settings_of(user)).env("HOME", home.path());
    show(command, target, Complaints::OfTheShell).by("impala-shell", IN_SASL)
}

/// beeline in SASL, as [`beeline`], with more of the URL behind the principal.
#[cfg(feature = "kerberos")]
pub(crate) fn beeline_in_sasl(target: &Target, ticket: Ticket, more: &str, statements: &[&str]) -> Shown {
    let mut command = with_deadline(&tools::spark_home().join("bin/beeline"));
    command.env("SPARK_HOME", tools::spark_home());
    beeline_at(command, target, ticket, more, statements).by("beeline", IN_SASL)
}

/// The same with Hive's newest JDBC driver.
#[cfg(feature = "kerberos")]
pub(crate) fn beeline_with_newest_driver_in_sasl(
    target: &Target,
    ticket: Ticket,
    more: &str,
    statements: &[&str],
) -> Shown {
    let mut command = with_deadline(Path::new("java"));
    command.args(["-cp", &newest_driver(), "org.apache.hive.beeline.BeeLine"]);
    beeline_at(command, target, ticket, more, statements).by("jdbc", IN_SASL)
}

#[cfg(feature = "kerberos")]
fn beeline_at(
    mut command: Command,
    target: &Target,
    ticket: Ticket,
    more: &str,
    statements: &[&str],
) -> Shown {
    let ([host, port], Ticket { user, service }) = (place(target), ticket);
    let home = tempfile::tempdir().unwrap();
    command.env("JDK_JAVA_OPTIONS", java_options(home.path())).envs(kdc::shared().settings_of(user));
    let url = format!("jdbc:hive2://{host}:{port}/;principal={service}/localhost@{REALM}{more}");
    command.args(["-u", &url]);
    show_beeline(command, target, statements)
}

/// Whose ticket a client has, and for which service it asks one.
#[cfg(feature = "kerberos")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) user: &'static str,
    pub(crate) service: &'static str,
}

/// Java's settings of a program with this home. The ticket cache is looked for outside of a JAAS login.
fn java_options(home: &Path) -> String {
    format!(
        "-Duser.home={} -Djava.security.krb5.conf={} -Djavax.security.auth.useSubjectCredsOnly=false",
        home.display(),
        kdc::shared().config().display()
    )
}

/// Where to connect to, by the name that the tickets are for.
fn place(target: &Target) -> [String; 2] {
    ["localhost".to_owned(), target.port.to_string()]
}
