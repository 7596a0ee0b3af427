//! What the process may have and do: open files, and with them connections; warnings in its log.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rlimit::Resource;

/// How many warnings of one kind there may be in [`WARNING_PERIOD`].
const MOST_WARNINGS: u32 = 20;
/// What [`MOST_WARNINGS`] is counted over.
const WARNING_PERIOD: Duration = Duration::from_secs(1);

/// The limit on open files (`RLIMIT_NOFILE`) after [`raise_file_limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// What holds before.
    pub before: u64,
    /// What holds now.
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

/// File descriptors for each client connection: itself and a link to one coordinator. Connections that use several
/// coordinators need more.
const FILES_PER_CONNECTION: u64 = 2;

/// File descriptors for everything else: listeners, the admin port, the runtime's own, dials in progress.
const OTHER_FILES: u64 = 200;

/// About how many files so many client connections need.
pub fn files_for(connections: usize) -> u64 {
    let connections = u64::try_from(connections).unwrap_or(u64::MAX);
    connections.saturating_mul(FILES_PER_CONNECTION).saturating_add(OTHER_FILES)
}

/// For how many client connections so many files are enough; 1 at the least.
pub fn connections_with(files: u64) -> usize {
    let connections = files.saturating_sub(OTHER_FILES) / FILES_PER_CONNECTION;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

/// Raises the soft limit to the hard one, which needs no privilege.
///
/// # Errors
/// The kernel's; the limit is then what it was.
pub fn raise_file_limit() -> io::Result<FileLimit> {
    let (before, _hard) = Resource::NOFILE.get()?;
    let now = rlimit::increase_nofile_limit(u64::MAX)?;
    Ok(FileLimit { before, now })
}

/// Lets at most twenty warnings a second through: strangers can cause any number of them, and a log that says the same
/// thing a thousand times a second hides everything else.
#[derive(Debug, Default)]
pub struct WarningLimit(Mutex<Period>);

#[derive(Debug, Default)]
struct Period {
    began: Option<Instant>,
    let_through: u32,
    left_out: u64,
}

impl WarningLimit {
    /// Whether a warning may be logged at `now`: `None` if not, else how many were left out since the last one that was.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut period = self.0.lock();
        if period.began.is_none_or(|began| now.saturating_duration_since(began) >= WARNING_PERIOD) {
            period.began = Some(now);
            period.let_through = 0;
        }
        if period.let_through >= MOST_WARNINGS {
            period.left_out += 1;
            return None;
        }
        period.let_through += 1;
        Some(std::mem::take(&mut period.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_flood_of_warnings_is_cut_and_what_was_left_out_is_told() {
        let limit = WarningLimit::default();
        let start = clock::now();
        let admitted = (0..1000).filter(|_| limit.admit(start).is_some()).count();
        assert_eq!(admitted, 20);
        assert_eq!(limit.admit(start + Duration::from_millis(999)), None);
        assert_eq!(limit.admit(start + Duration::from_secs(1)), Some(981));
        assert_eq!(limit.admit(start + Duration::from_secs(1)), Some(0));
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
