//! What is counted. Every case prepares what it needs and then works inside [`counted_by_callgrind`], so that
//! nothing but the work counts; seeds and orders are fixed.

use std::collections::BTreeMap;
use std::hint::black_box;

use anyhow::Context as _;
use hs2router::clock;
use hs2router::cluster::Wanted;
use hs2router::ids::{CoordinatorId, Service};
use hs2router::session::table::{NewOperation, OpenOperations, OperationEnd, OperationKind, SessionEnd};
use hs2router::wire::method;
use hs2router::wire::scan::Scanner;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::fixture::{Pieces, cluster, filled, guid, scan, session, shuffled};
use crate::wire::{self, Call, Handle, Rows};

/// Bytes that a message may have.
const LIMIT: u64 = 1 << 30;
/// How often what takes a few instructions is repeated: the maps' own keys are drawn by chance, the mean is
/// not moved.
const MANY: u64 = 8192;
/// The case of this name.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How often the work is repeated.
    pub(crate) times: u64,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    Request(Call),
    Reply(Call),
    Fetch(Rows, Pieces),
    /// Of so many coordinators.
    Pick(usize),
    /// In a table of so many sessions.
    FindSession(usize),
    OpenAndCloseSession(usize),
    OpenAndCloseOperation(usize),
}

const fn case(name: &'static str, times: u64, work: Work) -> Case {
    Case { name, times, work }
}

const NUMBERS_64K: &str = "scan 64 KiB of i64";
const NUMBERS_16M: &str = "scan 16 MiB of i64";
const STRINGS_64K: &str = "scan 64 KiB of strings";
const STRINGS_64K_PIECES: &str = "scan 64 KiB of strings in pieces of 1 KiB";
const STRINGS_16M: &str = "scan 16 MiB of strings";
const PICK_10: &str = "pick one of 10";
const PICK_1000: &str = "pick one of 1,000";
const FIND_1000: &str = "find a session among 1,000";
const FIND_100000: &str = "find a session among 100,000";

/// All cases, in the order of the table. Rewriting of handles joins them when it exists.
pub(crate) const ALL: &[Case] = &[
    case("scan a request: OpenSession", 64, Work::Request(Call::OpenSession)),
    case("scan a request: ExecuteStatement", 64, Work::Request(Call::ExecuteStatement)),
    case("scan a request: GetOperationStatus", 64, Work::Request(Call::GetOperationStatus)),
    case("scan a reply: OpenSession", 64, Work::Reply(Call::OpenSession)),
    case("scan a reply: GetOperationStatus", 64, Work::Reply(Call::GetOperationStatus)),
    case(NUMBERS_64K, 16, Work::Fetch(Rows::Numbers64K, Pieces::Whole)),
    case(NUMBERS_16M, 1, Work::Fetch(Rows::Numbers16M, Pieces::Whole)),
    case(STRINGS_64K, 4, Work::Fetch(Rows::Strings64K, Pieces::Whole)),
    case(STRINGS_64K_PIECES, 4, Work::Fetch(Rows::Strings64K, Pieces::Of(1 << 10))),
    case(STRINGS_16M, 1, Work::Fetch(Rows::Strings16M, Pieces::Whole)),
    case(PICK_10, 64, Work::Pick(10)),
    case("pick one of 100", 16, Work::Pick(100)),
    case(PICK_1000, 4, Work::Pick(1_000)),
    case(FIND_1000, MANY, Work::FindSession(1_000)),
    case(FIND_100000, MANY, Work::FindSession(100_000)),
    case("open and close a session among 1,000", MANY, Work::OpenAndCloseSession(1_000)),
    case("open and close an operation among 1,000 sessions", MANY, Work::OpenAndCloseOperation(1_000)),
];

/// One count that is at most so many times another.
pub(crate) struct Promise {
    what: &'static str,
    of: &'static str,
    most: f64,
    than: &'static str,
}

/// What must hold with every toolchain.
pub(crate) const PROMISES: &[Promise] = &[
    Promise {
        what: "a column of i64 is one step, whatever its size",
        of: NUMBERS_16M,
        most: 1.02,
        than: NUMBERS_64K,
    },
    Promise {
        what: "pieces of 1 KiB cost at most 1.3 times a whole message",
        of: STRINGS_64K_PIECES,
        most: 1.3,
        than: STRINGS_64K,
    },
    Promise { what: "work is linear in bytes", of: STRINGS_16M, most: 256.0 * 1.02, than: STRINGS_64K },
    Promise { what: "a pick is nearly flat", of: PICK_1000, most: 1.5, than: PICK_10 },
    Promise { what: "a look-up is flat", of: FIND_100000, most: 1.05, than: FIND_1000 },
];

impl Promise {
    /// What to say if it does not hold.
    pub(crate) fn broken(&self, counts: &BTreeMap<String, u64>) -> Option<String> {
        let Self { what, of, most, than } = self;
        let ratio = counts[*of] as f64 / counts[*than] as f64;
        (ratio > *most).then(|| format!("{what}: {of} is {ratio:.2} and not {most} times {than}"))
    }
}

/// Does the case of this name.
///
/// # Errors
/// There is no such case.
pub(crate) fn run(name: &str) -> anyhow::Result<()> {
    let case = ALL.iter().find(|case| case.name == name).context("there is no such case")?;
    let times = case.times;
    match case.work {
        Work::Request(call) => {
            let request = wire::request(call, &Handle::BLANK, Rows::Few);
            repeat(times, || scan(Scanner::request(LIMIT), &request, Pieces::Whole));
        }
        Work::Reply(call) => scan_replies(times, call, Rows::Few, Pieces::Whole),
        Work::Fetch(rows, pieces) => scan_replies(times, Call::FetchResults, rows, pieces),
        Work::Pick(coordinators) => {
            let cluster = cluster(coordinators);
            let (mut rng, now) = (StdRng::seed_from_u64(7), clock::now());
            let wanted = Wanted::anywhere_but(&[], Service::Hs2);
            repeat(times, || cluster.pick_and_reserve(&wanted, now, &mut rng).is_ok());
        }
        Work::FindSession(sessions) => {
            let cluster = cluster(10);
            let (table, mut next) = (filled(&cluster, sessions), shuffled(sessions));
            repeat(times, || table.session_owner(&guid(next())).is_some());
        }
        Work::OpenAndCloseSession(sessions) => open_and_close_sessions(times, sessions),
        Work::OpenAndCloseOperation(sessions) => open_and_close_operations(times, sessions),
    }
    Ok(())
}

fn scan_replies(times: u64, call: Call, rows: Rows, pieces: Pieces) {
    let reply = wire::reply(call, &Handle::BLANK, rows);
    let method = method::lookup(call.name().as_bytes());
    repeat(times, || scan(Scanner::reply(method, LIMIT), &reply, pieces));
}

fn open_and_close_sessions(times: u64, sessions: usize) {
    let cluster = cluster(10);
    let (table, mut number) = (filled(&cluster, sessions), sessions as u64);
    repeat(times, || {
        number += 1;
        let opened = table.insert_session(session(&cluster, number, CoordinatorId(3)));
        table.remove_session(&guid(number), SessionEnd::Closed);
        opened.is_ok()
    });
}

fn open_and_close_operations(times: u64, sessions: usize) {
    let (cluster, open) = (cluster(10), OpenOperations::default());
    let (table, mut number, mut next) = (filled(&cluster, sessions), sessions as u64, shuffled(sessions));
    let coordinator = CoordinatorId(3);
    let owner = cluster.coordinator(coordinator).expect("there are ten");
    let now = clock::now();
    repeat(times, || {
        number += 1;
        let operation = guid(number);
        table.insert_operation(NewOperation {
            guid: operation,
            secret: Some([7; 16]),
            coordinator,
            session: guid(next()),
            kind: OperationKind::Statement,
            has_result_set: true,
            counted: owner.count_operation(),
            running: Some(owner.count_running().minted()),
            open: open.count(),
            now,
        });
        table.end_running(&operation, OperationEnd::Finished);
        table.close_operation(&operation, OperationEnd::Closed);
    });
}

/// Works so often, once before it counts: what is made at the first use is made then.
fn repeat<T>(times: u64, mut work: impl FnMut() -> T) {
    black_box(work());
    counted_by_callgrind(&mut || {
        for _ in 0..times {
            black_box(work());
        }
    });
}

/// What callgrind is told to count.
pub(crate) const COUNTED: &str = "counted_by_callgrind";

/// All that is done in here counts.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    // Not the last thing to be done here, or the call above becomes a jump, and callgrind misses it.
    black_box(());
}
