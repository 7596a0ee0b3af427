//! Files that are read again while the program runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::content::Hashed;
use super::error::CertificateError;

/// What came of reading files again.
#[derive(Debug)]
pub enum Refreshed {
    /// They are as they were when they were last read, good or bad.
    Unchanged,
    /// They have changed, and new connections use what is in them.
    Changed,
    /// They have changed and cannot be used; nothing else has changed.
    Failed(CertificateError),
}

/// What was last made of some files without a problem.
#[derive(Debug)]
pub(in crate::net::tls) struct Reread<T> {
    current: ArcSwap<T>,
    /// A hash of the files when they were last read. Held for a whole refresh, so that two of them do not
    /// mix.
    seen: Mutex<[u8; 32]>,
}

impl<T> Reread<T> {
    /// Reads files for the first time, and makes something of them.
    ///
    /// # Errors
    /// What `read` and `build` have.
    pub(in crate::net::tls) fn load<C>(
        read: impl FnOnce(&mut Hashed) -> Result<C, CertificateError>,
        build: impl FnOnce(C) -> Result<T, CertificateError>,
    ) -> Result<Self, CertificateError> {
        let mut hashed = Hashed::new();
        let made = read(&mut hashed).and_then(build)?;
        Ok(Self { current: ArcSwap::from_pointee(made), seen: Mutex::new(hashed.finish()) })
    }

    /// What was last made without a problem.
    pub(in crate::net::tls) fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Reads the files again, and makes something of them if they have changed, and of what was made before.
    /// It blocks while it reads: files may be on a file system that does not answer. Nobody waits for it who
    /// wants what is current. A failure is told once for each content of the files.
    pub(in crate::net::tls) fn refresh<C>(
        &self,
        read: impl FnOnce(&mut Hashed) -> Result<C, CertificateError>,
        build: impl FnOnce(C, &T) -> Result<T, CertificateError>,
    ) -> Refreshed {
        let mut last = self.seen.lock();
        let mut hashed = Hashed::new();
        let contents = read(&mut hashed);
        let seen = hashed.finish();
        if seen == *last {
            return Refreshed::Unchanged;
        }
        *last = seen;
        match contents.and_then(|contents| build(contents, &self.current.load())) {
            Ok(made) => {
                self.current.store(Arc::new(made));
                Refreshed::Changed
            }
            Err(error) => Refreshed::Failed(error),
        }
    }
}
