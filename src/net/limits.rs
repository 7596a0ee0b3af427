//! Limits of the process: open files, which bound its connections, and lines in its log.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rlimit::Resource;

/// How many lines of one cause may be logged at once, after a pause.
const MOST_AT_ONCE: u32 = 20;
/// After this time one more may be logged.
const ANOTHER_AFTER: Duration = Duration::from_secs(1);

/// The limit on open files (`RLIMIT_NOFILE`) after [`raise_file_limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// The limit before.
    pub before: u64,
    /// The limit now.
    pub now: u64,
}

impl fmt::Display for FileLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.now == self.before {
            write!(f, "{} open files", self.now)
        } else {
            write!(f, "{} open files (raised from {})", self.now, self.before)
        }
    }
}

/// File descriptors for each client connection: its own and that of a link to one coordinator. Connections
/// that use several coordinators need more.
const FILES_PER_CONNECTION: u64 = 2;

/// File descriptors for everything else: listeners, the admin port, the runtime's own, dials in progress.
const OTHER_FILES: u64 = 200;

/// About how many files this many client connections need.
pub fn files_for(connections: usize) -> u64 {
    let connections = u64::try_from(connections).unwrap_or(u64::MAX);
    connections.saturating_mul(FILES_PER_CONNECTION).saturating_add(OTHER_FILES)
}

/// For how many client connections this many files are enough; at least 1.
pub fn connections_with(files: u64) -> usize {
    let connections = files.saturating_sub(OTHER_FILES) / FILES_PER_CONNECTION;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

/// Raises the soft limit to the hard one, which needs no privilege.
///
/// # Errors
/// When the kernel refuses; the limit is then unchanged.
pub fn raise_file_limit() -> io::Result<FileLimit> {
    let (before, _hard) = Resource::NOFILE.get()?;
    let now = rlimit::increase_nofile_limit(u64::MAX)?;
    Ok(FileLimit { before, now })
}

/// Bounds the log lines that strangers can cause: twenty of each cause at once, then one per second. A log
/// that says the same thing a thousand times a second hides everything else. Each cause has its own bound, or
/// else a flood of one would hide the others.
#[derive(Debug, Default)]
pub struct WarningLimit(Mutex<BTreeMap<Cause, Account>>);

/// The line's text and its cause, both literals of the program, so that there are only so many entries.
type Cause = (&'static str, &'static str);

#[derive(Debug)]
struct Account {
    /// How many may be logged at `as_of`; up to [`MOST_AT_ONCE`].
    allowed: u32,
    as_of: Instant,
    left_out: u64,
}

impl Account {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.as_of).as_nanos() / ANOTHER_AFTER.as_nanos();
        let gained = u32::try_from(passed).unwrap_or(u32::MAX).min(MOST_AT_ONCE);
        if gained > 0 {
            self.allowed = self.allowed.saturating_add(gained).min(MOST_AT_ONCE);
            self.as_of = now;
        }
    }
}

impl WarningLimit {
    /// Whether a line with this text and cause may be logged at `now`. `None` if not, else how many have been
    /// left out since the last one that was.
    pub fn admit(&self, line: &'static str, why: &'static str, now: Instant) -> Option<u64> {
        let mut accounts = self.0.lock();
        let new = || Account { allowed: MOST_AT_ONCE, as_of: now, left_out: 0 };
        let account = accounts.entry((line, why)).or_insert_with(new);
        account.refill(now);
        let Some(allowed) = account.allowed.checked_sub(1) else {
            account.left_out += 1;
            return None;
        };
        account.allowed = allowed;
        Some(std::mem::take(&mut account.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_flood_of_lines_is_cut_and_what_was_left_out_is_told() {
        let limit = WarningLimit::default();
        let start = clock::now();
        let admit = |after| limit.admit("link lost", "closed", start + Duration::from_millis(after));
        assert_eq!((0..1000).filter(|_| admit(0).is_some()).count(), 20);
        assert_eq!(admit(999), None);
        assert_eq!(admit(1000), Some(981));
        assert_eq!(admit(1000), None, "one a second");
        assert_eq!((0..1000).filter(|_| admit(3_600_000).is_some()).count(), 20, "after a pause as at first");
    }

    #[test]
    fn a_flood_of_one_cause_hides_no_other() {
        let (limit, now) = (WarningLimit::default(), clock::now());
        while limit.admit("link lost", "closed", now).is_some() {}
        assert_eq!(limit.admit("link lost", "a TLS alert", now), Some(0));
        assert_eq!(limit.admit("login lost", "closed", now), Some(0));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_file_limit().unwrap();
        let (soft, hard) = Resource::NOFILE.get().unwrap();
        assert_eq!(soft, hard);
        assert_eq!(raised.now, soft);
        assert!(raised.before <= raised.now);
    }

    #[test]
    fn as_many_connections_are_taken_as_leave_files_for_their_links() {
        assert_eq!(files_for(1000), 2200);
        assert_eq!(connections_with(2200), 1000);
        assert_eq!(connections_with(1024), 412);
        assert_eq!(connections_with(64), 1);
        assert_eq!(files_for(usize::MAX), u64::MAX);
    }

    #[test]
    fn the_report_says_what_was_raised() {
        assert_eq!(FileLimit { before: 1024, now: 1024 }.to_string(), "1024 open files");
        assert_eq!(FileLimit { before: 1024, now: 4096 }.to_string(), "4096 open files (raised from 1024)");
    }
}
