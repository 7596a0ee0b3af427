//! Reads the files of certificates of listeners and clusters again and again, and warns of those that expire.
//!
//! The contents are compared, instead of waiting for the system to tell of a change: a secret that Kubernetes
//! mounts changes by a symbolic link above the file, which no watch of the file sees.

mod readings;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

pub use self::readings::{Failure, Reading, Readings};
use crate::clock;
use crate::metrics::{CertificateMetrics, Metrics, Owner, ReloadOutcome};
use crate::net::stream::Stream;
use crate::net::tls::certificates::{Certificate, CertificateError, Refreshed, Standing};
use crate::net::tls::client::{ClusterTls, Verify};
use crate::net::tls::server::ListenerTls;
use crate::serve::fleet::entrance::Entrance;

/// From one reading of the files to the next.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// Reading that takes longer is told: the file system may not answer any more.
const LONG_READ: Duration = Duration::from_secs(10);
/// From one warning of certificates that expire, or of files that are bad, to the next.
const WARN_INTERVAL: Duration = Duration::from_hours(24);

/// What has files of certificates.
#[derive(Clone, Debug)]
enum Files {
    Listener(Arc<ListenerTls>),
    Cluster(Arc<ClusterTls>),
}

impl Files {
    /// Blocks while it reads.
    fn refresh(&self) -> Refreshed {
        match self {
            Self::Listener(tls) => tls.refresh(),
            Self::Cluster(tls) => tls.refresh(),
        }
    }

    /// The certificates in use that the router shows.
    fn certificates(&self) -> Vec<Certificate> {
        match self {
            Self::Listener(tls) => tls.certificates(),
            Self::Cluster(tls) => tls.client_certificate().into_iter().collect(),
        }
    }
}

/// A listener or a cluster whose files are watched.
#[derive(Debug)]
pub struct Watched {
    files: Files,
    metrics: CertificateMetrics,
    readings: Arc<Readings>,
    /// What was warned of within a day.
    warned: Vec<Warned>,
    bad: Option<Bad>,
}

/// A warning of a certificate.
#[derive(Debug)]
struct Warned {
    names: String,
    standing: Standing,
    at: SystemTime,
}

/// Files that cannot be used.
#[derive(Debug)]
struct Bad {
    error: CertificateError,
    told: SystemTime,
}

/// Whose files they are, as fields of log lines: one of the two.
struct Whose<'a> {
    listener: Option<&'a str>,
    cluster: Option<&'a str>,
}

impl Watched {
    /// The files of a listener, which have just been read; `None` for one without TLS of its own.
    pub fn of<S: Stream>(
        entrance: &Entrance<S>,
        metrics: &Metrics,
        readings: &Arc<Readings>,
    ) -> Option<Self> {
        let files = Files::Listener(Arc::clone(entrance.tls.as_ref()?));
        let metrics = metrics.certificates(Owner::Listener(Arc::clone(&entrance.name)));
        Some(Self::new(files, metrics, readings))
    }

    /// The files of a cluster, which have just been read. Shows whether its coordinators are verified at all.
    pub fn of_cluster(
        name: &Arc<str>,
        tls: &Arc<ClusterTls>,
        metrics: &Metrics,
        readings: &Arc<Readings>,
    ) -> Self {
        metrics.show_verified(name, *tls.verify() != Verify::Nothing);
        let owner = Owner::Cluster(Arc::clone(name));
        Self::new(Files::Cluster(Arc::clone(tls)), metrics.certificates(owner), readings)
    }

    fn new(files: Files, metrics: CertificateMetrics, readings: &Arc<Readings>) -> Self {
        readings.note_loaded(metrics.owner(), clock::now());
        Self { files, metrics, readings: Arc::clone(readings), warned: Vec::new(), bad: None }
    }

    fn whose(&self) -> Whose<'_> {
        match self.metrics.owner() {
            Owner::Listener(name) => Whose { listener: Some(name), cluster: None },
            Owner::Cluster(name) => Whose { listener: None, cluster: Some(name) },
        }
    }

    /// Watches until the router ends. Connections wait for none of this.
    pub async fn watch(mut self, end: CancellationToken) {
        self.show();
        let mut ticks = interval(READ_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.warn(clock::time_of_day());
            self.remind(clock::time_of_day());
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
            self.note(refreshed, clock::time_of_day());
        }
    }

    /// Reads the files, off the thread of this task.
    async fn refresh(&self) -> Refreshed {
        let files = self.files.clone();
        let mut reading = spawn_blocking(move || files.refresh());
        let mut read = timeout(LONG_READ, &mut reading).await;
        if read.is_err() {
            let Whose { listener, cluster } = self.whose();
            tracing::warn!(
                listener,
                cluster,
                "reading certificates takes longer than {LONG_READ:?}; the last good ones are used on"
            );
            read = Ok(reading.await);
        }
        // It fails only while the router ends.
        read.ok().and_then(Result::ok).unwrap_or(Refreshed::Unchanged)
    }

    fn note(&mut self, refreshed: Refreshed, now: SystemTime) {
        match refreshed {
            Refreshed::Unchanged => {}
            Refreshed::Changed => {
                self.metrics.reloads.count(ReloadOutcome::Changed);
                self.readings.note_loaded(self.metrics.owner(), clock::now());
                self.metrics.bad.set(0);
                (self.warned, self.bad) = (Vec::new(), None);
                let (Whose { listener, cluster }, shown) = (self.whose(), self.show());
                for certificate in &shown {
                    let (names, expires) = (certificate.all_names(), certificate.until_day());
                    tracing::info!(listener, cluster, %names, %expires, "certificate loaded for new connections");
                }
                if shown.is_empty() {
                    tracing::info!(listener, cluster, "trusted certificates loaded for new connections");
                }
            }
            Refreshed::Failed(error) => {
                self.metrics.reloads.count(ReloadOutcome::Failed);
                self.readings.note_failed(self.metrics.owner(), error.to_string(), clock::now());
                self.metrics.bad.set(1);
                self.tell(Bad { error, told: now });
            }
        }
    }

    /// Tells once more, a day after the last time, of files that are still bad.
    fn remind(&mut self, now: SystemTime) {
        if let Some(Bad { error, .. }) = self.bad.take_if(|bad| !is_of_today(bad.told, now)) {
            self.tell(Bad { error, told: now });
        }
    }

    fn tell(&mut self, bad: Bad) {
        let Whose { listener, cluster } = self.whose();
        tracing::error!(
            listener, cluster, error = %bad.error,
            "changed certificates cannot be used; the last good ones are used on"
        );
        self.bad = Some(bad);
    }

    /// Shows what is in use in the metrics.
    fn show(&self) -> Vec<Certificate> {
        let certificates = self.files.certificates();
        self.metrics.show_expiry(certificates.iter().map(|one| (one.name(), seconds(one.not_after))));
        certificates
    }

    /// Warns of certificates that are not valid, or not for long.
    fn warn(&mut self, now: SystemTime) {
        for certificate in self.due(now) {
            let Whose { listener, cluster } = self.whose();
            let (names, expires) = (certificate.all_names(), certificate.until_day());
            let what = match certificate.standing(now) {
                Standing::Valid => continue,
                Standing::ExpiresSoon => "certificate expires soon; renew it",
                Standing::Expired => "certificate has expired, and peers refuse it; renew it",
                Standing::NotYetValid => "certificate is not valid yet; look at the clock of this machine",
            };
            tracing::warn!(listener, cluster, %names, %expires, "{what}");
        }
    }

    /// The certificates to warn of: of each once a day, after a change, and when another warning is due.
    fn due(&mut self, now: SystemTime) -> Vec<Certificate> {
        self.warned.retain(|warned| is_of_today(warned.at, now));
        let warning = |certificate: &Certificate| Warned {
            names: certificate.all_names(),
            standing: certificate.standing(now),
            at: now,
        };
        let mut due = self.files.certificates();
        due.retain(|certificate| {
            let Warned { names, standing, .. } = warning(certificate);
            let is_known = |warned: &Warned| warned.names == names && warned.standing == standing;
            standing != Standing::Valid && !self.warned.iter().any(is_known)
        });
        self.warned.extend(due.iter().map(warning));
        due
    }
}

/// Whether it is less than a day since this was told; the clock may have been set back.
fn is_of_today(told: SystemTime, now: SystemTime) -> bool {
    now.duration_since(told).unwrap_or_default() < WARN_INTERVAL
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
    use crate::net::tls::client::ClusterTlsSettings;
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
        let metrics = metrics.certificates(Owner::Listener(Arc::from("a:1")));
        Watched::new(Files::Listener(Arc::new(tls.unwrap())), metrics, &Arc::default())
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
        assert_eq!(due(end - HOUR), 1);
        // Another thing is wrong with it now.
        assert_eq!(due(end + HOUR), 1);
        assert_eq!(due(end + 2 * HOUR), 0);
        watched.note(Refreshed::Changed, end + 2 * HOUR);
        assert_eq!(watched.due(end + 2 * HOUR).len(), 1);
    }

    #[test]
    fn files_that_stay_bad_are_told_again_each_day_and_are_a_metric() {
        let (folder, metrics) = (TempDir::new().unwrap(), Metrics::new());
        let mut watched = watched(&folder, &metrics);
        let is_bad = || metrics.render().unwrap().contains("certificate_files_bad{listener=\"a:1\"} 1\n");
        let now = SystemTime::from(rcgen::date_time_ymd(2020, 2, 1));
        assert!(!is_bad());
        let error = CertificateError::Empty { file: "a.pem".into() };
        watched.note(Refreshed::Failed(error), now);
        let told = |watched: &Watched| watched.bad.as_ref().map(|bad| bad.told);
        for (hours, since) in [(1, 0), (23, 0), (24, 24), (25, 24), (48, 48)] {
            watched.remind(now + hours * HOUR);
            assert_eq!(told(&watched), Some(now + since * HOUR), "{hours}");
        }
        assert!(is_bad());
        watched.note(Refreshed::Changed, now);
        assert!(!is_bad() && told(&watched).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn changed_files_are_found_and_counted_and_bad_ones_once() {
        let (folder, metrics) = (TempDir::new().unwrap(), Metrics::new());
        let file = folder.path().join("a.pem");
        let watched = watched(&folder, &metrics);
        let owner = watched.metrics.owner().clone();
        let (tls, counted) = (watched.files.clone(), metrics.certificates(owner).reloads);
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

    #[tokio::test(start_paused = true)]
    async fn the_files_of_a_cluster_are_watched_too_and_its_verification_is_shown() {
        let (folder, metrics) = (TempDir::new().unwrap(), Metrics::new());
        let file = folder.path().join("a.pem");
        write(&file, "old");
        let settings = ClusterTlsSettings {
            ca: Some(file.clone()),
            pair: Some(PairFiles { certificate: file.clone(), key: file.clone() }),
            verify: Verify::Full,
        };
        let tls = Arc::new(ClusterTls::load(settings).unwrap());
        let end = CancellationToken::new();
        let watched = Watched::of_cluster(&Arc::from("impala"), &tls, &metrics, &Arc::default());
        let watching = tokio::spawn(watched.watch(end.clone()));
        sleep(3 * READ_INTERVAL).await;
        let shows = |series: &str| metrics.render().unwrap().contains(series);
        assert!(shows("cluster_tls_verified{cluster=\"impala\"} 1\n"));
        let expires = "cluster_certificate_expires_timestamp_seconds{cluster=\"impala\",name=";
        assert!(shows(&format!("{expires}\"old\"}} 1609459200\n")));
        write(&file, "new");
        sleep(3 * READ_INTERVAL).await;
        assert!(shows(&format!("{expires}\"new\"}}")) && !shows("\"old\""));
        fs::remove_file(&file).unwrap();
        sleep(3 * READ_INTERVAL).await;
        for outcome in ["changed", "failed"] {
            let reloads = "cluster_certificate_reloads_total{cluster=\"impala\",outcome=";
            assert!(shows(&format!("{reloads}\"{outcome}\"}} 1\n")), "{outcome}");
        }
        end.cancel();
        watching.await.unwrap();
        let settings = ClusterTlsSettings { ca: None, pair: None, verify: Verify::Nothing };
        let tls = Arc::new(ClusterTls::load(settings).unwrap());
        let _watched = Watched::of_cluster(&Arc::from("impala"), &tls, &metrics, &Arc::default());
        assert!(shows("cluster_tls_verified{cluster=\"impala\"} 0\n"));
    }
}
