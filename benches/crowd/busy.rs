//! Clients that run one statement after another, and how long each takes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::fake::client::Login;

use crate::guests::Guest;

/// Between two statements of a client.
const PAUSE: Duration = Duration::from_millis(50);
/// What percentiles are taken of.
const SECOND: Duration = Duration::from_secs(1);
/// From the moment when all have sessions to the measurement.
const WARM_UP: Duration = Duration::from_secs(1);

/// What busy clients saw.
#[derive(Debug)]
pub(crate) struct Busy {
    /// Clients that got a session in time.
    pub(crate) served: usize,
    /// How long the statements took that began in each whole second; sorted.
    seconds: Vec<Vec<Duration>>,
    pub(crate) errors: Vec<String>,
}

impl Busy {
    /// So many clients, for so many seconds; who has no session after `patience` gets none.
    pub(crate) fn of(at: SocketAddr, clients: usize, seconds: usize, patience: Duration) -> Self {
        let (over, (tell, told)) = (AtomicBool::new(false), channel());
        thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|_| {
                    let (over, tell) = (&over, tell.clone());
                    scope.spawn(move || {
                        let arrived = Guest::arrive(at, Login::NoSasl, patience);
                        let _listening = tell.send(arrived.is_ok());
                        statements(arrived, over)
                    })
                })
                .collect();
            let served = told.iter().take(clients).filter(|served| *served).count();
            thread::sleep(WARM_UP);
            let start = clock::now();
            thread::sleep(SECOND * u32::try_from(seconds).unwrap_or(u32::MAX));
            over.store(true, Ordering::Relaxed);
            let mut busy = Self { served, seconds: vec![Vec::new(); seconds], errors: Vec::new() };
            for thread in threads {
                match thread.join().expect("a client ends") {
                    Ok(all) => all.into_iter().for_each(|(begun, took)| busy.note(start, begun, took)),
                    Err(error) => busy.errors.push(format!("{error:#}")),
                }
            }
            busy.seconds.iter_mut().for_each(|second| second.sort_unstable());
            busy
        })
    }

    fn note(&mut self, start: Instant, begun: Instant, took: Duration) {
        let Some(after) = begun.checked_duration_since(start) else { return };
        let second = usize::try_from(after.as_secs()).ok().and_then(|second| self.seconds.get_mut(second));
        if let Some(second) = second {
            second.push(took);
        }
    }

    /// So many percent of the statements took no longer, in milliseconds, in the median of the seconds: a
    /// machine that has something else to do for a moment does not count. None if there were no statements.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let of = |second: &Vec<Duration>| second.get(second.len() * percent / 100).copied();
        let mut each: Vec<Duration> = self.seconds.iter().filter_map(of).collect();
        each.sort_unstable();
        Some(each.get(each.len() / 2)?.as_secs_f64() * 1e3)
    }
}

/// Each statement, when it began and how long it took, until all is over.
fn statements(arrived: anyhow::Result<Guest>, over: &AtomicBool) -> anyhow::Result<Vec<(Instant, Duration)>> {
    let mut guest = arrived?;
    let mut all = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = clock::now();
        guest.ask()?;
        all.push((begun, clock::now() - begun));
        thread::sleep(PAUSE);
    }
    guest.client.close_session(&guest.session)?;
    Ok(all)
}
