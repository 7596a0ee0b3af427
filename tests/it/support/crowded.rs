//! A coordinator whose only service thread is taken, and a client that waits for it.

use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};

use hs2router::fake::Settings;
use hs2router::fake::client::Hs2Client;

use super::fleet::{Fleet, Plan};
use super::router::eventually;

pub(crate) struct Crowded {
    pub(crate) fleet: Fleet,
    _first: Hs2Client,
    second: TcpStream,
    waits: Option<JoinHandle<()>>,
}

impl Crowded {
    pub(crate) fn start() -> Self {
        let fleet = Fleet::with(Plan {
            coordinators: 1,
            cluster: "service_threads = 1\nreserve = 0\nshare_links = false\naddress_share = 1",
            settings: Settings { service_threads: 1, ..Settings::default() },
            ..Plan::default()
        });
        let (mut first, mut second) = (fleet.hs2(), fleet.hs2());
        first.open(&[]).unwrap();
        let stream = second.stream().try_clone().unwrap();
        let waits = thread::spawn(move || drop(second.open(&[])));
        assert!(eventually(|| fleet.known().queue.waiting.get() == 1));
        Self { fleet, _first: first, second: stream, waits: Some(waits) }
    }
}

impl Drop for Crowded {
    fn drop(&mut self) {
        drop(self.second.shutdown(Shutdown::Both));
        let ended = self.waits.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}
