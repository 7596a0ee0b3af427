//! How many instructions the router's own computing takes, counted by callgrind: a number that the machine's noise does
//! not change. Compared with `benches/instructions.toml`, which says what it was recorded with.
//!
//! `cargo bench --bench instructions` fails when a case takes over 5 % more than was recorded, or breaks a promise.
//! With another toolchain it records anew, and says so. `cargo bench --bench instructions -- --record` records anew.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the router: a broken assumption should end it"
)]

#[path = "instructions/baseline.rs"]
mod baseline;
#[path = "instructions/cases.rs"]
mod cases;
#[path = "scan/fixture.rs"]
mod fixture;
#[path = "compare/wire.rs"]
#[allow(dead_code, reason = "the messages alone are of use here")]
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Parser;

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
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
    /// Do this case, to be counted
    #[arg(long, hide = true)]
    case: Option<String>,
    /// Tell what the processor seems to be able to do
    #[arg(long, hide = true)]
    features: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.case {
        Some(name) => cases::run(&name),
        None if args.features => {
            println!("{}", baseline::features());
            Ok(())
        }
        None if args.bench || args.record => compare(args.record),
        None => {
            println!("nothing was asked for; cargo bench runs it");
            Ok(())
        }
    }
}

fn compare(record: bool) -> anyhow::Result<()> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let toolchain = Toolchain::current(&valgrind(&["--features"])?.0)?;
    let old = Baseline::read(&file)?;
    let mut counts = BTreeMap::new();
    for case in cases::ALL {
        counts.insert(case.name.to_owned(), count(case)?);
    }
    let same = old.as_ref().filter(|old| old.recorded_with == toolchain);
    let Changed { slower, faster } = print(&counts, same);
    if !faster.is_empty() {
        println!("\nfewer instructions than recorded: {}. Record that.", faster.join(", "));
    }
    let broken: Vec<String> = cases::PROMISES.iter().filter_map(|promise| promise.broken(&counts)).collect();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    if record || same.is_none() {
        if let (Some(old), None) = (&old, same) {
            println!("\nThe toolchain is another one, so nothing was compared.\nthen: {}", old.recorded_with);
        }
        println!("\nRecorded in {}, with {toolchain}. Commit it.", file.display());
        return Baseline { recorded_with: toolchain, instructions: counts }.write(&file);
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
    let line =
        said.lines().find_map(|line| line.split_once("Collected :")).context("callgrind counts nothing")?;
    let all: u64 = line.1.trim().parse().with_context(|| line.1.to_owned())?;
    ensure!(all > 0, "{}: the function to count was not found", case.name);
    Ok(all / case.times)
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
    for case in cases::ALL {
        let now = counts[case.name];
        let then = old.and_then(|old| old.instructions.get(case.name));
        let ratio = then.map(|&then| now as f64 / then as f64);
        let words = [then.map(u64::to_string), ratio.map(|ratio| format!("{ratio:.3}"))];
        let [then, shown] = words.map(|word| word.unwrap_or_else(|| "–".to_owned()));
        println!("| {} | {now} | {then} | {shown} |", case.name);
        if old.is_some() && ratio.is_none_or(|ratio| ratio > TOLERATED) {
            changed.slower.push(format!("{} ({shown})", case.name));
        }
        if ratio.is_some_and(|ratio| ratio < GAINED) {
            changed.faster.push(format!("{} ({shown})", case.name));
        }
    }
    changed
}
