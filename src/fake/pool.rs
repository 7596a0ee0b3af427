//! One port: accepting, setting up, and handing over to a service thread (Impala: `TAcceptQueueServer.cpp`).

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::connection::{Connection, Paced, set_idle_poll};
use super::control::{Control, Enlisted};
use super::coordinator::Settings;
use super::sasl::{self, Framing, Incoming};
use super::state::State;
use crate::clock;
use crate::ids::Service;

/// How often a setup thread checks whether a service thread is free.
const LOOK: Duration = Duration::from_millis(10);

/// One port with its setup and service threads.
pub(super) struct Pool {
    pub(super) service: Service,
    pub(super) state: Arc<State>,
    pub(super) control: Arc<Control>,
    pub(super) settings: Arc<Settings>,
    /// `host:port` of the web pages.
    pub(super) web: String,
    pub(super) counts: Mutex<PoolCounts>,
    pub(super) freed: Condvar,
}

/// The numbers of one port's metrics (Impala: `impala.thrift-server.hiveserver2-frontend.*`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PoolCounts {
    pub(super) in_use: usize,
    pub(super) queued: usize,
    pub(super) total: u64,
    pub(super) timed_out: u64,
}

/// An accepted connection that waits to be set up.
pub(super) struct Accepted {
    stream: TcpStream,
    enlisted: Enlisted,
    at: Instant,
}

/// A service thread in use.
struct Served {
    pool: Arc<Pool>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.pool.counts.lock().in_use -= 1;
        self.pool.freed.notify_all();
    }
}

impl Pool {
    pub(super) fn counts(&self) -> PoolCounts {
        *self.counts.lock()
    }

    /// The next connection; `None` once the coordinator stops.
    pub(super) fn accept(&self, listener: &TcpListener) -> Option<Accepted> {
        loop {
            let accepted = listener.accept();
            if self.control.is_stopping() {
                return None;
            }
            let Ok((stream, _)) = accepted else {
                // Either descriptors have run out or the client has already gone; neither is a reason to
                // stop.
                self.control.pause(LOOK);
                continue;
            };
            if let Ok(enlisted) = self.control.enlist(&stream) {
                self.counts.lock().queued += 1;
                return Some(Accepted { stream, enlisted, at: clock::now() });
            }
        }
    }

    /// Sets up connections, one after another, until there are no more.
    pub(super) fn set_up_all(self: &Arc<Self>, accepted: &Mutex<Receiver<Accepted>>) {
        loop {
            let next = accepted.lock().recv();
            let Ok(next) = next else { return };
            // A connection that cannot be set up is closed, as in impalad, and its peer notices that.
            drop(self.set_up(next));
        }
    }

    /// Authenticates, waits for a service thread and hands the connection over to it.
    fn set_up(self: &Arc<Self>, accepted: Accepted) -> io::Result<()> {
        let authenticated = self.authenticate(&accepted);
        let served = authenticated.as_ref().ok().and_then(|_| self.service_thread(accepted.at));
        self.counts.lock().queued -= 1;
        let (incoming, user) = authenticated?;
        let served = served.ok_or(io::ErrorKind::TimedOut)?;
        set_idle_poll(&accepted.stream, self.settings.idle_client_poll)?;
        let connection = Connection {
            state: Arc::clone(&self.state),
            control: Arc::clone(&self.control),
            service: self.service,
            number: accepted.enlisted.number,
            framing: if user.is_some() { Framing::Frames } else { Framing::None },
            user,
            stream: accepted.stream,
            incoming,
            settings: Arc::clone(&self.settings),
            web: self.web.clone(),
        };
        let enlisted = accepted.enlisted;
        let run = move || {
            connection.serve();
            drop(served);
            drop(enlisted);
        };
        thread::Builder::new().name(format!("fake-{}", self.service)).spawn(run)?;
        Ok(())
    }

    fn authenticate(&self, accepted: &Accepted) -> io::Result<(Incoming<Paced>, Option<String>)> {
        let mut stream = accepted.stream.try_clone()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.settings.setup_timeout))?;
        let mut incoming = Incoming::new(Paced::new(accepted.stream.try_clone()?, Arc::clone(&self.state)));
        let user = match self.settings.logins() {
            // Over HTTP each request is authenticated by itself.
            Some(logins) if self.service != Service::Hs2Http => {
                Some(sasl::accept(&mut incoming, &mut stream, &logins)?)
            }
            _ => None,
        };
        Ok((incoming, user))
    }

    /// Waits for a free service thread; `None` when the time is over (Impala: `TAcceptQueueServer.cpp`
    /// `SetupConnection`).
    fn service_thread(self: &Arc<Self>, accepted_at: Instant) -> Option<Served> {
        let mut counts = self.counts.lock();
        loop {
            if self.control.is_stopping() {
                return None;
            }
            if counts.in_use < self.settings.service_threads && !self.state.faults.out_of_service_threads() {
                counts.in_use += 1;
                counts.total += 1;
                return Some(Served { pool: Arc::clone(self) });
            }
            if clock::now().saturating_duration_since(accepted_at) >= self.settings.setup_timeout {
                counts.timed_out += 1;
                return None;
            }
            // Other things than the end of a thread can change this, so it checks again soon.
            self.freed.wait_for(&mut counts, LOOK);
        }
    }
}
