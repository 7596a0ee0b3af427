//! Reads the files of listeners' certificates again and again, and warns of certificates that expire.
//!
//! The contents are compared, instead of waiting for the system to tell of a change: a secret that Kubernetes
//! mounts changes by a symbolic link above the file, which no watch of the file sees.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::metrics::{CertificateMetrics, Metrics, ReloadOutcome};
use crate::net::stream::Stream;
use crate::net::tls::certificates::{Certificate, Standing};
use crate::net::tls::server::{ListenerTls, Refreshed};
use crate::serve::fleet::entrance::Entrance;

/// From one reading of the files to the next.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// Reading that takes longer is told: the file system may not answer any more.
const LONG_READ: Duration = Duration::from_secs(10);
/// From one warning of certificates that expire to the next.
const WARN_INTERVAL: Duration = Duration::from_hours(24);

/// A listener whose certificates are watched.
#[derive(Debug)]
pub struct Watched {
    listener: Arc<str>,
    tls: Arc<ListenerTls>,
    metrics: CertificateMetrics,
    warned: Option<SystemTime>,
}

impl Watched {
    /// `None` for a listener without TLS of its own.
    pub fn of<S: Stream>(entrance: &Entrance<S>, metrics: &Metrics) -> Option<Self> {
        let tls = Arc::clone(entrance.tls.as_ref()?);
        let listener = Arc::clone(&entrance.name);
        Some(Self { metrics: metrics.certificates(&listener), listener, tls, warned: None })
    }

    /// Watches until the router ends. Connections wait for none of this.
    pub async fn watch(mut self, end: CancellationToken) {
        self.show();
        let mut ticks = interval(READ_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.warn(clock::time_of_day());
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let refreshed = tokio::select! {
                biased;
                () = end.cancelled() => return,
                refreshed = self.refresh() => refreshed,
            };
            self.note(refreshed);
        }
    }

    /// Reads the files, off the thread of this task.
    async fn refresh(&self) -> Refreshed {
        let tls = Arc::clone(&self.tls);
        let mut reading = spawn_blocking(move || tls.refresh());
        let mut read = timeout(LONG_READ, &mut reading).await;
        if read.is_err() {
            let listener = &self.listener;
            tracing::warn!(
                %listener, "reading certificates takes longer than {LONG_READ:?}; the last good ones are used on"
            );
            read = Ok(reading.await);
        }
        // It fails only while the router ends.
        read.ok().and_then(Result::ok).unwrap_or(Refreshed::Unchanged)
    }

    fn note(&mut self, refreshed: Refreshed) {
        let listener = &self.listener;
        match refreshed {
            Refreshed::Unchanged => {}
            Refreshed::Changed => {
                self.metrics.reloads.count(ReloadOutcome::Changed);
                self.warned = None;
                for certificate in self.show() {
                    let (names, expires) = (certificate.all_names(), Until(&certificate));
                    tracing::info!(%listener, %names, %expires, "certificate loaded for new connections");
                }
            }
            Refreshed::Failed(error) => {
                self.metrics.reloads.count(ReloadOutcome::Failed);
                tracing::error!(
                    %listener, %error, "changed certificates cannot be used; the last good ones are used on"
                );
            }
        }
    }

    /// Shows what is in use in the metrics.
    fn show(&self) -> Vec<Certificate> {
        let certificates = self.tls.certificates();
        self.metrics.show_expiry(certificates.iter().map(|one| (one.name(), seconds(one.not_after))));
        certificates
    }

    /// Warns of certificates that are not valid, or not for long.
    fn warn(&mut self, now: SystemTime) {
        for certificate in self.due(now) {
            let (listener, names, expires) = (&self.listener, certificate.all_names(), Until(&certificate));
            let what = match certificate.standing(now) {
                Standing::Valid => continue,
                Standing::ExpiresSoon => "certificate expires soon; renew it",
                Standing::Expired => "certificate has expired, and clients refuse it; renew it",
                Standing::NotYetValid => "certificate is not valid yet; look at the clock of this machine",
            };
            tracing::warn!(%listener, %names, %expires, "{what}");
        }
    }

    /// The certificates to warn of, once a day and after a change.
    fn due(&mut self, now: SystemTime) -> Vec<Certificate> {
        let since = self.warned.map(|last| now.duration_since(last).unwrap_or_default());
        if since.is_some_and(|since| since < WARN_INTERVAL) {
            return Vec::new();
        }
        let mut due = self.tls.certificates();
        due.retain(|certificate| certificate.standing(now) != Standing::Valid);
        self.warned = (!due.is_empty()).then_some(now);
        due
    }
}

/// The day until which a certificate is valid.
struct Until<'a>(&'a Certificate);

impl std::fmt::Display for Until<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.until_day().fmt(f)
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;
    use tokio::time::sleep;

    use super::*;
    use crate::net::tls::certificates::PairFiles;
    use crate::net::tls::server::{Settings, Version};

    const HOUR: Duration = Duration::from_hours(1);

    /// Writes a certificate for this name, valid in the year 2020, and its key.
    fn write(file: &Path, name: &str) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = KeyPair::generate().unwrap();
        fs::write(file, params.self_signed(&key).unwrap().pem() + &key.serialize_pem()).unwrap();
    }

    fn watched(folder: &TempDir, metrics: &Metrics) -> Watched {
        let file = folder.path().join("a.pem");
        write(&file, "old");
        let tls = ListenerTls::load(Settings {
            pairs: vec![PairFiles { certificate: file.clone(), key: file }],
            clients: None,
            minimum_version: Version::Tls12,
            required: true,
            ticket_key: None,
            strict_sni: false,
        });
        let (listener, tls) = (Arc::from("a:1"), Arc::new(tls.unwrap()));
        Watched { metrics: metrics.certificates("a:1"), listener, tls, warned: None }
    }

    #[test]
    fn a_certificate_that_expires_is_warned_of_once_a_day_and_after_a_change() {
        let (folder, metrics) = (TempDir::new().unwrap(), Metrics::new());
        let mut watched = watched(&folder, &metrics);
        let mut due = |now| watched.due(now).len();
        let end = SystemTime::from(rcgen::date_time_ymd(2021, 1, 1));
        assert_eq!(due(end - 31 * 24 * HOUR), 0);
        let soon = end - 29 * 24 * HOUR;
        assert_eq!(due(soon), 1);
        assert_eq!(due(soon + 23 * HOUR), 0);
        assert_eq!(due(soon + 24 * HOUR), 1);
        // The clock was set back.
        assert_eq!(due(soon), 0);
        assert_eq!(due(end + HOUR), 1);
        watched.note(Refreshed::Changed);
        assert_eq!(watched.due(end + 2 * HOUR).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn changed_files_are_found_and_counted_and_bad_ones_once() {
        let (folder, metrics) = (TempDir::new().unwrap(), Metrics::new());
        let file = folder.path().join("a.pem");
        let watched = watched(&folder, &metrics);
        let (tls, counted) = (Arc::clone(&watched.tls), metrics.certificates("a:1").reloads);
        let end = CancellationToken::new();
        let watching = tokio::spawn(watched.watch(end.clone()));
        let reloads = || [ReloadOutcome::Changed, ReloadOutcome::Failed].map(|one| counted.counted(one));
        sleep(3 * READ_INTERVAL).await;
        assert_eq!(reloads(), [0, 0]);
        let shown = metrics.render().unwrap();
        assert!(shown.contains("{listener=\"a:1\",name=\"old\"} 1609459200\n"), "{shown}");
        fs::write(&file, "hello").unwrap();
        sleep(3 * READ_INTERVAL).await;
        assert_eq!(reloads(), [0, 1]);
        assert_eq!(tls.certificates()[0].names, ["old"]);
        write(&file, "new");
        sleep(3 * READ_INTERVAL).await;
        assert_eq!(reloads(), [1, 1]);
        assert_eq!(tls.certificates()[0].names, ["new"]);
        let shown = metrics.render().unwrap();
        assert!(shown.contains("name=\"new\"") && !shown.contains("name=\"old\""), "{shown}");
        end.cancel();
        watching.await.unwrap();
    }
}
