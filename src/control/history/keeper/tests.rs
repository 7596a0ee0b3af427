use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use serde_json::Value;

use super::*;
use crate::control::config::{LogConfig, LogFormat, LogLevel};
use crate::control::history::recent::MOST_RECORDS;
use crate::control::history::told::OfCluster;
use crate::control::view::VerbDone;
use crate::ids::{Access, Identity, Transport};
use crate::metrics::Metrics;
use crate::session::table::{EndedSession, History as _, SessionEnd, Whose};

/// A disk in memory with so many bytes left.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

impl Disk {
    fn with_room(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), bytes))))
    }

    fn room(&self, bytes: usize) {
        self.0.lock().1 = bytes;
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().0.clone()).unwrap()
    }
}

impl Lines for Disk {
    fn add(&mut self, lines: &[u8], _: SystemTime) -> Result<(), NotAdded> {
        let (bytes, room) = &mut *self.0.lock();
        let written = lines.len().min(*room);
        bytes.extend_from_slice(&lines[..written]);
        *room -= written;
        if written == lines.len() { Ok(()) } else { Err(NotAdded { written, why: Errno::NOSPC.into() }) }
    }

    fn tidy(&mut self, _: SystemTime) {}
}

const DAY: Duration = Duration::from_hours(24);

fn now() -> Now {
    Now { instant: clock::now(), time_of_day: SystemTime::UNIX_EPOCH + DAY }
}

fn verb(number: usize, now: Now) -> Told {
    let done = VerbDone { verb: format!("verb {number}"), outcome: "done".to_owned(), ..VerbDone::default() };
    Told::Verb { from: now.instant, to: now.instant, done: Box::new(done) }
}

fn keeper(metrics: &Metrics, disk: &Disk) -> Keeper<Disk> {
    let (lost, troubles) = (metrics.history_lost.clone(), Troubles::default());
    Keeper { recent: Recent::default(), lines: Some(disk.clone()), lost, troubles }
}

fn keep(keeper: &mut Keeper<Disk>, verbs: std::ops::Range<usize>) {
    let now = now();
    let told = verbs.map(|number| verb(number, now)).collect();
    keeper.keep(Taken { told, lost: 0 }, now, &|_, _| String::new());
}

/// A place to write that the test can read.
#[derive(Clone)]
struct To(Arc<Mutex<Vec<u8>>>);

impl io::Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged meanwhile.
fn logged(events: impl FnOnce()) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = To(Arc::clone(&lines));
    let config = LogConfig { format: LogFormat::Text, level: LogLevel::Info };
    let (subscriber, _) = crate::control::log::subscriber(config, move || to.clone());
    tracing::subscriber::with_default(subscriber, events);
    let text = lines.lock().clone();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_full_disk_is_said_once_and_costs_lines_alone() {
    let (metrics, disk) = (Metrics::new(), Disk::with_room(usize::MAX));
    let mut keeper = keeper(&metrics, &disk);
    let said = logged(|| {
        keep(&mut keeper, 0..10);
        disk.room(0);
        for _ in 0..3 {
            keep(&mut keeper, 0..100);
        }
        disk.room(usize::MAX);
        for _ in 0..3 {
            keep(&mut keeper, 0..10);
        }
    });
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("ERROR") && lines[0].contains("cannot be written"), "{said}");
    assert!(lines[0].contains("No space left on device"), "{said}");
    assert!(lines[1].contains("is written again") && lines[1].contains("lost=300"), "{said}");
    assert_eq!(disk.text().lines().count(), 40);
    assert_eq!(keeper.recent.all().len(), 340, "in memory nothing is lost");
    let text = metrics.render().unwrap();
    assert!(text.contains("hs2router_history_lost_total{cause=\"not_written\"} 300"), "{text}");
}

#[test]
fn lines_that_were_whole_when_the_disk_was_full_are_not_lost() {
    let (metrics, disk) = (Metrics::new(), Disk::with_room(usize::MAX));
    let mut keeper = keeper(&metrics, &disk);
    keep(&mut keeper, 0..1);
    let line = disk.text().len();
    disk.room(line * 5 / 2);
    keep(&mut keeper, 0..10);
    assert_eq!(disk.text().lines().count(), 1 + 3, "two are whole and one is torn");
    assert_eq!(metrics.history_lost.counted(HistoryLoss::NotWritten), 8);
}

#[test]
fn more_than_can_be_kept_is_said_once_and_once_when_it_is_over() {
    let (metrics, disk) = (Metrics::new(), Disk::with_room(usize::MAX));
    let mut keeper = keeper(&metrics, &disk);
    let said = logged(|| {
        for lost in [0, 5, 7, 0, 0] {
            keeper.keep(Taken { told: Vec::new(), lost }, now(), &|_, _| String::new());
        }
    });
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("some are lost") && lines[1].contains("lost=12"), "{said}");
}

#[test]
fn a_line_has_the_fields_of_the_api_and_the_last_are_in_memory() {
    let (metrics, disk) = (Metrics::new(), Disk::with_room(usize::MAX));
    let mut keeper = keeper(&metrics, &disk);
    keep(&mut keeper, 0..MOST_RECORDS + 5);
    let kept = keeper.recent.all();
    assert_eq!(kept.len(), MOST_RECORDS);
    let last: Value = serde_json::from_str(disk.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["verb"], format!("verb {}", MOST_RECORDS + 4));
    assert_eq!(last, serde_json::to_value(&*kept[0]).unwrap());
    assert_eq!(disk.text().lines().count(), MOST_RECORDS + 5);
}

fn session(since: Instant) -> EndedSession {
    EndedSession {
        guid: [7; 16],
        coordinator: CoordinatorId(2),
        earlier: vec![CoordinatorId(1)],
        whose: Whose {
            access: Access { identity: Identity::Plain("ann".into()), transport: Transport::Sasl },
            origin: None,
        },
        is_beeswax: false,
        is_located: false,
        since,
        end: SessionEnd::Closed,
    }
}

#[test]
fn a_session_is_recorded_by_the_time_of_day_and_with_names() {
    let (metrics, disk) = (Metrics::new(), Disk::with_room(usize::MAX));
    let mut keeper = keeper(&metrics, &disk);
    let (since, seconds) = (clock::now(), Duration::from_secs);
    let at = since + seconds(60);
    let now = Now { instant: since + seconds(90), ..now() };
    let told = vec![Told::Session { cluster: "a".into(), at, ended: Box::new(session(since)) }];
    keeper.keep(Taken { told, lost: 0 }, now, &|cluster, id| format!("{cluster}{}", id.0));
    let line: Value = serde_json::from_str(&disk.text()).unwrap();
    assert_eq!(
        (&line["kind"], &line["outcome"], &line["user"]),
        (&"session".into(), &"closed".into(), &"ann".into())
    );
    assert_eq!((&line["coordinator"], &line["earlier_coordinators"][0]), (&"a2".into(), &"a1".into()));
    assert_eq!(line["start"], "1970-01-01T23:58:30.000Z");
    assert_eq!((&line["end"], &line["lasted"]), (&"1970-01-01T23:59:30.000Z".into(), &60.0.into()));
}

/// Answers nothing while the test holds its lock.
#[derive(Clone)]
struct Stuck(Arc<Mutex<()>>, Disk);

impl Lines for Stuck {
    fn add(&mut self, lines: &[u8], now: SystemTime) -> Result<(), NotAdded> {
        let _answers = self.0.lock();
        self.1.add(lines, now)
    }

    fn tidy(&mut self, _: SystemTime) {}
}

#[test]
fn ten_thousand_sessions_that_end_at_once_wait_for_no_disk() {
    const ENDS: usize = 10_000;
    let (metrics, disk) = (Metrics::new(), Disk::with_room(usize::MAX));
    let stuck = Stuck(Arc::default(), disk.clone());
    let lost = metrics.history_lost.clone();
    let keeper =
        Keeper { recent: Recent::default(), lines: Some(stuck.clone()), lost, troubles: Troubles::default() };
    let queue = Arc::new(Queue::new(metrics.history_lost.clone()));
    let history = OfCluster { cluster: "a".into(), queue: Arc::clone(&queue) };
    let held = stuck.0.lock();
    let keeping = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || keeper.run(&queue, &|_, _| String::new())
    });
    // Were this to wait for the disk, it would wait for ever.
    (0..ENDS).for_each(|_| history.session_ended(session(clock::now())));
    drop(held);
    queue.close();
    keeping.join().unwrap();
    let lost = metrics.history_lost.counted(HistoryLoss::TooMany);
    assert_eq!(disk.text().lines().count() as u64 + lost, ENDS as u64);
}
