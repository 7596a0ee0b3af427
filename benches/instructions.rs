//! How many instructions the router takes, counted by callgrind: a number that the machine's noise does not
//! change. Scanner, pick and table are counted alone, and a small call through the whole router, with other
//! proxies beside it. Compared with `benches/instructions.toml`, which says what it was recorded with.
//!
//! `cargo bench --bench instructions` fails when a case takes over 5 % more than was recorded, or breaks a
//! promise. With another toolchain it records anew, and says so.
//! `cargo bench --bench instructions -- --record` records anew.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the router: a broken assumption should end it"
)]

#[path = "instructions/baseline.rs"]
mod baseline;
#[path = "compare/blind.rs"]
mod blind;
#[path = "instructions/cases.rs"]
mod cases;
#[path = "compare/client.rs"]
#[expect(dead_code, reason = "nobody ends a connection here, nor opens another")]
mod client;
#[path = "compare/coordinator.rs"]
mod coordinator;
#[path = "scan/fixture.rs"]
mod fixture;
#[path = "compare/http.rs"]
mod http;
#[path = "compare/peers.rs"]
#[expect(dead_code, reason = "nothing but instructions is counted here")]
mod peers;
#[path = "compare/process.rs"]
#[expect(dead_code, reason = "nothing but instructions is counted here")]
mod process;
#[path = "instructions/through.rs"]
mod through;
#[path = "compare/tls.rs"]
#[expect(dead_code, reason = "no table says what connections are made with")]
mod tls;
#[path = "compare/wire.rs"]
mod wire;
#[path = "compare/work.rs"]
#[expect(dead_code, reason = "the work here is another")]
mod work;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};

use self::baseline::{Baseline, Toolchain};
use self::cases::Case;

/// How much more than recorded is let pass.
const TOLERATED: f64 = 1.05;
/// How much less is worth to be recorded, or it could be lost again unseen.
const GAINED: f64 = 0.95;

/// Counts instructions.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench instructions --")]
struct Args {
    /// Record what is counted, whatever was recorded before
    #[arg(long)]
    record: bool,
    /// A further router to send calls through, such as one built before a change; may be repeated
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = peers::named_program)]
    router: Vec<(String, PathBuf)>,
    /// Keep callgrind's profiles of calls through proxies in this folder
    #[arg(long, value_name = "FOLDER")]
    profiles: Option<PathBuf>,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
    /// Do this case, to be counted
    #[arg(long, hide = true)]
    case: Option<String>,
    /// Tell what the processor seems to be able to do
    #[arg(long, hide = true)]
    features: bool,
    #[arg(long, hide = true)]
    child: Option<Role>,
    #[arg(long, hide = true)]
    target: Vec<SocketAddr>,
    #[arg(long, hide = true, default_value_t = 1)]
    threads: usize,
}

/// What this program is started as by itself, beside a proxy or as one.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Coordinators,
    Blind,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match (args.child, &args.case) {
        (Some(Role::Coordinators), _) => coordinator::run(),
        (Some(Role::Blind), _) => blind::run(&args.target, args.threads),
        (None, Some(name)) => cases::run(name),
        (None, None) if args.features => {
            println!("{}", baseline::features());
            Ok(())
        }
        (None, None) if args.bench || args.record => compare(&args),
        (None, None) => {
            println!("nothing was asked for; cargo bench runs it");
            Ok(())
        }
    }
}

fn compare(args: &Args) -> anyhow::Result<()> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let toolchain = Toolchain::current(&valgrind(&["--features"])?.0)?;
    let old = Baseline::read(&file)?;
    let mut counts = BTreeMap::new();
    for case in cases::ALL {
        counts.insert(case.name.to_owned(), count(case)?);
    }
    let through = through::count(&args.router, args.profiles.as_deref())?;
    let references = through.references();
    counts.extend(through.router());
    let same = old.as_ref().filter(|old| old.recorded_with == toolchain);
    let Changed { slower, faster } = print(&counts, same);
    println!("\n{}\n\n{}; blind is a relay that reads nothing.", through.table(), references.haproxy);
    if !faster.is_empty() {
        println!("\nfewer instructions than recorded: {}. Record that.", faster.join(", "));
    }
    let broken: Vec<String> = cases::PROMISES.iter().filter_map(|promise| promise.broken(&counts)).collect();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    if args.record || same.is_none() {
        if let (Some(old), None) = (&old, same) {
            println!("\nThe toolchain is another one, so nothing was compared.\nthen: {}", old.recorded_with);
        }
        println!("\nRecorded in {}, with {toolchain}. Commit it.", file.display());
        return Baseline { recorded_with: toolchain, instructions: counts, references }.write(&file);
    }
    ensure!(
        slower.is_empty(),
        "more instructions than recorded: {}.\nIf that is the price of something, record it and say in the commit of \
         what: cargo bench --bench instructions -- --record",
        slower.join(", ")
    );
    Ok(())
}

/// Instructions of one repetition.
fn count(case: &Case) -> anyhow::Result<u64> {
    let (_, said) = valgrind(&["--case", case.name])?;
    let all = collected(&said)?;
    ensure!(all > 0, "{}: the function to count was not found", case.name);
    Ok(all / case.times)
}

/// How many instructions callgrind says that it has counted.
fn collected(said: &str) -> anyhow::Result<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = line.context("callgrind counts nothing")?;
    count.trim().parse().with_context(|| count.to_owned())
}

/// Runs this program with these arguments under callgrind: what it says, and what callgrind says.
fn valgrind(args: &[&str]) -> anyhow::Result<(String, String)> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    command.arg(format!("--toggle-collect=*{}*", cases::COUNTED));
    // What stands in the environment moves the stack.
    command.arg(std::env::current_exe()?).args(args).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = command.output().context("valgrind, which this needs to be installed")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {said}", args.join(" "));
    Ok((String::from_utf8_lossy(&output.stdout).trim().to_owned(), said))
}

/// Names and ratios of cases.
#[derive(Default)]
struct Changed {
    /// Also those that have no count to be compared with.
    slower: Vec<String>,
    faster: Vec<String>,
}

/// Prints all counts; what has changed.
fn print(counts: &BTreeMap<String, u64>, old: Option<&Baseline>) -> Changed {
    let mut changed = Changed::default();
    println!("| case | instructions | recorded | ratio |\n| --- | ---: | ---: | ---: |");
    // In their order; those that come after them by name.
    let cases = cases::ALL.iter().map(|case| case.name);
    let others =
        counts.keys().map(String::as_str).filter(|name| cases::ALL.iter().all(|case| case.name != *name));
    for name in cases.chain(others) {
        let now = counts[name];
        let then = old.and_then(|old| old.instructions.get(name));
        let ratio = then.map(|&then| now as f64 / then as f64);
        let words = [then.map(u64::to_string), ratio.map(|ratio| format!("{ratio:.3}"))];
        let [then, shown] = words.map(|word| word.unwrap_or_else(|| "–".to_owned()));
        println!("| {name} | {now} | {then} | {shown} |");
        if old.is_some() && ratio.is_none_or(|ratio| ratio > TOLERATED) {
            changed.slower.push(format!("{name} ({shown})"));
        }
        if ratio.is_some_and(|ratio| ratio < GAINED) {
            changed.faster.push(format!("{name} ({shown})"));
        }
    }
    changed
}
