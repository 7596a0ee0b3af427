//! What a cluster promises, a file for each promise; here is what they share.

mod cooling;
mod counts;
mod ejected;
mod failing;

mod members;
mod spread;

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::clock;
use crate::ids::Service::Hs2;

const HOUR: Duration = Duration::from_hours(1);

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// One failure ejects, one pass restores.
const HEALTH: HealthSettings = HealthSettings {
    probe: health::Settings { interval: Duration::from_secs(2), fall: 1, rise: 1 },
    panic_threshold: 0.5,
    slow_start: Duration::from_secs(30),
};

/// A session that any coordinator has room for.
const ANYWHERE: Wanted<'static> = Wanted { service: Hs2, demand: None, tried: &[], has_room: &|_| true };

fn settings(policy: PolicyName, weights: &[u32]) -> Settings {
    let coordinators = weights
        .iter()
        .enumerate()
        .map(|(place, &weight)| CoordinatorSettings {
            name: CoordinatorName(format!("c{place}").into()),
            host: "localhost".to_owned(),
            ports: Flavor::Impala.default_ports(),
            tls: None,
            weight,
            state: AdminState::Active,
        })
        .collect();
    Settings {
        name: "test".into(),
        flavor: Flavor::Impala,
        sessions_outlive_connections: true,
        policy,
        idle_session_cost: 0.1,
        health: HEALTH,
        coordinators,
    }
}

fn cluster(policy: PolicyName, weights: &[u32]) -> Cluster {
    Cluster::new(settings(policy, weights)).unwrap()
}

pub(super) fn least_loaded(weights: &[u32]) -> Cluster {
    cluster(PolicyName::LeastLoaded, weights)
}

fn open_one(cluster: &Cluster, now: Instant, rng: &mut StdRng) -> SessionCount {
    cluster.pick_and_reserve(&ANYWHERE, now, rng).unwrap().opening.into_session()
}

/// Everybody who would be picked, one after the other, if all before were tried in vain.
pub(super) fn order(cluster: &Cluster, now: Instant, rng: &mut StdRng) -> Vec<Candidate> {
    let (mut tried, mut order) = (Vec::new(), Vec::new());
    while let Ok(reserved) = cluster.pick_and_reserve(&Wanted::anywhere_but(&tried, Hs2), now, rng) {
        tried.push(reserved.candidate.id);
        order.push(reserved.candidate);
    }
    order
}

fn open_sessions(cluster: &Cluster) -> Vec<u32> {
    cluster.coordinators().iter().map(|coordinator| coordinator.load().open_sessions).collect()
}

pub(super) fn ids(candidates: &[Candidate]) -> Vec<u32> {
    candidates.iter().map(|candidate| candidate.id.0).collect()
}

fn report(figures: Figures) -> Report {
    Report { figures: Some(figures), ..Report::default() }
}

fn eject(cluster: &Cluster, place: usize, now: Instant) {
    let failed = health::Finding::Failed("connection refused".into());
    cluster.coordinators()[place].note_probe(Hs2, failed, now);
}
