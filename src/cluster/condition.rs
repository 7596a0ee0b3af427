//! All that speaks for and against sending a new session to a coordinator, kept together under one lock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cooling::{Cause, Cooling};
use super::failures::Failures;
use super::health::{self, Change, Finding, Health};
use super::load::{Figures, Own, PollNews, Polled, Share};
use crate::ids::{PerService, Service};

/// When a coordinator's port is tried, earliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// In its turn.
    Ready,
    /// After every coordinator that is ready.
    Cooling(Cause),
    /// Probes say that the port does not work: it is tried only if no other is left, or too few are.
    Ejected,
    /// Its catalog is not ready (Impala: `catalog.ready`).
    Starting,
    /// It says that it is shutting down (Impala: `is_quiescing`).
    Quiescing,
}

impl Standing {
    /// Whether health has nothing against a new session.
    pub fn is_fit(self) -> bool {
        matches!(self, Self::Ready | Self::Cooling(_))
    }

    /// Its place among the others': those of one class are tried by load.
    pub(super) fn class(self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::Cooling(_) => 1,
            Self::Ejected => 2,
            Self::Starting => 3,
            Self::Quiescing => 4,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Cooling(cause) => cause.fmt(f),
            Self::Ejected => f.write_str("ejected"),
            Self::Starting => f.write_str("its catalog is not ready"),
            Self::Quiescing => f.write_str("quiescing"),
        }
    }
}

/// What a coordinator's web port says at one moment; what it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its load.
    pub figures: Option<Figures>,
    /// Whether it knows the tables yet.
    pub catalog_ready: Option<bool>,
    /// When its process began, in its own words: another text is another process.
    pub process_start_time: Option<Arc<str>>,
    /// Whether a graceful shutdown is under way.
    pub quiescing: Option<bool>,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A graceful shutdown began.
    Quiescing,
    /// It is over, without the process having ended.
    NotQuiescing,
    /// Another process answers: sessions and operations of the former one are gone.
    NewIncarnation,
    /// Its catalog is not ready.
    Starting,
    /// Its catalog is ready.
    Started,
    /// There are no figures: its load is judged by own counts alone.
    OwnCountsOnly,
    /// There are figures again.
    LoadKnown,
}

impl News {
    /// Whether the coordinator is back from something, so that what it said before may hold no more.
    pub fn is_return(self) -> bool {
        matches!(self, Self::NewIncarnation | Self::NotQuiescing | Self::Started)
    }
}

impl From<PollNews> for News {
    fn from(news: PollNews) -> Self {
        match news {
            PollNews::OwnCountsOnly => Self::OwnCountsOnly,
            PollNews::Known => Self::LoadKnown,
        }
    }
}

/// What is known of one coordinator.
#[derive(Debug, Default)]
pub(super) struct Condition {
    ports: PerService<Health>,
    pub(super) cooling: Cooling,
    pub(super) polled: Polled,
    failures: PerService<Failures>,
    quiescing: Option<Instant>,
    starting: Option<Instant>,
    incarnation: Option<Arc<str>>,
    /// When the last poll began that was told the incarnation.
    told_start: Option<Instant>,
    /// How often another process answered.
    incarnations: u32,
    /// When it came back as a whole: a new process, a catalog that is ready, a shutdown that is over.
    returned: Option<Instant>,
}

impl Condition {
    pub(super) fn health(&self, service: Service) -> &Health {
        self.ports.get(service)
    }

    pub(super) fn quiescing_since(&self) -> Option<Instant> {
        self.quiescing
    }

    pub(super) fn incarnation(&self) -> u32 {
        self.incarnations
    }

    pub(super) fn told_start(&self) -> Option<Instant> {
        self.told_start
    }

    pub(super) fn starting_since(&self) -> Option<Instant> {
        self.starting
    }

    pub(super) fn standing(&self, service: Service, now: Instant) -> Standing {
        if self.quiescing.is_some() {
            Standing::Quiescing
        } else if self.starting.is_some() {
            Standing::Starting
        } else if !self.health(service).state().is_fit() {
            Standing::Ejected
        } else {
            self.cooling.cause(service, now).map_or(Standing::Ready, Standing::Cooling)
        }
    }

    pub(super) fn failures(&mut self, service: Service) -> &mut Failures {
        self.failures.get_mut(service)
    }

    pub(super) fn share(&self, service: Service, slow_start: Duration, now: Instant) -> Share {
        let returned = self.returned.max(self.health(service).returned());
        returned.map_or(Share::FULL, |returned| Share::since(returned, slow_start, now))
    }

    /// It came back as a whole.
    pub(super) fn note_returned(&mut self, now: Instant) {
        self.returned = Some(now);
    }

    pub(super) fn note_probe(
        &mut self,
        service: Service,
        finding: Finding,
        settings: &health::Settings,
        now: Instant,
    ) -> Option<Change> {
        self.ports.get_mut(service).note(finding, settings, now)
    }

    pub(super) fn note_report(
        &mut self,
        report: Report,
        own: Own,
        begun: Instant,
        now: Instant,
    ) -> Vec<News> {
        let mut news = Vec::new();
        if report.process_start_time.is_some() {
            self.told_start = Some(begun);
        }
        if let Some(start) = report.process_start_time
            && self.incarnation.as_ref() != Some(&start)
            && self.incarnation.replace(start).is_some()
        {
            self.begin_incarnation(now);
            news.push(News::NewIncarnation);
        }
        match (report.quiescing, self.quiescing) {
            (Some(true), None) => {
                self.quiescing = Some(now);
                news.push(News::Quiescing);
            }
            (Some(false), Some(_)) => {
                self.quiescing = None;
                self.cooling.note_not_shutting_down();
                self.returned = Some(now);
                news.push(News::NotQuiescing);
            }
            _ => {}
        }
        match (report.catalog_ready, self.starting) {
            (Some(false), None) => {
                self.starting = Some(now);
                news.push(News::Starting);
            }
            (Some(true), Some(_)) => {
                self.starting = None;
                self.returned = Some(now);
                news.push(News::Started);
            }
            _ => {}
        }
        let polled = match report.figures {
            Some(figures) => self.polled.note(figures, own, now),
            None => self.polled.note_failed(),
        };
        news.extend(polled.map(News::from));
        news
    }

    /// What answers now is elsewhere, and so another process: when that was started is not known yet.
    pub(super) fn note_moved(&mut self, now: Instant) {
        (self.incarnation, self.quiescing, self.starting) = (None, None, None);
        self.begin_incarnation(now);
    }

    fn begin_incarnation(&mut self, now: Instant) {
        self.cooling = Cooling::default();
        self.failures = PerService::default();
        self.polled.forget();
        self.returned = Some(now);
        self.incarnations = self.incarnations.wrapping_add(1);
    }

    pub(super) fn note_no_report(&mut self) -> Option<News> {
        let news = self.polled.note_failed().map(News::from);
        if news.is_some() {
            // Whatever the web port said last is as old as its figures. A process that is gone no longer
            // shuts down: whether its ports work is for the probes to say.
            self.quiescing = None;
            self.starting = None;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SLOW_START: Duration = Duration::from_secs(30);

    fn started(start: &str) -> Report {
        Report { process_start_time: Some(start.into()), ..Report::default() }
    }

    fn note(condition: &mut Condition, report: Report, now: Instant) -> Vec<News> {
        let report = Report { figures: Some(Figures::default()), ..report };
        condition.note_report(report, Own::default(), now, now)
    }

    #[test]
    fn another_start_time_is_another_process_which_starts_slowly() {
        let (mut condition, now) = (Condition::default(), clock::now());
        assert_eq!(note(&mut condition, started("a"), now), []);
        assert_eq!(note(&mut condition, started("a"), now), []);
        assert_eq!(condition.share(Service::Hs2, SLOW_START, now), Share::FULL);
        condition.cooling.note_shutting_down(now);
        assert_eq!(condition.incarnation(), 0);
        assert_eq!(note(&mut condition, started("b"), now), [News::NewIncarnation]);
        assert_eq!(condition.incarnation(), 1);
        assert_eq!(condition.standing(Service::Hs2, now), Standing::Ready);
        assert_eq!(condition.share(Service::Hs2, SLOW_START, now).percent(), 5);
    }

    #[test]
    fn a_told_start_is_dated_by_the_beginning_of_its_poll() {
        let (mut condition, begun) = (Condition::default(), clock::now());
        let answered = begun + Duration::from_secs(1);
        condition.note_report(started("a"), Own::default(), begun, answered);
        assert_eq!(condition.told_start(), Some(begun), "what ended during the poll may have told it");
    }

    #[test]
    fn a_slow_start_begins_when_the_catalog_is_ready() {
        let (mut condition, now) = (Condition::default(), clock::now());
        let catalog = |ready| Report { catalog_ready: Some(ready), ..Report::default() };
        assert_eq!(note(&mut condition, catalog(false), now), [News::Starting]);
        assert_eq!(condition.standing(Service::Hs2, now), Standing::Starting);
        let later = now + SLOW_START;
        assert_eq!(note(&mut condition, catalog(true), later), [News::Started]);
        assert_eq!(condition.standing(Service::Hs2, later), Standing::Ready);
        assert_eq!(condition.share(Service::Hs2, SLOW_START, later + SLOW_START / 2).percent(), 50);
    }

    #[test]
    fn quiescing_begins_and_ends_with_what_the_web_port_says() {
        let (mut condition, now) = (Condition::default(), clock::now());
        let quiescing = |quiescing| Report { quiescing: Some(quiescing), ..Report::default() };
        assert_eq!(note(&mut condition, quiescing(true), now), [News::Quiescing]);
        assert_eq!(note(&mut condition, quiescing(true), now), []);
        assert_eq!(note(&mut condition, Report::default(), now), [], "silence says nothing");
        assert_eq!(condition.quiescing_since(), Some(now));
        assert_eq!(condition.standing(Service::Beeswax, now), Standing::Quiescing);
        assert_eq!(note(&mut condition, quiescing(false), now), [News::NotQuiescing]);
    }

    #[test]
    fn a_web_port_that_is_gone_takes_its_word_with_it() {
        let (mut condition, now) = (Condition::default(), clock::now());
        note(&mut condition, Report { quiescing: Some(true), ..Report::default() }, now);
        let news: Vec<_> = (0..4).map(|_| condition.note_no_report()).collect();
        assert_eq!(news, [None, None, Some(News::OwnCountsOnly), None]);
        assert_eq!(condition.standing(Service::Hs2, now), Standing::Ready);
    }

    #[test]
    fn each_port_has_a_health_of_its_own() {
        let (mut condition, now) = (Condition::default(), clock::now());
        let settings = health::Settings { interval: Duration::from_secs(2), fall: 1, rise: 1 };
        condition.note_probe(Service::Beeswax, Finding::Failed("refused".into()), &settings, now);
        assert_eq!(condition.standing(Service::Beeswax, now), Standing::Ejected);
        assert_eq!(condition.standing(Service::Hs2, now), Standing::Ready);
    }
}
