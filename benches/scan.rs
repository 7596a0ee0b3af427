//! What the router computes, without sockets: scanning messages, picking a coordinator, finding a session's
//! owner. `cargo bench --bench scan`; with `-- --write FILE` what it prints is put into that document too.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the router: a broken assumption should end it"
)]

#[path = "section.rs"]
mod section;

#[path = "compare/wire.rs"]
#[allow(dead_code, reason = "the messages alone are of use here")]
mod wire;

#[path = "scan/fixture.rs"]
mod fixture;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};
use hs2router::clock;
use hs2router::cluster::Wanted;
use hs2router::ids::{CoordinatorId, Service};
use hs2router::wire::facts::Guid;
use hs2router::wire::method;
use hs2router::wire::scan::Scanner;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use self::fixture::{Pieces, cluster, filled, guid, scan, shuffled};
use self::wire::{Call, Handle, Rows};

/// Shows what is allocated, beside the times.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const LIMIT: u64 = 1 << 30;
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

fn main() -> anyhow::Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let Some(at) = args.iter().position(|arg| arg == "--write") else {
        divan::main();
        return Ok(());
    };
    args.remove(at);
    ensure!(at < args.len(), "--write needs a file");
    write(&args.remove(at), &args)
}

/// Runs this program with the other arguments, and puts what it prints into a document.
fn write(document: &str, args: &[String]) -> anyhow::Result<()> {
    let said = |program: &str, args: &[String]| -> anyhow::Result<String> {
        let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
        ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let printed = said(&std::env::current_exe()?.display().to_string(), args)?;
    println!("{printed}");
    let date = said("date", &["-u".to_owned(), "+%Y-%m-%d %H:%M UTC".to_owned()])?;
    let rust = said("rustc", &["--version".to_owned()])?;
    let (date, rust) = (date.trim(), rust.trim());
    let text = format!(
        "- date: {date}\n- command: cargo bench --bench scan\n- {rust}\n\n```text\n{}\n```",
        brief(&printed)
    );
    section::write(Path::new(document), "scan", &text)
}

/// Without the counts of allocations other than the most that were there at once.
fn brief(printed: &str) -> String {
    let mut lines = Vec::new();
    // A heading stands above two lines, how many and how much.
    let mut skip = 0_u8;
    for line in printed.lines() {
        let heading = line.trim_start_matches([' ', '│']);
        if ["alloc:", "dealloc:", "grow:", "shrink:"].iter().any(|word| heading.starts_with(word)) {
            skip = 3;
        }
        if skip == 0 && !line.trim().is_empty() {
            lines.push(line.trim_end());
        }
        skip = skip.saturating_sub(1);
    }
    lines.join("\n")
}

fn scan_fetch(bencher: Bencher<'_, '_>, rows: Rows, pieces: Pieces) {
    let reply = wire::reply(Call::FetchResults, &Handle::BLANK, rows);
    let method = method::lookup(b"FetchResults");
    bencher
        .counter(BytesCount::of_slice(&reply))
        .bench_local(|| scan(Scanner::reply(method, LIMIT), &reply, pieces));
}

/// As it is, and as a relay may read it.
const PIECES: [Pieces; 4] = [Pieces::Whole, Pieces::Of(64 << 10), Pieces::Of(16 << 10), Pieces::Of(1 << 10)];

#[divan::bench(args = PIECES)]
fn strings_64k(bencher: Bencher<'_, '_>, pieces: Pieces) {
    scan_fetch(bencher, Rows::Strings64K, pieces);
}

#[divan::bench(args = PIECES)]
fn strings_16m(bencher: Bencher<'_, '_>, pieces: Pieces) {
    scan_fetch(bencher, Rows::Strings16M, pieces);
}

#[divan::bench(args = PIECES)]
fn numbers_64k(bencher: Bencher<'_, '_>, pieces: Pieces) {
    scan_fetch(bencher, Rows::Numbers64K, pieces);
}

#[divan::bench(args = PIECES)]
fn numbers_16m(bencher: Bencher<'_, '_>, pieces: Pieces) {
    scan_fetch(bencher, Rows::Numbers16M, pieces);
}

#[divan::bench(args = Call::ALL)]
fn request(bencher: Bencher<'_, '_>, call: Call) {
    let request = wire::request(call, &Handle::BLANK, Rows::Few);
    bencher
        .counter(BytesCount::of_slice(&request))
        .bench_local(|| scan(Scanner::request(LIMIT), &request, Pieces::Whole));
}

#[divan::bench(args = Call::ALL)]
fn small_reply(bencher: Bencher<'_, '_>, call: Call) {
    let reply = wire::reply(call, &Handle::BLANK, Rows::Few);
    let method = method::lookup(call.name().as_bytes());
    bencher
        .counter(BytesCount::of_slice(&reply))
        .bench_local(|| scan(Scanner::reply(method, LIMIT), &reply, Pieces::Whole));
}

#[divan::bench(args = [10, 100, 1_000])]
fn pick(bencher: Bencher<'_, '_>, coordinators: usize) {
    let cluster = cluster(coordinators);
    let (mut rng, now) = (StdRng::seed_from_u64(7), clock::now());
    let wanted = Wanted::anywhere_but(&[], Service::Hs2);
    bencher.bench_local(|| cluster.pick_and_reserve(&wanted, black_box(now), &mut rng).ok());
}

/// The owner of any session: beside it, what the machine's memory makes of a bare map and a bare array of
/// that size.
#[divan::bench(args = SIZES)]
fn owner_of_any(bencher: Bencher<'_, '_>, sessions: usize) {
    let cluster = cluster(10);
    let (table, mut next) = (filled(&cluster, sessions), shuffled(sessions));
    bencher.bench_local(|| table.session_owner(&guid(next())).expect("it was inserted"));
}

/// The owner of one of a thousand sessions that are busy while the others are idle.
#[divan::bench(args = SIZES)]
fn owner_of_busy(bencher: Bencher<'_, '_>, sessions: usize) {
    let cluster = cluster(10);
    let (table, mut next) = (filled(&cluster, sessions), shuffled(SIZES[0]));
    bencher.bench_local(|| table.session_owner(&guid(next())).expect("it was inserted"));
}

#[divan::bench(args = SIZES)]
fn floor_any_of_a_map(bencher: Bencher<'_, '_>, sessions: usize) {
    let map: HashMap<Guid, CoordinatorId> =
        (0..sessions as u64).map(|number| (guid(number), CoordinatorId(0))).collect();
    let mut next = shuffled(sessions);
    bencher.bench_local(|| *map.get(&guid(next())).expect("it was inserted"));
}

#[divan::bench(args = SIZES)]
fn floor_any_of_an_array(bencher: Bencher<'_, '_>, sessions: usize) {
    // As large as an entry of the table.
    let array = vec![[0_u64; 6]; sessions];
    let mut next = shuffled(sessions);
    bencher.bench_local(|| array[usize::try_from(next()).expect("it is a place")][0]);
}

/// Time and memory of a table; the greatest allocation over the number of sessions is what one takes.
#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn fill_table(bencher: Bencher<'_, '_>, sessions: usize) {
    let cluster = cluster(10);
    bencher.counter(ItemsCount::new(sessions)).bench_local(|| filled(&cluster, sessions));
}
