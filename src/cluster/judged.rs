//! What a pick goes by, told for people: each coordinator's standing and score, and the terms that the score
//! is made of. And when a coordinator begins to be passed over because of what comes of its opens, which no
//! probe tells.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::Cluster;
use super::condition::Standing;
use super::cooling::Cause;
use super::coordinator::{Coordinator, Outlook};
use super::load::{Terms, Weight};
use super::policy::{failure_cost, is_doubtful};
use super::roster::place_of;
use crate::ids::{CoordinatorId, PerService, Service};

/// What is thought of one port of a coordinator at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// As a pick sees it: where probes are not believed, an ejection does not count.
    pub standing: Standing,
    /// None if the policy does not go by load.
    pub score: Option<Score>,
    /// Whether so much of what it answered lately were failures that it is passed over. Only a policy that
    /// goes by load does.
    pub is_failing: bool,
}

/// A score: the least of those of the same standing is picked first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// What it comes to: the sum of the terms, divided by the weight, and the failures.
    pub total: f64,
    /// What it has to do.
    pub terms: Terms,
    /// The weight that people gave it, times the share of it that it takes so far.
    pub weight: f64,
    /// What its recent failures add: each at least as much as the busiest coordinator has to do, and less
    /// with time.
    pub failures: f64,
}

/// Failures count as long as more than this of one is left: then a coordinator has about its share again.
const FAILING: f64 = 0.25;

/// What a look at one coordinator's port has found.
struct Look {
    id: CoordinatorId,
    is_wanted: bool,
    outlook: Outlook,
    /// None if the policy does not go by load.
    load: Option<(Terms, Weight)>,
}

impl Look {
    fn score(&self) -> Option<f64> {
        self.load.map(|(terms, weight)| terms.score(weight))
    }
}

impl Cluster {
    /// What is thought of every coordinator's port.
    pub fn judge(&self, service: Service, now: Instant) -> BTreeMap<CoordinatorId, Judged> {
        let idle_session_cost = self.policy.lock().idle_session_cost();
        let look = |one: &Arc<Coordinator>| {
            let (outlook, load) = (one.outlook(service, now), one.load());
            let weight = Weight::new(one.weight(), outlook.share);
            let terms = idle_session_cost.map(|cost| load.terms(outlook.others, cost));
            let is_wanted = one.is_wanted() && one.ports.of(service).is_some();
            Look { id: one.id, is_wanted, outlook, load: terms.map(|terms| (terms, weight)) }
        };
        let looks: Vec<_> = self.coordinators().iter().map(look).collect();
        let wanted = || looks.iter().filter(|look| look.is_wanted);
        let fit = wanted().filter(|look| look.outlook.standing.is_fit()).count();
        let doubtful = is_doubtful(fit, wanted().count(), self.health.panic_threshold);
        let cost = wanted().filter_map(Look::score).fold(1.0, failure_cost);
        let judge = |look: &Look| {
            let outlook = look.outlook;
            let ejected = outlook.standing == Standing::Ejected;
            let standing = if doubtful && ejected { Standing::Ready } else { outlook.standing };
            let score = look.load.map(|(terms, weight)| {
                let failures = outlook.failures * cost;
                Score { total: terms.score(weight) + failures, terms, weight: weight.0, failures }
            });
            let is_failing = score.is_some() && outlook.failures > FAILING;
            (look.id, Judged { standing, score, is_failing })
        };
        looks.iter().map(judge).collect()
    }
}

/// Why a coordinator is passed over although probes find nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// It is tried after all others for a while.
    Cooling(Cause),
    /// Its failures count as load.
    Failing,
}

impl PassedOver {
    /// The word that its lines in the log are counted by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cooling(cause) => cause.as_str(),
            Self::Failing => "opens or logins are answered with failures",
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was said of each coordinator's ports last.
#[derive(Debug, Default)]
pub struct Watch(BTreeMap<CoordinatorId, PerService<Option<PassedOver>>>);

/// Something to be said of one.
#[derive(Clone, Debug)]
pub struct News {
    /// Of which coordinator.
    pub coordinator: Arc<Coordinator>,
    /// Of which port.
    pub service: Service,
    /// Why it is passed over from now on; none if it is not any more.
    pub why: Option<PassedOver>,
}

impl Watch {
    /// What has changed since the last look. Of a coordinator that gets no sessions for another reason
    /// nothing is said.
    pub fn look(&mut self, cluster: &Cluster, now: Instant) -> Vec<News> {
        let all = cluster.coordinators();
        self.0.retain(|id, _| place_of(&all, *id).is_some());
        let mut news = Vec::new();
        for service in Service::ALL {
            if !all.iter().any(|one| one.is_used(service)) {
                continue;
            }
            let judged = cluster.judge(service, now);
            for (coordinator, judged) in all.iter().filter_map(|one| Some((one, judged.get(&one.id)?))) {
                let said = self.0.entry(coordinator.id).or_default().get_mut(service);
                if !judged.standing.is_fit() || !coordinator.is_wanted() {
                    continue;
                }
                let why = judged.passed_over();
                if why.is_some() != said.is_some() {
                    news.push(News { coordinator: Arc::clone(coordinator), service, why });
                }
                *said = why;
            }
        }
        news
    }
}

impl Judged {
    /// A failed dial is left out, and a shutdown: probes and the web port tell of those.
    fn passed_over(&self) -> Option<PassedOver> {
        match self.standing {
            Standing::Cooling(cause @ (Cause::LoginUnanswered | Cause::OpenLost)) => {
                Some(PassedOver::Cooling(cause))
            }
            _ => self.is_failing.then_some(PassedOver::Failing),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::cluster::Step;
    use crate::cluster::tests::least_loaded;

    #[test]
    fn a_score_is_the_sum_of_its_terms() {
        let cluster = least_loaded(&[1, 1]);
        let now = clock::now();
        let one = &cluster.coordinators()[0];
        let (_session, _running, _open) = (one.count_session(), one.count_running(), one.begin_open());
        one.note_failed(Service::Hs2, Step::Open, now);
        let judged = cluster.judge(Service::Hs2, now);
        let judged: Vec<_> = judged.into_values().collect();
        let score = judged[0].score.unwrap();
        let Terms { running, opens, sessions, others_running, others_sessions } = score.terms;
        let sum = running + opens + sessions + others_running + others_sessions;
        assert!((score.total - (sum / score.weight + score.failures)).abs() < 1e-9, "{score:?}");
        assert!(running > 0.9 && opens > 0.0 && sessions > 0.0 && score.failures > 0.9, "{score:?}");
        assert!(judged[0].is_failing && !judged[1].is_failing);
        assert_eq!(judged[1].score.unwrap().total.to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn that_a_coordinator_is_passed_over_is_said_when_it_begins_and_when_it_ends() {
        let (cluster, mut watch, now) = (least_loaded(&[1, 1]), Watch::default(), clock::now());
        let one = &cluster.coordinators()[1];
        one.note_used(Service::Hs2);
        let mut look = |after| {
            let news = watch.look(&cluster, now + Duration::from_secs(after));
            news.into_iter().map(|news| (news.coordinator.id, news.service, news.why)).collect::<Vec<_>>()
        };
        assert_eq!(look(0), []);
        one.note_failed(Service::Hs2, Step::Open, now);
        let id = CoordinatorId(1);
        assert_eq!(look(0), [(id, Service::Hs2, Some(PassedOver::Failing))]);
        assert_eq!(look(1), []);
        one.note_failed(Service::Hs2, Step::Open, now + Duration::from_secs(1));
        assert_eq!(look(2), [], "it is still so");
        assert_eq!(look(300), [(id, Service::Hs2, None)]);
        one.note_open_lost(Service::Hs2, now + Duration::from_mins(5));
        assert_eq!(look(300), [(id, Service::Hs2, Some(PassedOver::Cooling(Cause::OpenLost)))]);
        one.drain(None, Duration::ZERO, now);
        assert_eq!(look(400), [], "it is drained: that says more");
        one.resume();
        assert_eq!(look(400), [(id, Service::Hs2, None)]);
    }
}
