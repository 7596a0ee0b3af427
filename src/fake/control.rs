//! Tells all threads of a coordinator to stop, to drop their connections or to restart.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::web;
use crate::clock;

/// How long a stop waits for the threads of its connections.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The switches that all threads of a coordinator watch.
#[derive(Debug)]
pub(super) struct Control {
    switches: Mutex<Switches>,
    changed: Condvar,
    next: AtomicU64,
}

#[derive(Debug)]
struct Switches {
    stopping: bool,
    /// Incremented each time all connections are cut.
    epoch: u64,
    open: BTreeMap<u64, TcpStream>,
    start_time: String,
}

impl Switches {
    /// Returns which connections were cut.
    fn sever(&mut self) -> Vec<u64> {
        self.epoch += 1;
        for stream in self.open.values() {
            drop(stream.shutdown(Shutdown::Both));
        }
        self.open.keys().copied().collect()
    }
}

impl Control {
    pub(super) fn new() -> Self {
        let switches = Switches {
            stopping: false,
            epoch: 0,
            open: BTreeMap::new(),
            start_time: web::process_start_time(),
        };
        Self { switches: Mutex::new(switches), changed: Condvar::new(), next: AtomicU64::new(1) }
    }

    /// Waits, at most until a stop or a cut.
    pub(super) fn pause(&self, time: Duration) {
        let until = clock::now() + time;
        let mut switches = self.switches.lock();
        let epoch = switches.epoch;
        while !switches.stopping && switches.epoch == epoch {
            if self.changed.wait_until(&mut switches, until).timed_out() {
                return;
            }
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.switches.lock().stopping
    }

    pub(super) fn start_time(&self) -> String {
        self.switches.lock().start_time.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.switches.lock().open.len()
    }

    pub(super) fn stop(&self) {
        self.switches.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(super) fn renew(&self) {
        self.switches.lock().start_time = web::process_start_time();
    }

    /// Cuts every connection: from now on nothing that their threads do reaches a client.
    pub(super) fn sever(&self) {
        self.switches.lock().sever();
        self.changed.notify_all();
    }

    /// Cuts every connection and waits until their threads have dropped them.
    pub(super) fn cut(&self) {
        let mut switches = self.switches.lock();
        let cut = switches.sever();
        self.changed.notify_all();
        let deadline = clock::now() + STOP_TIMEOUT;
        while cut.iter().any(|number| switches.open.contains_key(number)) {
            if self.changed.wait_until(&mut switches, deadline).timed_out() {
                return;
            }
        }
    }

    /// An entry in the list of connections, removed when the guard is dropped.
    pub(super) fn enlist(self: &Arc<Self>, stream: &TcpStream) -> io::Result<Enlisted> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let copy = stream.try_clone()?;
        drop(self.switches.lock().open.insert(number, copy));
        Ok(Enlisted { number, control: Arc::clone(self) })
    }
}

/// A connection in the list.
pub(super) struct Enlisted {
    pub(super) number: u64,
    control: Arc<Control>,
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        if let Some(stream) = self.control.switches.lock().open.remove(&self.number) {
            drop(stream.shutdown(Shutdown::Both));
        }
        self.control.changed.notify_all();
    }
}
