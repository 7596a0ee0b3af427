//! Keeps the connections of one client address together on one coordinator, for clients that use a session
//! from several connections, where only the connection decides where its calls go (Hue). Load has its bound:
//! what would make a coordinator much fuller than the others goes to the next.
//!
//! Rendezvous hashing finds the order, so that all routers find the same one, and a coordinator that comes or
//! goes moves only its own part of the addresses; the bound is that of "Consistent hashing with bounded loads"
//! (Mirrokni, Thorup, Zadimoghaddam).

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::{Cluster, Coordinator, Opening, Standing, Wanted};
use crate::ids::ClientAddress;

/// No coordinator gets more than this many times the average load.
const BOUND: f64 = 1.25;

/// What keeps connections together that are passed on to one coordinator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stick {
    /// Nothing: each goes to the coordinator with the least load.
    #[default]
    Nothing,
    /// Their source: the client's address.
    Source,
}

impl Stick {
    /// The word used in config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Source => "source",
        }
    }

    /// Whose connections a connection from this address stays with.
    pub fn of(self, address: ClientAddress) -> Option<ClientAddress> {
        (self == Self::Source).then_some(address)
    }
}

impl fmt::Display for Stick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A coordinator that may take the connection.
struct Fit<'a> {
    coordinator: &'a Arc<Coordinator>,
    /// What it takes relative to the others.
    weight: f64,
    /// Its place in the order, the least first.
    place: f64,
}

impl Cluster {
    /// The coordinator where the connections of this address belong, with an open counted on it before anyone
    /// else picks: the first in the order of the address that may take sessions, was not tried, has room, and
    /// whose sessions, together with this one, are not more than 1.25 times its part of all. None if there is no
    /// such coordinator.
    pub fn pick_for_source(
        &self,
        address: ClientAddress,
        wanted: &Wanted<'_>,
        now: Instant,
    ) -> Option<Opening> {
        // Held as for any pick: opens at the same moment must see each other.
        let _picking = self.policy.lock();
        let all = self.coordinators();
        let mut fit: Vec<_> =
            all.iter().filter_map(|coordinator| Fit::of(coordinator, address, wanted, now)).collect();
        fit.sort_by(|one, other| one.place.total_cmp(&other.place));
        let sessions = fit.iter().map(|fit| sessions(fit.coordinator)).sum::<f64>() + 1.0;
        let weights: f64 = fit.iter().map(|fit| fit.weight).sum();
        let takes_more = |fit: &&Fit<'_>| {
            let most = (BOUND * sessions * fit.weight / weights).ceil();
            sessions_with_one_more(fit.coordinator) <= most
        };
        fit.iter().find(takes_more).map(|fit| fit.coordinator.begin_open())
    }
}

/// The sessions that a coordinator has and is about to have.
fn sessions(coordinator: &Coordinator) -> f64 {
    let load = coordinator.load();
    f64::from(load.open_sessions) + f64::from(load.opens_in_progress)
}

fn sessions_with_one_more(coordinator: &Coordinator) -> f64 {
    sessions(coordinator) + 1.0
}

impl<'a> Fit<'a> {
    fn of(
        coordinator: &'a Arc<Coordinator>,
        address: ClientAddress,
        wanted: &Wanted<'_>,
        now: Instant,
    ) -> Option<Self> {
        let outlook = coordinator.outlook(wanted.service, now);
        let takes_sessions = coordinator.is_wanted()
            && coordinator.ports.of(wanted.service).is_some()
            && outlook.standing == Standing::Ready;
        if !takes_sessions || wanted.tried.contains(&coordinator.id) || !(wanted.has_room)(coordinator) {
            return None;
        }
        let configured = f64::from(coordinator.weight().get());
        let weight = configured * f64::from(outlook.share.percent()) / 100.0;
        // A greater weight makes a place nearer to the front more likely, in proportion.
        let place = -unit(address, &coordinator.name.0).ln() / configured;
        Some(Self { coordinator, weight, place })
    }
}

/// A number above 0 and not above 1 that an address and a name always have in common, and that says nothing
/// about those of other names.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit(address: ClientAddress, name: &str) -> f64 {
    // FNV-1a, and the last steps of SplitMix64 to mix it well.
    let bytes = address.octets().into_iter().chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) >> 11).saturating_add(1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::clock;
    use crate::cluster::{AdminState, CoordinatorSettings, Flavor, HealthSettings, PolicyName, Settings};
    use crate::ids::{CoordinatorId, CoordinatorName, Service};

    fn cluster(weights: &[u32]) -> Cluster {
        let coordinator = |(at, weight): (usize, &u32)| CoordinatorSettings {
            name: CoordinatorName(format!("c{at}").into()),
            host: "localhost".to_owned(),
            ports: Flavor::Impala.default_ports(),
            tls: None,
            weight: *weight,
            state: AdminState::Active,
        };
        let coordinators = weights.iter().enumerate().map(coordinator).collect();
        let settings = Settings {
            name: "test".into(),
            flavor: Flavor::Impala,
            sessions_outlive_connections: true,
            policy: PolicyName::LeastLoaded,
            idle_session_cost: 0.1,
            health: HealthSettings::default(),
            coordinators,
        };
        Cluster::new(settings).unwrap()
    }

    fn address(number: u32) -> ClientAddress {
        IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number)).into()
    }

    fn pick(cluster: &Cluster, address: ClientAddress, tried: &[CoordinatorId]) -> Option<Opening> {
        cluster.pick_for_source(address, &Wanted::anywhere_but(tried, Service::Hs2), clock::now())
    }

    /// Where an address belongs while nobody else is there.
    fn home(cluster: &Cluster, number: u32) -> CoordinatorId {
        pick(cluster, address(number), &[]).unwrap().coordinator().id
    }

    #[test]
    fn an_address_always_belongs_to_the_same_coordinator_and_addresses_are_shared_out_by_weight() {
        let (one, other) = (cluster(&[1, 1, 2]), cluster(&[1, 1, 2]));
        let mut shares = [0_i32; 3];
        for number in 0..4000 {
            let home = home(&one, number);
            assert_eq!(home, self::home(&other, number), "another router finds another");
            shares[home.0 as usize] += 1;
        }
        assert!(
            shares.iter().zip([1000, 1000, 2000]).all(|(one, due)| (one - due).abs() < 150),
            "{shares:?}"
        );
    }

    #[test]
    fn a_coordinator_that_is_left_out_moves_only_its_own_addresses() {
        let cluster = cluster(&[1; 5]);
        let before: Vec<_> = (0..500).map(|number| home(&cluster, number)).collect();
        cluster.coordinators()[2].drain(None, std::time::Duration::ZERO, clock::now());
        for (number, before) in (0..).zip(before) {
            let now = home(&cluster, number);
            assert!(now != CoordinatorId(2) && (now == before || before == CoordinatorId(2)));
        }
    }

    #[test]
    fn no_coordinator_gets_more_than_its_bound_however_many_connections_an_address_opens() {
        let cluster = cluster(&[1, 1, 1, 1]);
        let first = home(&cluster, 7);
        let mut open = Vec::new();
        for many in 1_u32..400 {
            open.push(pick(&cluster, address(7), &[]).unwrap().into_session());
            let fullest = cluster.coordinators().iter().map(|one| one.load().open_sessions).max().unwrap();
            let bound = (BOUND * f64::from(many) / 4.0).ceil();
            assert!(f64::from(fullest) <= bound, "{fullest} of {many}");
        }
        let has = |id: CoordinatorId| cluster.coordinators()[id.0 as usize].load().open_sessions;
        assert!(cluster.coordinators().iter().all(|one| has(one.id) <= has(first)), "it belongs there");
    }

    #[test]
    fn what_was_tried_or_has_no_room_is_passed_over_and_perhaps_nothing_is_left() {
        let cluster = cluster(&[1, 1]);
        let first = home(&cluster, 1);
        let second = pick(&cluster, address(1), &[first]).unwrap().coordinator().id;
        assert_ne!(first, second);
        assert!(pick(&cluster, address(1), &[first, second]).is_none());
        let has_room = |one: &Coordinator| one.id == second;
        let wanted = Wanted { has_room: &has_room, ..Wanted::anywhere_but(&[], Service::Hs2) };
        let picked = cluster.pick_for_source(address(1), &wanted, clock::now()).unwrap();
        assert_eq!(picked.coordinator().id, second);
    }
}
