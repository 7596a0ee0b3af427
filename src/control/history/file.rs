//! The file of a history: lines that are added, and older files beside it that are removed after a time.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use crate::control::config::HistoryConfig;

const DAY: Duration = Duration::from_hours(24);
/// Only the router's own user reads it: it says who works with what.
const MODE: u32 = 0o600;

/// Why a history cannot be kept in a file.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The folder of the file is not there, or is none.
    #[error("[admin] history: there is no folder {}: create it, or write another file", folder.display())]
    NoFolder {
        /// Where it should be.
        folder: PathBuf,
    },
    /// There is something, and it is no file.
    #[error("[admin] history: {} is not a regular file: write another", file.display())]
    NotAFile {
        /// Its path.
        file: PathBuf,
    },
    /// The system does not open it.
    #[error("[admin] history: {} cannot be written: {source}", file.display())]
    NotOpened {
        /// Its path.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl HistoryError {
    /// Whether it is likely to pass by itself, so that nobody has to be kept from starting.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotOpened { source, .. } if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }
}

/// Looks whether a history could be kept there, and changes nothing.
///
/// # Errors
/// [`HistoryError`].
pub fn examine(file: &Path) -> Result<(), HistoryError> {
    let folder = folder_of(file);
    if !folder.is_dir() {
        return Err(HistoryError::NoFolder { folder: folder.to_owned() });
    }
    match fs::metadata(file) {
        Ok(there) if !there.is_file() => Err(HistoryError::NotAFile { file: file.to_owned() }),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Lines that were not added.
#[derive(Debug)]
pub(super) struct NotAdded {
    /// How many of the bytes were.
    pub(super) written: usize,
    pub(super) why: io::Error,
}

/// Somewhere that lines can be added.
pub(super) trait Lines {
    /// Adds whole lines.
    ///
    /// # Errors
    /// [`NotAdded`], when not all of them were; later ones may be.
    fn add(&mut self, lines: &[u8], now: SystemTime) -> Result<(), NotAdded>;

    /// Removes what was kept for long enough.
    fn tidy(&mut self, now: SystemTime);
}

/// The file, which is put aside when it is large enough and at the end of each day (UTC).
#[derive(Debug)]
pub(super) struct HistoryFile {
    config: HistoryConfig,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and number of the file.
    id: (u64, u64),
    size: u64,
    /// When the last line was added.
    last: SystemTime,
    /// Whether its last line is not whole.
    is_torn: bool,
}

impl HistoryFile {
    /// Opens the file, or creates it, so that whatever keeps it from being written is known from the start.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub(super) fn open(config: HistoryConfig, now: SystemTime) -> Result<Self, HistoryError> {
        examine(&config.file)?;
        let mut this = Self { config, open: None };
        match this.reopen(now) {
            Ok(open) => this.open = Some(open),
            Err(source) => {
                let error = HistoryError::NotOpened { file: this.config.file.clone(), source };
                if !error.may_pass() {
                    return Err(error);
                }
                tracing::error!(%error, "the history is not written for now");
            }
        }
        this.tidy(now);
        Ok(this)
    }

    fn reopen(&self, now: SystemTime) -> io::Result<Open> {
        let path = &self.config.file;
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
        let there = file.metadata()?;
        let last = there.modified().unwrap_or(now);
        // What stands there may be of a process that was killed in the middle of a line.
        let is_torn = there.len() > 0 && !ends_with_a_line(path, there.len());
        Ok(Open { file, id: id(&there), size: there.len(), last, is_torn })
    }

    /// The file, if it is still the one with this name: somebody may have moved or removed it.
    fn current(&mut self, now: SystemTime) -> io::Result<&mut Open> {
        let named = fs::metadata(&self.config.file).ok().map(|there| id(&there));
        let is_it = self.open.as_ref().is_some_and(|open| Some(open.id) == named);
        let open = match self.open.take() {
            Some(open) if is_it => open,
            _ => self.reopen(now)?,
        };
        Ok(self.open.insert(open))
    }

    /// Gives the file a name of its own, by the time of its last line.
    fn put_aside(&mut self, last: SystemTime) -> io::Result<()> {
        self.open = None;
        let mut at = last;
        let aside = loop {
            let aside = self.beside(&stamp(at));
            if !aside.exists() {
                break aside;
            }
            at += Duration::from_millis(1);
        };
        fs::rename(&self.config.file, aside)
    }

    fn beside(&self, stamp: &str) -> PathBuf {
        let mut name = OsString::from(&self.config.file);
        name.push(".");
        name.push(stamp);
        name.into()
    }

    fn add_or_fail(&mut self, lines: &[u8], now: SystemTime) -> Result<(), NotAdded> {
        let failed = |why| NotAdded { written: 0, why };
        let rotate = self.config.rotate;
        let open = self.current(now).map_err(failed)?;
        let (size, last) = (open.size, open.last);
        let is_large = size + lines.len() as u64 > rotate;
        if size > 0 && (is_large || day(now) != day(last)) {
            self.put_aside(last).map_err(failed)?;
            self.tidy(now);
        }
        let open = self.current(now).map_err(failed)?;
        if open.is_torn {
            open.file.write_all(b"\n").map_err(failed)?;
            open.size += 1;
            open.is_torn = false;
        }
        let (written, result) = write(&mut open.file, lines);
        open.size += written as u64;
        open.is_torn = written > 0 && lines.get(written - 1) != Some(&b'\n');
        open.last = now;
        result.map_err(|why| NotAdded { written, why })
    }

    /// The files that were put aside, with the time of the last line of each.
    fn aside(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let Some(name) = self.config.file.file_name().and_then(|name| name.to_str()) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder_of(&self.config.file))? {
            let entry = entry?;
            let beside = entry.file_name();
            let stamp = beside.to_str().and_then(|text| text.strip_prefix(name)?.strip_prefix('.'));
            if let Some(stamp) = stamp.filter(|stamp| is_stamp(stamp)) {
                found.push((entry.path(), stamp.to_owned()));
            }
        }
        Ok(found)
    }
}

impl Lines for HistoryFile {
    fn add(&mut self, lines: &[u8], now: SystemTime) -> Result<(), NotAdded> {
        let added = self.add_or_fail(lines, now);
        if added.as_ref().is_err_and(|not| not.written == 0) {
            // The file system may be another one when it is tried again.
            self.open = None;
        }
        added
    }

    fn tidy(&mut self, now: SystemTime) {
        let oldest = now.checked_sub(self.config.keep).unwrap_or(SystemTime::UNIX_EPOCH);
        let oldest = stamp(oldest);
        match self.aside() {
            Ok(aside) => {
                for (path, _) in aside.into_iter().filter(|(_, stamp)| *stamp < oldest) {
                    if let Err(error) = fs::remove_file(&path) {
                        tracing::warn!(file = %path.display(), %error, "cannot remove an old file of the history");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(file = %self.config.file.display(), %error, "cannot look for old files of the history");
            }
        }
    }
}

/// Writes as much as it can; returns how many bytes that were.
fn write(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn id(there: &Metadata) -> (u64, u64) {
    (there.dev(), there.ino())
}

fn ends_with_a_line(path: &Path, size: u64) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut last, size - 1));
    read.is_err() || last == *b"\n"
}

fn day(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / DAY.as_secs()
}

/// A moment in UTC, in a name; names sort like moments.
fn stamp(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (date, time) = (at.date(), at.time());
    let month = u8::from(date.month());
    let (hour, minute, second, millisecond) = time.as_hms_milli();
    format!("{:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}.{millisecond:03}Z", date.year(), date.day())
}

/// Whether a text has the form of a stamp: others' files stay.
fn is_stamp(text: &str) -> bool {
    let form = "00000000T000000.000Z";
    text.len() == form.len()
        && text.chars().zip(form.chars()).all(
            |(one, like)| {
                if like == '0' { one.is_ascii_digit() } else { one == like }
            },
        )
}

#[cfg(test)]
mod tests;
