//! Sessions go back to a coordinator that has returned, until the load is even again, and no faster than a
//! few at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::condition::Standing;
use super::roster::place_of;
use super::{Cluster, Coordinator};
use crate::ids::{CoordinatorId, Service};

/// It is even enough when the fullest coordinator has at most this many times the mean, each by its weight.
const EVEN: f64 = 1.1;
/// At most this part of all sessions goes back in a second.
const PART_A_SECOND: f64 = 0.05;

/// Sessions that are to go from one coordinator to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Where there are too many.
    pub from: CoordinatorId,
    /// Where there are too few.
    pub to: CoordinatorId,
    /// How many, at least 1.
    pub sessions: u32,
}

/// What is known of one coordinator from one look to the next.
#[derive(Clone, Copy, Debug)]
struct Known {
    usable: bool,
    incarnation: u32,
    /// It has returned, and the load was not even since.
    refills: bool,
}

/// Decides how many sessions go back, from where to where.
#[derive(Debug, Default)]
pub struct Rebalance {
    known: BTreeMap<CoordinatorId, Known>,
    /// Sessions that may go by now.
    allowed: f64,
}

/// A coordinator that can have sessions, and how many it has.
#[derive(Clone, Copy)]
struct Weighed {
    id: CoordinatorId,
    sessions: f64,
    weight: f64,
    /// How much of its weight it takes so far.
    share: f64,
    refills: bool,
}

impl Weighed {
    fn level(self) -> f64 {
        self.sessions / self.weight
    }
}

impl Rebalance {
    /// Looks at a cluster, `elapsed` after the last look.
    pub fn look(&mut self, cluster: &Cluster, elapsed: Duration, now: Instant) -> Vec<Shift> {
        let all = cluster.coordinators();
        self.note(&all, now);
        let known = all.iter().filter_map(|one| Some((one, self.known.get(&one.id)?)));
        let usable = known.filter(|(_, known)| known.usable);
        let mut weighed: Vec<Weighed> = usable.map(|(one, known)| weigh(one, known.refills, now)).collect();
        if is_even(&weighed) {
            self.known.values_mut().for_each(|known| known.refills = false);
            self.allowed = 0.0;
            return Vec::new();
        }
        let most = (weighed.iter().map(|one| one.sessions).sum::<f64>() * PART_A_SECOND).max(1.0);
        self.allowed = (self.allowed + most * elapsed.as_secs_f64()).min(most);
        let mut shifts: Vec<Shift> = Vec::new();
        while self.allowed >= 1.0
            && let Some((from, to)) = step(&mut weighed)
        {
            self.allowed -= 1.0;
            match shifts.iter_mut().find(|shift| (shift.from, shift.to) == (from, to)) {
                Some(shift) => shift.sessions += 1,
                None => shifts.push(Shift { from, to, sessions: 1 }),
            }
        }
        shifts
    }

    fn note(&mut self, all: &[Arc<Coordinator>], now: Instant) {
        self.known.retain(|id, _| place_of(all, *id).is_some());
        let is_first = self.known.is_empty();
        for one in all {
            let usable = one.is_wanted()
                && one.ports.hs2_by_use().is_some_and(|port| one.standing(port, now) == Standing::Ready);
            let incarnation = one.incarnation();
            let Some(known) = self.known.get_mut(&one.id) else {
                // One that comes later is one that has returned.
                self.known.insert(one.id, Known { usable, incarnation, refills: usable && !is_first });
                continue;
            };
            let returned = usable && (!known.usable || known.incarnation != incarnation);
            known.refills = usable && (known.refills || returned);
            // A restart that is noticed before the coordinator is usable is a return when it is.
            if usable {
                known.incarnation = incarnation;
            }
            known.usable = usable;
        }
    }
}

fn weigh(one: &Coordinator, refills: bool, now: Instant) -> Weighed {
    Weighed {
        id: one.id,
        sessions: f64::from(one.load().open_sessions),
        weight: f64::from(one.weight().get()),
        share: f64::from(one.share(one.ports.hs2_by_use().unwrap_or(Service::Hs2), now).percent()) / 100.0,
        refills,
    }
}

fn is_even(all: &[Weighed]) -> bool {
    let (sessions, weight) =
        all.iter().fold((0.0, 0.0), |(sessions, weight), one| (sessions + one.sessions, weight + one.weight));
    let fullest = all.iter().map(|one| one.level()).fold(0.0, f64::max);
    !all.iter().any(|one| one.refills) || fullest * weight <= EVEN * sessions
}

/// Takes one session from the fullest to the emptiest that refills, if that makes the load more even.
fn step(all: &mut [Weighed]) -> Option<(CoordinatorId, CoordinatorId)> {
    let by = |level: fn(Weighed) -> f64| move |a: &&Weighed, b: &&Weighed| level(**a).total_cmp(&level(**b));
    let from = all.iter().max_by(by(Weighed::level))?.id;
    let to = all.iter().filter(|one| one.refills).min_by(by(|one| one.level() / one.share))?.id;
    let at = |all: &[Weighed], id| all.iter().copied().find(|one| one.id == id);
    let (giver, taker) = (at(all, from)?, at(all, to)?);
    let after = (taker.sessions + 1.0) / (taker.weight * taker.share);
    if from == to || after > giver.level() {
        return None;
    }
    for one in all {
        if one.id == from {
            one.sessions -= 1.0;
        } else if one.id == to {
            one.sessions += 1.0;
        }
    }
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::cluster::guards::SessionCount;
    use crate::cluster::{AdminState, CoordinatorSettings, Flavor, HealthSettings, PolicyName, Settings};
    use crate::ids::CoordinatorName;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(place: u32) -> CoordinatorSettings {
        CoordinatorSettings {
            name: CoordinatorName(format!("c{place}").into()),
            host: "localhost".to_owned(),
            ports: Flavor::Impala.default_ports(),
            tls: None,
            weight: 1,
            state: AdminState::Active,
        }
    }

    fn cluster(coordinators: u32) -> Cluster {
        Cluster::new(Settings {
            name: "test".into(),
            flavor: Flavor::Impala,
            sessions_outlive_connections: true,
            policy: PolicyName::LeastLoaded,
            idle_session_cost: 0.1,
            health: HealthSettings::default(),
            coordinators: (0..coordinators).map(settings).collect(),
        })
        .unwrap()
    }

    fn fill(cluster: &Cluster, counts: &[usize]) -> Vec<Vec<SessionCount>> {
        let fill =
            |(one, count): (&Arc<Coordinator>, &usize)| (0..*count).map(|_| one.count_session()).collect();
        cluster.coordinators().iter().zip(counts).map(fill).collect()
    }

    /// After the third coordinator was drained and is resumed.
    fn returned(cluster: &Cluster) -> Rebalance {
        let (mut rebalance, now) = (Rebalance::default(), clock::now());
        cluster.coordinators()[2].drain(None, SECOND, now);
        assert_eq!(rebalance.look(cluster, SECOND, now), []);
        cluster.coordinators()[2].resume();
        rebalance
    }

    #[test]
    fn nothing_goes_where_nobody_has_returned() {
        let cluster = cluster(3);
        let _sessions = fill(&cluster, &[90, 10, 0]);
        let mut rebalance = Rebalance::default();
        for _ in 0..3 {
            assert_eq!(rebalance.look(&cluster, SECOND, clock::now()), []);
        }
    }

    #[test]
    fn a_returned_coordinator_is_filled_a_few_at_a_time_until_the_load_is_even() {
        let cluster = cluster(3);
        let mut sessions = fill(&cluster, &[60, 60, 0]);
        let mut rebalance = returned(&cluster);
        let mut seconds = 0;
        loop {
            let shifts = rebalance.look(&cluster, SECOND, clock::now());
            let going: u32 = shifts.iter().map(|shift| shift.sessions).sum();
            assert!(going <= 6, "{going} of 120 in a second");
            if going == 0 {
                break;
            }
            for shift in shifts {
                assert_eq!(shift.to, CoordinatorId(2));
                for _ in 0..shift.sessions {
                    drop(sessions[shift.from.0 as usize].pop());
                    sessions[2].push(cluster.coordinators()[2].count_session());
                }
            }
            seconds += 1;
            assert!(seconds < 20);
        }
        let most = sessions.iter().map(Vec::len).max().unwrap();
        assert!(most <= 44, "{most} is more than 1.1 times the mean");
        // From then on it is one like the others.
        drop(sessions.remove(2));
        assert_eq!(rebalance.look(&cluster, SECOND, clock::now()), []);
    }

    #[test]
    fn a_coordinator_that_comes_is_filled_like_one_that_returns() {
        let cluster = cluster(2);
        let _sessions = fill(&cluster, &[60, 60]);
        let mut rebalance = Rebalance::default();
        assert_eq!(rebalance.look(&cluster, SECOND, clock::now()), []);
        let id = cluster.add(settings(2), |_| ()).unwrap().0.id;
        let shifts = rebalance.look(&cluster, SECOND, clock::now());
        assert!(!shifts.is_empty() && shifts.iter().all(|shift| shift.to == id), "{shifts:?}");
        cluster.remove(id);
        assert_eq!(rebalance.look(&cluster, SECOND, clock::now()), []);
    }

    #[test]
    fn what_was_not_used_of_a_second_is_not_saved_up() {
        let cluster = cluster(3);
        let _sessions = fill(&cluster, &[60, 60, 0]);
        let mut rebalance = returned(&cluster);
        let shifts = rebalance.look(&cluster, Duration::from_hours(1), clock::now());
        assert_eq!(shifts.iter().map(|shift| shift.sessions).sum::<u32>(), 6);
    }
}
