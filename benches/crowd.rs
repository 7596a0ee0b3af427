//! More clients than coordinators have service threads: `cargo bench --bench crowd`, some two minutes; with
//! `-- --write FILE` the tables are put into that document too.
//!
//! Four coordinators serve 64 connections each, as Impala does, and say nothing to the next one. First a
//! thousand users, each with credentials of their own, come at once, run a statement and stay. Then five
//! thousand sessions without credentials are opened and left alone, and a hundred clients beside them run
//! statements. Through `HAProxy` each client holds a service thread; those that get none hang, and are given
//! up after a while.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the router: a broken assumption should end it"
)]

#[path = "crowd/busy.rs"]
mod busy;
#[expect(dead_code, reason = "other benches restart coordinators")]
#[path = "fleet.rs"]
mod fleet;
#[path = "crowd/guests.rs"]
mod guests;
#[path = "head.rs"]
mod head;
#[expect(dead_code, reason = "other benches measure processes")]
#[path = "compare/process.rs"]
mod process;
#[path = "section.rs"]
mod section;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use hs2router::fake::client::Login;

use crate::busy::Busy;
use crate::fleet::{Door, Fleet};
use crate::guests::Crowd;

/// Users that come at once.
const USERS: usize = 1_000;
/// Sessions that are left alone.
const IDLE: usize = 5_000;
/// Clients that run statements beside them.
const BUSY: usize = 100;
/// What the coordinators have.
const FLEET: fleet::Kind = fleet::Kind { coordinators: 4, threads: 64, users: 0, grace: Duration::ZERO };
/// How long clients wait for an answer before they count as hanging.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many seconds the busy clients are measured.
const MEASURED: usize = 11;

/// Measures what more clients than service threads get.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench crowd --")]
struct Args {
    /// Put the tables into this document too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    child: Option<fleet::Child>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(child) = args.child {
        return child.run();
    }
    if !args.bench {
        println!("nothing was asked for; cargo bench runs it");
        return Ok(());
    }
    rlimit::increase_nofile_limit(u64::MAX)?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/crowd");
    let doors = Door::all(&["leastconn"]);
    let users = doors.iter().map(|door| users_row(door, &directory)).collect::<anyhow::Result<String>>()?;
    let idle = doors.iter().map(|door| idle_row(door, &directory)).collect::<anyhow::Result<String>>()?;
    let text = markdown(&users, &idle);
    println!("{text}");
    if let Some(document) = &args.write {
        section::write(document, "crowd", &text)?;
    }
    Ok(())
}

/// A thousand users through one door.
fn users_row(door: &Door, directory: &Path) -> anyhow::Result<String> {
    let fleet = Fleet::start(fleet::Kind { users: USERS, ..FLEET })?;
    let open = door.open(&fleet, directory)?;
    let login = |number| {
        let (name, password) = fleet::user(number);
        Login::plain(&name, &password)
    };
    let mut crowd = Crowd::gather(open.at, (0..USERS).map(login).collect(), PATIENCE)?;
    let (again, later) = crowd.ask_all();
    tell(door, crowd.errors.iter().chain(&later));
    let row = format!(
        "| {} | {} | {} | {} | {:.1} s | {again} |\n",
        door.name(),
        crowd.guests.len(),
        crowd.errors.len(),
        crowd.hanging,
        crowd.slowest.as_secs_f64()
    );
    // Those that hang wait for this.
    drop(open);
    crowd.leave();
    Ok(row)
}

/// Busy clients alone, then beside idle sessions, through one door.
fn idle_row(door: &Door, directory: &Path) -> anyhow::Result<String> {
    let fleet = Fleet::start(FLEET)?;
    let open = door.open(&fleet, directory)?;
    let alone = Busy::of(open.at, BUSY, MEASURED, PATIENCE);
    let mut crowd = Crowd::gather(open.at, vec![Login::NoSasl; IDLE], PATIENCE)?;
    let beside = Busy::of(open.at, BUSY, MEASURED, PATIENCE);
    let (again, later) = crowd.ask_all();
    tell(door, alone.errors.iter().chain(&crowd.errors).chain(&beside.errors).chain(&later));
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"));
    let ratio = beside.percentile(99).zip(alone.percentile(99)).map(|(beside, alone)| beside / alone);
    let row = format!(
        "| {} | {} | {} | {} | {again} | {} | {} | {} / {} | {} / {} | {} |\n",
        door.name(),
        crowd.guests.len(),
        crowd.errors.len(),
        crowd.hanging,
        beside.served,
        alone.errors.len() + beside.errors.len(),
        shown(alone.percentile(50)),
        shown(alone.percentile(99)),
        shown(beside.percentile(50)),
        shown(beside.percentile(99)),
        shown(ratio),
    );
    drop(open);
    crowd.leave();
    Ok(row)
}

/// Says the first errors of a run, in which there should have been none.
fn tell<'a>(door: &Door, errors: impl Iterator<Item = &'a String>) {
    for error in errors.take(3) {
        eprintln!("{}: {error}", door.name());
    }
}

fn markdown(users: &str, idle: &str) -> String {
    let mut head = head::lines("crowd");
    head.push(format!(
        "{} coordinators with {} service threads; who has no answer after {PATIENCE:?} hangs",
        FLEET.coordinators, FLEET.threads
    ));
    let mut text = head.iter().fold(String::new(), |mut text, line| {
        let _infallible = writeln!(text, "- {line}");
        text
    });
    let _infallible = write!(
        text,
        "\n### {USERS} users at once, each with credentials of their own\n\nEach connects, opens a session, runs a statement \
         and stays; when all have come, each that was served runs another.\n\n| through | served | errors | hanging | the \
         last after | served again |\n|{}\n{users}",
        " --- |".repeat(6)
    );
    let _infallible = write!(
        text,
        "\n### {IDLE} idle sessions beside {BUSY} busy clients\n\nThe busy ones run a statement (three calls) every 50 ms, \
         first alone, then beside the idle sessions, which in the end run one more statement each. Percentiles are taken in each of {MEASURED} seconds; \
         shown is the median.\n\n| through | idle \
         sessions served | errors | hanging | served again | busy clients served | their errors | a statement alone, p50 / \
         p99 ms | beside, p50 / p99 ms | p99 × alone |\n|{}\n{idle}",
        " --- |".repeat(10)
    );
    text
}
