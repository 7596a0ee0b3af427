//! Runs every check on every target it applies to, and reports as cargo's own tests do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use hs2router::clock;

use crate::check::Check;
use crate::target::{Place, Target};

thread_local! {
    /// What the last panic of this thread said.
    static COMPLAINT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What the command line asks for, in the words of cargo's own harness.
#[derive(Default)]
struct Wishes {
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: Option<()>,
    list: Option<()>,
}

impl Wishes {
    fn of_command_line() -> Self {
        let mut wishes = Self::default();
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => wishes.exact = Some(()),
                "--list" => wishes.list = Some(()),
                "--skip" => wishes.skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" => drop(arguments.next()),
                // `--nocapture` and its like mean nothing here.
                option if option.starts_with('-') => {}
                _ => wishes.filters.push(argument),
            }
        }
        wishes
    }

    fn want(&self, name: &str) -> bool {
        let fits = |filter: &String| match self.exact {
            Some(()) => name == filter,
            None => name.contains(filter.as_str()),
        };
        (self.filters.is_empty() || self.filters.iter().any(fits)) && !self.skipped.iter().any(fits)
    }
}

/// The counts and the complaints, shared by the threads.
#[derive(Default)]
struct Report {
    passed: usize,
    ignored: usize,
    failures: BTreeMap<String, String>,
}

/// Runs the checks: targets side by side, the checks of a target one after another.
pub(crate) fn run(checks: &[&Check], places: &[Place]) -> ExitCode {
    let wishes = Wishes::of_command_line();
    let jobs: Vec<(&Place, Vec<&Check>)> = places
        .iter()
        .map(|place| {
            let applies = |check: &&&Check| {
                check.flavors.contains(&place.flavor)
                    && check.needs.iter().all(|need| place.has(*need))
                    && wishes.want(&title(check, place))
            };
            (place, checks.iter().filter(applies).copied().collect())
        })
        .collect();
    let count: usize = jobs.iter().map(|(_, checks)| checks.len()).sum();
    if wishes.list.is_some() {
        for (place, checks) in &jobs {
            for check in checks {
                println!("{}: test", title(check, place));
            }
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {count} tests");
    let begun = clock::now();
    panic::set_hook(Box::new(|panic| {
        COMPLAINT.with_borrow_mut(|complaint| *complaint = panic.to_string());
    }));
    let report = Mutex::default();
    thread::scope(|scope| {
        for (place, checks) in jobs.iter().filter(|(_, checks)| !checks.is_empty()) {
            let report = &report;
            scope.spawn(move || run_place(place, checks, report));
        }
    });
    let report = report.into_inner().unwrap();
    for (name, complaint) in &report.failures {
        println!("\n---- {name}\n{complaint}");
    }
    let word = if report.failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {} failed; {} ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
        report.passed,
        report.failures.len(),
        report.ignored,
        clock::now().saturating_duration_since(begun).as_secs_f64()
    );
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn title(check: &Check, place: &Place) -> String {
    format!("{} on {}", check.name, place.name)
}

fn run_place(place: &Place, checks: &[&Check], report: &Mutex<Report>) {
    let started = panic::catch_unwind(AssertUnwindSafe(|| (place.start)(place)));
    let Ok(started) = started else {
        let complaint = COMPLAINT.take();
        println!("{} does not start: {complaint}", place.name);
        report.lock().unwrap().failures.insert(place.name.to_owned(), complaint);
        return;
    };
    for check in checks {
        run_check(check, place, started.as_ref(), report);
    }
    // Stopping may complain too, and must not take the other threads with it.
    drop(panic::catch_unwind(AssertUnwindSafe(|| drop(started))));
}

fn run_check(check: &Check, place: &Place, target: Option<&Target>, report: &Mutex<Report>) {
    let name = title(check, place);
    let Some(target) = target else {
        println!("test {name} ... ignored");
        report.lock().unwrap().ignored += 1;
        return;
    };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (check.run)(target)));
    let mut report = report.lock().unwrap();
    if outcome.is_ok() {
        println!("test {name} ... ok");
        report.passed += 1;
    } else {
        println!("test {name} ... FAILED");
        let complaint = format!("{}\nknown from: {}", COMPLAINT.take(), check.source);
        report.failures.insert(name, complaint);
    }
}
