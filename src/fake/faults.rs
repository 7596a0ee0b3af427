//! How a simulated coordinator misbehaves; changeable while it runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It reads the request, then waits before it executes it.
    Delay(Duration),
    /// It executes the request, then waits before it replies.
    DelayReply(Duration),
    /// It reads the request and closes the connection: nothing was executed.
    DropBefore,
    /// It executes the request and closes the connection without a reply.
    DropAfter,
    /// It executes the request, sends this many bytes of the reply and closes the connection.
    CutReply(usize),
    /// It executes the request and sends bytes that are not a Thrift message instead of the reply.
    Garbage,
    /// It replies, then ends its side of the connection (FIN), and goes on reading.
    HalfClose,
    /// It sends the reply in pieces of this many bytes with this pause between them.
    SlowReply(usize, Duration),
}

/// The faults of one coordinator. Methods are named as on the wire; `*` stands for every method.
#[derive(Debug, Default)]
pub struct Faults {
    by_method: Mutex<HashMap<String, (Fault, Option<usize>)>>,
    read_pause: Mutex<Option<Duration>>,
    quiescing: AtomicBool,
    no_service_threads: AtomicBool,
    delegates_nobody: AtomicBool,
    unhealthy: AtomicBool,
    /// 0 means no limit.
    session_limit: AtomicUsize,
}

impl Faults {
    /// The next call of `method` gets `fault`, later ones do not.
    pub fn once(&self, method: &str, fault: Fault) {
        self.times(method, fault, 1);
    }

    /// The next `times` calls of `method` get `fault`.
    pub fn times(&self, method: &str, fault: Fault, times: usize) {
        self.by_method.lock().insert(method.to_owned(), (fault, Some(times)));
    }

    /// Every call of `method` gets `fault` until [`Self::clear`].
    pub fn always(&self, method: &str, fault: Fault) {
        self.by_method.lock().insert(method.to_owned(), (fault, None));
    }

    /// Reads every connection one byte at a time with this pause between bytes; `None` ends that.
    pub fn read_slowly(&self, pause: Option<Duration>) {
        *self.read_pause.lock() = pause;
    }

    /// Begins a graceful shutdown: new work is refused, running operations go on, `/healthz` does not change
    /// (Impala: `impala-server.cc` `CheckNotShuttingDown`).
    pub fn start_quiescing(&self) {
        self.quiescing.store(true, Ordering::SeqCst);
    }

    /// Takes the shutdown back, which is impossible with a real server.
    pub fn stop_quiescing(&self) {
        self.quiescing.store(false, Ordering::SeqCst);
    }

    /// Lets nobody act for another user (Impala: `--authorized_proxy_user_config` without an entry for the caller).
    pub fn delegate_nobody(&self) {
        self.delegates_nobody.store(true, Ordering::SeqCst);
    }

    pub(super) fn delegates_nobody(&self) -> bool {
        self.delegates_nobody.load(Ordering::SeqCst)
    }

    /// Makes all service threads busy: connections are accepted, two are authenticated, then nothing is
    /// answered (Impala: `TAcceptQueueServer.cpp` `SetupConnection`). Connections that are already served
    /// stay so.
    pub fn exhaust_service_threads(&self) {
        self.no_service_threads.store(true, Ordering::SeqCst);
    }

    /// Frees the service threads again; the waiting connections are served.
    pub fn free_service_threads(&self) {
        self.no_service_threads.store(false, Ordering::SeqCst);
    }

    /// Makes `/healthz` answer 503 (Impala: not registered with the statestore).
    pub fn fail_health(&self) {
        self.unhealthy.store(true, Ordering::SeqCst);
    }

    /// Limits how many sessions are open at once, to one or more (Hive:
    /// `hive.server2.limit.connections.per.ipaddress`, for the one address that tests come from).
    pub fn limit_sessions(&self, limit: usize) {
        self.session_limit.store(limit, Ordering::SeqCst);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.by_method.lock().clear();
        *self.read_pause.lock() = None;
        self.session_limit.store(0, Ordering::SeqCst);
        for flag in [&self.quiescing, &self.no_service_threads, &self.delegates_nobody, &self.unhealthy] {
            flag.store(false, Ordering::SeqCst);
        }
    }

    /// Whether a graceful shutdown is under way.
    pub fn is_quiescing(&self) -> bool {
        self.quiescing.load(Ordering::SeqCst)
    }

    pub(super) fn session_limit(&self) -> Option<usize> {
        Some(self.session_limit.load(Ordering::SeqCst)).filter(|limit| *limit > 0)
    }

    pub(super) fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Ordering::SeqCst)
    }

    pub(super) fn out_of_service_threads(&self) -> bool {
        self.no_service_threads.load(Ordering::SeqCst)
    }

    pub(super) fn read_pause(&self) -> Option<Duration> {
        *self.read_pause.lock()
    }

    /// The fault that this call meets, counted down.
    pub(super) fn take(&self, method: &str) -> Option<Fault> {
        let mut by_method = self.by_method.lock();
        let name = if by_method.contains_key(method) { method } else { "*" };
        let (fault, left) = by_method.get_mut(name)?;
        let fault = *fault;
        if let Some(left) = left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                by_method.remove(name);
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_met_as_often_as_was_asked_for() {
        let faults = Faults::default();
        faults.times("GetLog", Fault::Garbage, 2);
        let met: Vec<_> = (0..3).map(|_| faults.take("GetLog")).collect();
        assert_eq!(met, [Some(Fault::Garbage), Some(Fault::Garbage), None]);
        faults.always("*", Fault::DropAfter);
        assert_eq!(faults.take("GetInfo"), Some(Fault::DropAfter));
        assert_eq!(faults.take("GetLog"), Some(Fault::DropAfter));
        faults.clear();
        assert_eq!(faults.take("GetInfo"), None);
    }
}
