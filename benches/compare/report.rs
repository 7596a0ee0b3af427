//! What was measured, and the tables made of it.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::load::Done;
use crate::peers::{BASELINE, Peer};
use crate::process::Usage;
use crate::summary;
use crate::work::{Unit, Work};

/// One peer's go at one piece of work. Times are in the unit that the name says; CPU in seconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) round: usize,
    pub(crate) work: &'static str,
    pub(crate) peer: String,
    seconds: f64,
    calls: u64,
    bytes: u64,
    sessions: u64,
    proxy_cpu: f64,
    client_cpu: f64,
    coordinators_cpu: f64,
    p50_us: f64,
    pub(crate) p99_us: f64,
    p999_us: f64,
    /// Resident memory of the proxy: after one session, and at the end.
    fresh_kib: u64,
    end_kib: u64,
    /// What each idle session added, in KiB.
    pub(crate) idle_session_kib: Option<f64>,
    pub(crate) syscalls: Option<Syscalls>,
}

/// System calls of the proxy while the work went on (slowed down by the counting, so apart from everything
/// else).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Syscalls {
    /// For each call of the work; where it is whole sessions, for each session.
    pub(crate) each: f64,
    /// By name, most frequent first: how many of [`Self::each`].
    pub(crate) names: Vec<(String, f64)>,
}

/// CPU time of the three sides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sides {
    pub(crate) proxy: Usage,
    pub(crate) client: Duration,
    pub(crate) coordinators: Usage,
}

/// The processes at the moments of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) fresh: Sides,
    pub(crate) idle: Sides,
    pub(crate) begin: Sides,
    pub(crate) end: Sides,
}

impl Record {
    pub(crate) fn new(round: usize, work: &Work, peer: &str, done: &Done, seen: &Seen) -> Self {
        let percentile = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
            let place = (done.latencies.len() as f64 * share) as usize;
            let latency = done.latencies.get(place).or_else(|| done.latencies.last());
            latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
        };
        let Seen { fresh, idle, begin, end } = seen;
        let cpu = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64();
        let grown = idle.proxy.resident_kib.saturating_sub(fresh.proxy.resident_kib);
        Self {
            round,
            work: work.name,
            peer: peer.to_owned(),
            seconds: done.seconds,
            calls: done.calls,
            bytes: done.bytes,
            sessions: done.sessions,
            proxy_cpu: cpu(begin.proxy.cpu, end.proxy.cpu),
            client_cpu: cpu(begin.client, end.client),
            coordinators_cpu: cpu(begin.coordinators.cpu, end.coordinators.cpu),
            p50_us: percentile(0.5),
            p99_us: percentile(0.99),
            p999_us: percentile(0.999),
            fresh_kib: fresh.proxy.resident_kib,
            end_kib: end.proxy.resident_kib,
            idle_session_kib: (work.idle > 0).then(|| grown as f64 / work.idle as f64),
            syscalls: None,
        }
    }

    /// CPU of the proxy: µs a call or session, s a GB.
    pub(crate) fn cpu_per(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Call => self.proxy_cpu / self.calls as f64 * 1e6,
            Unit::Gigabyte => self.proxy_cpu / (self.bytes as f64 / 1e9),
            Unit::Session => self.proxy_cpu / self.sessions as f64 * 1e6,
        }
    }

    /// Whole sessions, while it was measured.
    pub(crate) fn sessions_per_second(&self) -> f64 {
        self.sessions as f64 / self.seconds
    }
}

/// Median, least and greatest.
pub(crate) struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    /// As it stands in tables.
    pub(crate) fn shown(spread: Option<&Self>) -> String {
        match spread {
            Some(Self { median, least, greatest }) => format!("{median:.2} ({least:.2}–{greatest:.2})"),
            None => "–".to_owned(),
        }
    }
}

/// Of the values that are numbers; none if there is none.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let (least, greatest) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    };
    Some(Spread { median, least, greatest })
}

/// The records of one piece of work.
pub(crate) struct Table<'a> {
    pub(crate) work: &'a Work,
    pub(crate) records: Vec<&'a Record>,
}

impl Table<'_> {
    /// What a peer did of it.
    pub(crate) fn of<'a>(&'a self, peer: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().copied().filter(move |record| record.peer == peer)
    }

    /// The median of a peer's values.
    pub(crate) fn median(&self, peer: &str, value: impl Fn(&Record) -> f64) -> Option<f64> {
        spread(self.of(peer).map(value)).map(|spread| spread.median)
    }

    /// A peer's values over the baseline's of the same round.
    pub(crate) fn ratios(&self, peer: &str, value: impl Fn(&Record) -> f64) -> Option<Spread> {
        self.ratios_over(BASELINE, peer, value)
    }

    /// A peer's values over another one's of the same round.
    pub(crate) fn ratios_over(
        &self,
        other: &str,
        peer: &str,
        value: impl Fn(&Record) -> f64,
    ) -> Option<Spread> {
        spread(self.of(peer).filter_map(|record| {
            let other = self.of(other).find(|other| other.round == record.round)?;
            Some(value(record) / value(other))
        }))
    }

    fn row(&self, peer: &str) -> String {
        let unit = self.work.unit();
        let cpu = |record: &Record| record.cpu_per(unit);
        let number = |value: Option<f64>, digits: usize| match value {
            Some(value) => format!("{value:.digits$}"),
            None => "–".to_owned(),
        };
        let ratio = |spread: Option<Spread>| Spread::shown(spread.as_ref());
        let is_proxy = peer != "direct";
        let busy = |value: fn(&Record) -> f64| {
            number(self.median(peer, |record| value(record) / record.seconds * 100.0), 0)
        };
        let latency = |value: fn(&Record) -> f64| number(self.median(peer, value), 0);
        let cells = [
            peer.to_owned(),
            number(self.median(peer, cpu).filter(|_| is_proxy), if unit == Unit::Gigabyte { 3 } else { 2 }),
            ratio(self.ratios(peer, cpu).filter(|_| is_proxy)),
            number(self.median(peer, |record| record.calls as f64 / record.seconds), 0),
            number(self.median(peer, |record| record.bytes as f64 / record.seconds / 1e6), 0),
            number(self.median(peer, Record::sessions_per_second), 0),
            latency(|record| record.p50_us),
            latency(|record| record.p99_us),
            latency(|record| record.p999_us),
            ratio(self.ratios(peer, |record| record.p99_us)),
            number(
                self.median(peer, |record| record.idle_session_kib.unwrap_or(f64::NAN)).filter(|_| is_proxy),
                2,
            ),
            number(self.median(peer, |record| record.end_kib as f64 / 1024.0).filter(|_| is_proxy), 1),
            format!(
                "{} / {} / {}",
                busy(|record| record.client_cpu),
                busy(|record| record.proxy_cpu),
                busy(|record| record.coordinators_cpu)
            ),
        ];
        format!("| {} |\n", cells.join(" | "))
    }

    fn markdown(&self, peers: &[String]) -> String {
        let Work { name, auth, transport, clients, idle, .. } = self.work;
        let unit = self.work.unit().title();
        let mut text = format!("\n### {name}\n\n{clients} clients, {auth:?}{}", transport.title());
        if *idle > 0 {
            let _infallible = write!(text, ", {idle} idle sessions");
        }
        let _infallible = write!(
            text,
            "\n\n| peer | {unit} | × {BASELINE} | calls/s | MB/s | sessions/s | p50 µs | p99 µs | p99.9 µs | \
             p99 × {BASELINE} | KiB/idle session | MiB at the end | % busy: client / proxy / coordinators |\n\
             |{}\n",
            " --- |".repeat(13)
        );
        let there: Vec<_> = peers.iter().filter(|peer| self.of(peer).next().is_some()).collect();
        text.extend(there.iter().map(|peer| self.row(peer)));
        for record in there.iter().filter_map(|peer| self.of(peer).next()) {
            if let Some(Syscalls { each, names }) = &record.syscalls {
                let names: Vec<String> =
                    names.iter().map(|(name, count)| format!("{name} {count:.2}")).collect();
                let _infallible = write!(
                    text,
                    "\n{}: {each:.2} system calls a {} ({})\n",
                    record.peer,
                    if self.work.unit() == Unit::Session { "session" } else { "call" },
                    names.join(", ")
                );
            }
        }
        text
    }
}

/// All tables.
pub(crate) fn markdown(head: &[String], works: &[Work], peers: &[Peer], records: &[Record]) -> String {
    let names: Vec<String> = peers.iter().map(|peer| peer.name.clone()).collect();
    let mut text = String::new();
    for line in head {
        let _infallible = writeln!(text, "- {line}");
    }
    text.push_str(&summary::markdown(works, peers, records));
    for work in works {
        let records: Vec<_> = records.iter().filter(|record| record.work == work.name).collect();
        if !records.is_empty() {
            text.push_str(&Table { work, records }.markdown(&names));
        }
    }
    text
}
