//! What the router computes on, made alike for every bench.

use std::time::Duration;

use hs2router::cluster::{
    AdminState, Cluster, CoordinatorSettings, Flavor, HealthSettings, PolicyName, Settings,
};
use hs2router::ids::{Access, CoordinatorId, CoordinatorName};
use hs2router::session::idle::IdleTimeout;
use hs2router::session::table::{self, NewSession, Table};
use hs2router::wire::facts::Guid;
use hs2router::wire::scan::Scanner;

/// How a message comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pieces {
    Whole,
    /// In pieces of so many bytes.
    Of(usize),
}

/// Scans a message; how many bytes it has.
pub(crate) fn scan(mut scanner: Scanner, message: &[u8], pieces: Pieces) -> usize {
    let mut used = 0;
    let size = match pieces {
        Pieces::Whole => message.len(),
        Pieces::Of(size) => size,
    };
    for chunk in message.chunks(size) {
        used += scanner.push(std::hint::black_box(chunk)).expect("the message is sound").used;
    }
    assert_eq!(used, message.len());
    used
}

/// A cluster of so many Impala coordinators.
pub(crate) fn cluster(coordinators: usize) -> Cluster {
    let coordinators = (0..coordinators).map(|place| CoordinatorSettings {
        name: CoordinatorName(format!("c{place}").into()),
        host: "localhost".to_owned(),
        ports: Flavor::Impala.default_ports(),
        tls: None,
        weight: 1,
        state: AdminState::Active,
    });
    let settings = Settings {
        name: "bench".into(),
        flavor: Flavor::Impala,
        sessions_outlive_connections: true,
        policy: PolicyName::LeastLoaded,
        idle_session_cost: 0.1,
        health: HealthSettings::default(),
        coordinators: coordinators.collect(),
    };
    Cluster::new(settings).expect("the settings are sound")
}

/// Guids as random as real ones.
pub(crate) fn guid(number: u64) -> Guid {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut guid = [0; 16];
    guid[..8].copy_from_slice(&(mixed ^ (mixed >> 29)).to_be_bytes());
    guid[8..].copy_from_slice(&mixed.rotate_left(32).to_be_bytes());
    guid
}

/// A table of so many sessions, spread over ten coordinators.
pub(crate) fn filled(cluster: &Cluster, sessions: usize) -> Table {
    // Room for one more, which a bench puts in and takes out again.
    let settings = table::Settings { capacity: sessions + 1, detached_for: Duration::from_mins(16) };
    let table = Table::new(settings);
    for (number, place) in (0..sessions as u64).zip((0..10).cycle()) {
        table.insert_session(session(cluster, number, CoordinatorId(place))).expect("it fits");
    }
    table
}

/// The session of that number.
pub(crate) fn session(cluster: &Cluster, number: u64, coordinator: CoordinatorId) -> NewSession {
    let count = cluster.coordinator(coordinator).expect("there are ten").count_session();
    NewSession {
        guid: guid(number),
        secret: Some([7; 16]),
        coordinator,
        count,
        access: Access::ANONYMOUS,
        tenancy: None,
        idle_timeout: IdleTimeout::default(),
        now: hs2router::clock::now(),
    }
}

/// One after another of so many numbers below `count`, in an order that no cache foresees.
pub(crate) fn shuffled(count: usize) -> impl FnMut() -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % count as u64
    }
}
