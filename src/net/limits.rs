//! How many files, and with them connections, the process may have open.

use std::fmt;
use std::io;

use rlimit::Resource;

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

/// Raises the soft limit to the hard one, which needs no privilege.
///
/// # Errors
/// The kernel's; the limit is then what it was.
pub fn raise_file_limit() -> io::Result<FileLimit> {
    let (before, _hard) = Resource::NOFILE.get()?;
    let now = rlimit::increase_nofile_limit(u64::MAX)?;
    Ok(FileLimit { before, now })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_file_limit().unwrap();
        let (soft, hard) = Resource::NOFILE.get().unwrap();
        assert_eq!(soft, hard);
        assert_eq!(raised.now, soft);
        assert!(raised.before <= raised.now);
    }

    #[test]
    fn the_report_says_what_was_raised() {
        assert_eq!(FileLimit { before: 1024, now: 1024 }.to_string(), "1024 open files");
        assert_eq!(FileLimit { before: 1024, now: 4096 }.to_string(), "4096 open files (raised from 1024)");
    }
}
