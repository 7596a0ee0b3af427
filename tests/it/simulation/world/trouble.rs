//! The trouble that comes over a world: drains, removals, crashes, cut links.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hs2router::clock;
use rand::RngExt as _;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::super::coordinator::SimCoordinator;
use super::super::journal::between;
use super::super::router::{self, SimRouter};
use super::{LONGEST_TROUBLE, REMOVAL, Simulation, restart};

impl Simulation {
    /// People drain a coordinator, and resume it.
    pub(super) async fn drain_for_a_while(&mut self) {
        let coordinator = Rc::clone(&self.coordinators[self.rng.random_range(0..self.coordinators.len())]);
        let time = between(&mut self.rng, 1_000, 40_000);
        self.drain(&coordinator, time).await;
    }

    pub(super) fn drain(
        &self,
        coordinator: &SimCoordinator,
        time: Duration,
    ) -> impl Future<Output = ()> + 'static {
        let (index, host) = (coordinator.index, coordinator.host.clone());
        let state = self.router.fleet.cluster.named(&host);
        let journal = Rc::clone(&self.journal);
        async move {
            // It is none of the fleet.
            let Some(state) = state else { return };
            journal.say(format_args!("{host} is drained for {time:?}"));
            state.drain(None, time, clock::now());
            journal.drained(index, true);
            sleep(time).await;
            journal.say(format_args!("{host} is resumed"));
            state.resume();
            journal.drained(index, false);
        }
    }

    /// A coordinator is removed, and comes back as another of the same name.
    pub(super) fn remove(
        &self,
        coordinator: &SimCoordinator,
        deadline: Duration,
        away: Duration,
    ) -> impl Future<Output = ()> + 'static {
        let (index, host) = (coordinator.index, coordinator.host.clone());
        let SimRouter { fleet, shared, watchers, .. } = &self.router;
        let (fleet, shared, watchers) = (Arc::clone(fleet), Arc::clone(shared), Rc::clone(watchers));
        let (journal, setup, removed) = (Rc::clone(&self.journal), self.setup, Rc::clone(&self.removed));
        async move {
            if !removed.borrow_mut().insert(index) {
                return;
            }
            journal.say(format_args!("{host} is to be removed within {deadline:?}"));
            let id = fleet.cluster.named(&host).unwrap().id;
            let begun = clock::now();
            journal.drained(index, true);
            assert!(fleet.remove_coordinator(id, Some(deadline), &shared).await);
            let took = clock::now().saturating_duration_since(begun);
            if took > deadline + REMOVAL {
                journal.violation(format_args!("{host} took {took:?} to be removed"));
            }
            journal.say(format_args!("{host} is removed"));
            journal.removed(index, true);
            sleep(away).await;
            journal.removed(index, false);
            journal.drained(index, false);
            let added = fleet.add_coordinator(router::coordinator(index, &setup), &watchers).unwrap();
            assert!(added > id, "an id is given once");
            journal.say(format_args!("{host} is added"));
            removed.borrow_mut().remove(&index);
        }
    }

    /// Something happens.
    pub(super) fn trouble(&mut self) {
        let rng = &mut self.rng;
        let coordinator = Rc::clone(&self.coordinators[rng.random_range(0..self.coordinators.len())]);
        let (short, long) = (between(rng, 0, 20_000), between(rng, 1_000, LONGEST_TROUBLE.as_secs() * 1_000));
        let (network, journal) = (self.network.clone(), Rc::clone(&self.journal));
        let host = coordinator.host.clone();
        match rng.random_range(0..16) {
            0 => drop(spawn_local(restart(coordinator, journal, short, Duration::ZERO))),
            1 => drop(spawn_local(restart(coordinator, journal, short / 4, short))),
            2 | 3 => {
                journal.say(format_args!("a connection of {host} is reset"));
                network.reset_one(&host);
            }
            4 => {
                journal.say(format_args!("{host} cannot be reached for {long:?}"));
                network.partition(&host, long);
            }
            5 => drop(spawn_local(async move {
                journal.say(format_args!("the way to {host} is slow"));
                network.slow_down(&host, short / 50);
                sleep(long).await;
                network.slow_down(&host, Duration::ZERO);
            })),
            6 => {
                journal.say(format_args!("dials to {host} hang for {short:?}"));
                network.hang_dials(&host, short);
            }
            7 => {
                let taken = if rng.random_bool(0.5) { usize::MAX } else { rng.random_range(1..4) };
                drop(spawn_local(async move {
                    journal.say(format_args!("others take {taken} threads of {host} for {long:?}"));
                    coordinator.take_threads(taken);
                    sleep(long).await;
                    coordinator.take_threads(0);
                }));
            }
            8 => drop(spawn_local(async move {
                journal.say(format_args!("{host} is busy"));
                coordinator.set_slow(short / 4);
                sleep(long).await;
                coordinator.set_slow(Duration::from_millis(5));
            })),
            9 | 10 => {
                journal.say(format_args!("{host} is out of order"));
                coordinator.set_flaky(self.rng.random_range(1..20));
            }
            11 => drop(spawn_local(self.drain(&coordinator, long))),
            12 | 13 => drop(spawn_local(self.remove(&coordinator, short, long / 3))),
            _ => self.trouble_for_a_client(long),
        }
    }

    pub(super) fn trouble_for_a_client(&mut self, long: Duration) {
        let client = &self.clients[self.rng.random_range(0..self.clients.len())];
        let name = &client.name;
        client.disturbed.set(true);
        if self.rng.random_bool(0.5) {
            self.journal.say(format_args!("a connection of {name} is reset"));
            self.network.reset_one(name);
        } else {
            self.journal.say(format_args!("{name} cannot be reached for {long:?}"));
            self.network.partition(name, long);
        }
    }
}
