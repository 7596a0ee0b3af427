//! What a restart of every coordinator costs pooled clients: `cargo bench --bench restart`, some three
//! minutes; with `-- --write FILE` the tables are put into that document too.
//!
//! 200 clients, each with a session that it keeps, run short statements over four coordinators, through the
//! router and through `HAProxy` at the same time, each with coordinators of its own. First the coordinators
//! are restarted gracefully, one after the other, as `:shutdown()` does; a minute later it is looked where
//! the sessions are. Then each is killed with `kill -9` and started again, beside sessions that were idle at
//! that moment. Impala's grace period is 120 s and a restart takes longer; here both are shorter, as the
//! table's head says. The router's settings are those that it comes with.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the router: a broken assumption should end it"
)]

#[path = "fleet.rs"]
mod fleet;
#[path = "head.rs"]
mod head;
#[path = "restart/pool.rs"]
mod pool;
#[expect(dead_code, reason = "other benches measure processes")]
#[path = "compare/process.rs"]
mod process;
#[path = "section.rs"]
mod section;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hs2router::clock;
use parking_lot::Mutex;

use crate::fleet::{Door, Fleet};
use crate::pool::{Failure, Kind, Log, Pooled};

/// Clients that run statements.
const CLIENTS: usize = 200;
/// Sessions that do nothing while coordinators are killed.
const IDLE: usize = 40;
/// Three coordinators have room for everybody.
const FLEET: fleet::Kind =
    fleet::Kind { coordinators: 4, threads: 128, users: 0, grace: Duration::from_secs(5) };
/// Before the first restart.
const WARM_UP: Duration = Duration::from_secs(3);
/// From a coordinator's end to its new beginning. Longer than a poll of the router takes.
const DOWN: Duration = Duration::from_secs(3);
/// After a kill, before the idle sessions are used.
const IDLE_AFTER: Duration = Duration::from_millis(500);
/// From a coordinator's new beginning to the next one's restart.
const BETWEEN: Duration = Duration::from_secs(8);
/// From the last restart until the sessions are counted.
const LATER: Duration = Duration::from_mins(1);
/// How soon a client must be told of what a kill cost it.
const SOON: Duration = Duration::from_secs(1);

/// Measures what restarts cost.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench restart --")]
struct Args {
    /// Put the tables into this document too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Show each error of the router's clients that should not have been
    #[arg(long)]
    errors: bool,
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
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/restart");
    let doors = Door::all(&["leastconn", "roundrobin"]);
    let reports = thread::scope(|scope| {
        let runs: Vec<_> = doors.iter().map(|door| scope.spawn(|| Report::of(door, &directory))).collect();
        runs.into_iter().map(|run| run.join().expect("a run ends")).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let text = markdown(&reports);
    println!("{text}");
    if args.errors {
        reports.iter().take(1).for_each(Report::show_errors);
    }
    if let Some(document) = &args.write {
        section::write(document, "restart", &text)?;
    }
    Ok(())
}

/// What was seen through one door.
struct Report {
    name: String,
    /// Statements that succeeded and errors, while coordinators were restarted gracefully and for [`LATER`].
    graceful: (u64, Vec<Failure>),
    /// The most sessions on a coordinator over the mean.
    evenness: f64,
    /// The same while they were killed.
    killed: (u64, Vec<Failure>),
    kills: Vec<Kill>,
    /// Errors of the idle sessions' statements.
    idle: Vec<Failure>,
}

/// When a coordinator was killed.
struct Kill {
    name: String,
    begun: Instant,
    /// Nothing could be sent to it any more.
    done: Instant,
}

impl Kill {
    /// Whether a client was in the middle of a statement there.
    fn explains(&self, failure: &Failure) -> bool {
        // The session may have been moved since it told where it is; then the error does.
        let there =
            failure.home == self.name || failure.message.contains(&format!("coordinator {} ", self.name));
        there && failure.begun < self.done && self.begun < failure.seen
    }
}

impl Report {
    fn of(door: &Door, directory: &Path) -> anyhow::Result<Self> {
        let mut fleet = Fleet::start(FLEET)?;
        let open = door.open(&fleet, directory)?;
        let (log, over) = (Log::default(), AtomicBool::new(false));
        let homes: Vec<_> = (0..CLIENTS).map(|_| Mutex::default()).collect();
        thread::scope(|scope| {
            let _over = Over(&over);
            for home in &homes {
                let client = Pooled::new(open.at);
                let (log, over) = (&log, &over);
                scope.spawn(move || client.live(log, home, over));
            }
            thread::sleep(WARM_UP);
            let (_, failures) = log.take();
            anyhow::ensure!(failures.is_empty(), "{}: {failures:?}", door.name());

            for place in 0..fleet.len() {
                fleet.shut_down(place)?;
                thread::sleep(DOWN);
                fleet.start_again(place)?;
                thread::sleep(BETWEEN);
            }
            thread::sleep(LATER.saturating_sub(BETWEEN));
            let (graceful, evenness) = (log.take(), evenness(&fleet, &homes));

            let mut idle: Vec<_> = (0..IDLE).map(|_| Pooled::new(open.at)).collect();
            let (idle_log, mut kills) = (Log::default(), Vec::new());
            for place in 0..fleet.len() {
                for client in &mut idle {
                    client.open(&idle_log);
                    client.ask(&idle_log);
                }
                let begun = clock::now();
                fleet.kill(place)?;
                kills.push(Kill { name: fleet.name(place).to_owned(), begun, done: clock::now() });
                thread::sleep(IDLE_AFTER);
                for client in &mut idle {
                    client.ask(&idle_log);
                }
                thread::sleep(DOWN.saturating_sub(IDLE_AFTER));
                fleet.start_again(place)?;
                thread::sleep(BETWEEN);
            }
            let idle = idle_log.take().1;
            Ok(Self { name: door.name(), graceful, evenness, killed: log.take(), kills, idle })
        })
    }
}

/// Ends the clients, also when a step fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The most sessions on a coordinator over the mean, as the sessions tell where they are.
fn evenness(fleet: &Fleet, homes: &[Mutex<String>]) -> f64 {
    let at = |place: usize| homes.iter().filter(|home| *home.lock() == fleet.name(place)).count();
    let sessions: Vec<usize> = (0..fleet.len()).map(at).collect();
    let most = sessions.iter().max().copied().unwrap_or_default();
    (most * fleet.len()) as f64 / sessions.iter().sum::<usize>() as f64
}

impl Report {
    fn graceful_row(&self) -> String {
        let (statements, failures) = &self.graceful;
        let of = |kind| failures.iter().filter(|failure| failure.kind == kind).count();
        format!(
            "| {} | {statements} | {} | {} | {} | {} | {} | {} | {:.2} |\n",
            self.name,
            failures.len(),
            of(Kind::ShuttingDown),
            of(Kind::Lost),
            of(Kind::Typed),
            of(Kind::Unknown),
            of(Kind::Other),
            self.evenness
        )
    }

    /// Errors that a kill explains, with the time from the kill to them, and all others.
    fn killed(&self) -> (Vec<(&Failure, Duration)>, Vec<&Failure>) {
        let (mut explained, mut others) = (Vec::new(), Vec::new());
        for failure in &self.killed.1 {
            match self.kills.iter().find(|kill| kill.explains(failure)) {
                Some(kill) => explained.push((failure, failure.seen - kill.begun)),
                None => others.push(failure),
            }
        }
        (explained, others)
    }

    fn killed_row(&self) -> String {
        let (explained, others) = self.killed();
        let typed = explained.iter().filter(|(failure, _)| failure.kind == Kind::Typed).count();
        let late = explained.iter().filter(|(_, after)| *after > SOON).count();
        let slowest = explained.iter().map(|(_, after)| *after).max().unwrap_or_default();
        format!(
            "| {} | {} | {typed} | {} | {:.2} s, {late} | {} | {} of {} |\n",
            self.name,
            self.killed.0,
            explained.len() - typed,
            slowest.as_secs_f64(),
            others.len(),
            self.idle.len(),
            IDLE * self.kills.len()
        )
    }

    /// Shows what should not have been.
    fn show_errors(&self) {
        let untyped = self.killed().0.into_iter().map(|(failure, _)| failure);
        let untyped = untyped.filter(|failure| failure.kind != Kind::Typed);
        let killed = untyped.chain(self.killed().1);
        for (when, failures) in [
            ("graceful", self.graceful.1.iter().collect::<Vec<_>>()),
            ("kill", killed.collect()),
            ("idle", self.idle.iter().collect()),
        ] {
            for Failure { kind, begun, seen, home, message } in failures {
                println!("{when}: {kind:?} after {:?} in a session of {home:?}: {message}", *seen - *begun);
            }
        }
    }
}

fn markdown(reports: &[Report]) -> String {
    let mut head = head::lines("restart");
    head.push(format!(
        "{CLIENTS} sessions over {} coordinators with {} threads; statements of 0 and 40 ms in turn, 300 ms apart; after an \
         error a session is opened anew",
        FLEET.coordinators, FLEET.threads
    ));
    head.push(format!(
        "grace period {:?} (Impala's is 120 s), {DOWN:?} down, {BETWEEN:?} between two restarts",
        FLEET.grace
    ));
    let mut text = head.iter().fold(String::new(), |mut text, line| {
        let _infallible = writeln!(text, "- {line}");
        text
    });
    let _infallible = write!(
        text,
        "\n### Restarted gracefully, one after the other\n\n| through | statements | errors | shutting down | connection \
         lost | SQL state 08… | unknown handle | other | sessions {} s later, max/mean |\n|{}\n{}",
        LATER.as_secs(),
        " --- |".repeat(9),
        reports.iter().map(Report::graceful_row).collect::<String>()
    );
    let _infallible = write!(
        text,
        "\n### Killed, one after the other\n\nErrors of statements that were under way on the coordinator when it was \
         killed cannot be hidden; all others could be.\n\n| through | statements | under way: SQL state 08… | under way: \
         other errors | slowest, how many after {} s | all other errors | idle sessions: errors |\n|{}\n{}",
        SOON.as_secs(),
        " --- |".repeat(7),
        reports.iter().map(Report::killed_row).collect::<String>()
    );
    text
}
