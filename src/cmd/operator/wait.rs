//! Waiting until nothing is left of what is to leave a coordinator, or to end in a cluster.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock;

/// How wide the bar is, in characters.
const BAR: usize = 20;

/// Why a wait ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// `--timeout` is over.
    #[error("after {after:?} there is still left: {left}; {goes_on}")]
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// What is left, in words.
        left: String,
        /// What goes on nevertheless, in words.
        goes_on: &'static str,
    },
    /// Somebody has undone what keeps new ones away.
    #[error("somebody has {0} meanwhile")]
    Undone(&'static str),
}

/// What is waited for on a coordinator or in a cluster, and what must hold meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    /// What is left of it, by what the API shows.
    left: fn(&Value) -> Left,
    /// Whether new sessions are kept away still.
    holds: fn(&Value) -> bool,
    goes_on: &'static str,
    undone: &'static str,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// What is waited for.
    pub(super) awaited: Awaited,
    /// None: for as long as it takes.
    pub(super) timeout: Option<Duration>,
}

/// It is drained.
pub(super) const DRAINED: Awaited = Awaited {
    left,
    holds: |coordinator| coordinator.get("state").and_then(Value::as_str) == Some("drain"),
    goes_on: "the drain goes on",
    undone: "resumed the coordinator",
};

/// An operator has ejected it.
pub(super) const EJECTED: Awaited = Awaited {
    left,
    holds: |coordinator| coordinator.get("ejected_for").is_some_and(Value::is_number),
    goes_on: "it stays ejected",
    undone: "restored the coordinator",
};

/// An operator has ordered its sessions to move.
pub(super) const MOVED: Awaited = Awaited {
    left: |coordinator| Left { moves: number(coordinator, "ordered_to_move"), ..Left::default() },
    holds: |_| true,
    goes_on: "they go on moving for a minute",
    undone: "changed the coordinator",
};

/// An operator has paused its cluster: sessions may stay, but what is open in them is to end.
pub(super) const PAUSED: Awaited = Awaited {
    left: |cluster| Left { sessions: 0, ..left(cluster) },
    holds: |cluster| cluster.get("paused_for").is_some_and(Value::is_number),
    goes_on: "the cluster stays paused",
    undone: "resumed the cluster",
};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// In one line that changes, on a terminal.
    Bar,
    /// A line for each change.
    Lines,
}

/// What is left on a coordinator, or in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Those that are to move by order of an operator.
    moves: u64,
    sessions: u64,
    open_operations: u64,
    opens_in_progress: u64,
    /// What was begun and has not been answered.
    under_way: u64,
}

fn number(coordinator: &Value, name: &str) -> u64 {
    coordinator.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// What is left on a coordinator or in a cluster, as it is shown.
pub(super) fn left(coordinator: &Value) -> Left {
    let count = |name: &str| number(coordinator, name);
    Left {
        moves: 0,
        sessions: count("sessions"),
        open_operations: count("open_operations"),
        opens_in_progress: count("opens_in_progress"),
        under_way: count("under_way"),
    }
}

impl Left {
    fn total(self) -> u64 {
        self.moves + self.sessions + self.open_operations + self.opens_in_progress + self.under_way
    }

    /// For people: "2 sessions, 1 open operation".
    pub(super) fn as_words(self) -> String {
        let count = |count: u64, one: &str, many: &str| {
            (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
        };
        let parts = [
            count(self.moves, "session to move", "sessions to move"),
            count(self.sessions, "session", "sessions"),
            count(self.open_operations, "open operation", "open operations"),
            count(self.opens_in_progress, "open in progress", "opens in progress"),
            count(self.under_way, "call under way", "calls under way"),
        ];
        let words = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        if words.is_empty() { "nothing is open there".to_owned() } else { words }
    }
}

/// Why some of its sessions stay, each reason once.
struct Pins<'a>(&'a Value);

impl fmt::Display for Pins<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits_for = self.0.get("waits_for").and_then(Value::as_array).into_iter().flatten();
        let mut reasons: Vec<&str> = waits_for.filter_map(|one| one.get("pinned")?.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        if reasons.is_empty() { Ok(()) } else { write!(f, " ({})", reasons.join(", ")) }
    }
}

/// Waits until nothing is left of what is awaited; `look` waits a moment and looks again.
///
/// # Errors
/// [`Unfinished`], when the timeout is over or somebody has undone what was done; and what `look` fails with.
pub(super) fn wait_until_done(
    mut found: Value,
    until: &Until,
    mut look: impl FnMut() -> anyhow::Result<Value>,
    style: Style,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Until { awaited, timeout } = *until;
    let (began, mut most, mut shown) = (clock::now(), 1, String::new());
    loop {
        let left = (awaited.left)(&found);
        most = most.max(left.total());
        let line = format!("{}{}", left.as_words(), Pins(&found));
        if line != shown && left.total() > 0 {
            show(out, style, cells(most - left.total(), most), &line)?;
            shown = line;
        }
        if !(awaited.holds)(&found) {
            return Err(ended(out, style, Unfinished::Undone(awaited.undone)));
        }
        if left.total() == 0 {
            return finish(out, style);
        }
        if let Some(after) = timeout.filter(|timeout| over(began, *timeout)) {
            let (left, goes_on) = (left.as_words(), awaited.goes_on);
            return Err(ended(out, style, Unfinished::TimedOut { after, left, goes_on }));
        }
        found = look()?;
    }
}

fn over(began: Instant, timeout: Duration) -> bool {
    clock::now().saturating_duration_since(began) >= timeout
}

/// How many cells of the bar are full when so much of `most` is gone.
fn cells(gone: u64, most: u64) -> usize {
    usize::try_from(gone * BAR as u64 / most.max(1)).unwrap_or_default()
}

fn show(out: &mut impl Write, style: Style, full: usize, line: &str) -> anyhow::Result<()> {
    match style {
        Style::Lines => writeln!(out, "waits for {line}")?,
        Style::Bar => {
            let bar = format!("{}{}", "#".repeat(full), ".".repeat(BAR.saturating_sub(full)));
            // From the line's beginning, and nothing behind it.
            write!(out, "\r[{bar}] {line}\x1b[K")?;
            out.flush()?;
        }
    }
    Ok(())
}

/// Ends the line of a bar.
fn finish(out: &mut impl Write, style: Style) -> anyhow::Result<()> {
    if style == Style::Bar {
        writeln!(out)?;
    }
    Ok(())
}

fn ended(out: &mut impl Write, style: Style, why: Unfinished) -> anyhow::Error {
    finish(out, style).err().unwrap_or_else(|| why.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drained(sessions: u64, pinned: Option<&str>) -> Value {
        json!({"state": "drain", "sessions": sessions, "waits_for": [{"pinned": pinned}]})
    }

    fn waited(seen: Vec<Value>, timeout: Option<Duration>, style: Style) -> (anyhow::Result<()>, String) {
        let (mut seen, mut out) = (seen.into_iter(), Vec::new());
        let first = seen.next().unwrap();
        let waited = wait_until_done(
            first,
            &Until { awaited: DRAINED, timeout },
            || Ok(seen.next().unwrap()),
            style,
            &mut out,
        );
        (waited, String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_change_is_a_line_until_nothing_is_left() {
        let seen = vec![
            drained(2, Some("an operation is open")),
            drained(2, Some("an operation is open")),
            drained(1, None),
            drained(0, None),
        ];
        let (waited, said) = waited(seen, None, Style::Lines);
        assert!(waited.is_ok());
        assert_eq!(said, "waits for 2 sessions (an operation is open)\nwaits for 1 session\n");
    }

    #[test]
    fn a_terminal_has_a_bar_in_one_line() {
        let (_, said) = waited(vec![drained(2, None), drained(1, None), drained(0, None)], None, Style::Bar);
        let bars: Vec<&str> = said.split('\r').collect();
        assert!(bars[2].starts_with("[##########..........] 1 session"), "{said:?}");
        assert!(said.ends_with("\x1b[K\n") && said.matches('\n').count() == 1, "{said:?}");
    }

    #[test]
    fn a_wait_ends_with_its_timeout_and_with_the_drain() {
        let (timed_out, _) = waited(vec![drained(2, None)], Some(Duration::ZERO), Style::Lines);
        assert!(timed_out.unwrap_err().to_string().contains("2 sessions; the drain goes on"));
        let (resumed, _) = waited(vec![drained(2, None), json!({"state": "active"})], None, Style::Lines);
        assert!(matches!(
            resumed.unwrap_err().downcast_ref(),
            Some(Unfinished::Undone("resumed the coordinator"))
        ));
    }
}
