//! The connections of clients that are open: what is known of each, and how all or one of them are signalled.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ids::{Access, ConnId, CoordinatorName, Depth};
use crate::metrics::Encryption;
use crate::serve::threads::signals::{Signal, Signals};

/// How many connections are looked at for each time that the list is locked, which is then for some
/// microseconds.
const PAGE: usize = 256;

/// The open connections of a router.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Open>,
    /// Tells those that wait that a connection has ended which was to end at once.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// Sorted by connection, so that the order in which connections are signalled does not depend on chance.
    each: BTreeMap<ConnId, Arc<Listed>>,
    /// The flags of signals that cannot be taken back; connections that register later receive them, too.
    lasting: u8,
}

/// A connection that is open.
#[derive(Debug)]
pub struct Listed {
    /// Its number.
    pub id: ConnId,
    pub(crate) signals: Signals,
    known: Mutex<Known>,
}

/// What is known of a connection. It changes with its stages and not with its calls.
#[derive(Clone, Debug)]
pub struct Known {
    /// The address of its listener, as configured.
    pub listener: Arc<str>,
    /// The name of the cluster that it goes to.
    pub cluster: Arc<str>,
    /// Where the client comes from; `None` until the balancer in front of the router has said so.
    pub client: Option<SocketAddr>,
    /// The address of that balancer, if there is one.
    pub via: Option<SocketAddr>,
    /// When it was accepted.
    pub since: Instant,
    /// For whom its calls are made, and how they travel; `None` until that is known, and if nobody reads them.
    /// While the depth is unknown, it is what the client claims.
    pub access: Option<Access>,
    /// What became of TLS; `None` until that is known.
    pub tls: Option<Encryption>,
    /// How deep it is understood; `None` until that is known.
    pub depth: Option<Depth>,
    /// Where it is passed on to, if it is.
    pub coordinator: Option<CoordinatorName>,
}

/// Keeps a connection in the list until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    connections: Arc<Connections>,
    pub(crate) listed: Arc<Listed>,
}

impl Connections {
    /// Sends a signal to all connections.
    pub(crate) fn send(&self, signal: Signal) {
        let mut open = self.open.lock();
        if signal != Signal::Look {
            open.lasting |= signal as u8;
        }
        for listed in open.each.values() {
            listed.signals.set(signal as u8);
        }
    }

    /// Lists a connection. Signals that cannot be taken back and were sent before are set at once.
    pub(crate) fn register(self: &Arc<Self>, id: ConnId, known: Known) -> Registration {
        let listed = Arc::new(Listed { id, signals: Signals::default(), known: Mutex::new(known) });
        let mut open = self.open.lock();
        listed.signals.set(open.lasting);
        open.each.insert(id, Arc::clone(&listed));
        drop(open);
        Registration { connections: Arc::clone(self), listed }
    }

    /// Returns a connection, if it is open.
    pub fn find(&self, id: ConnId) -> Option<Arc<Listed>> {
        self.open.lock().each.get(&id).cloned()
    }

    /// Looks at each connection, the oldest first. Connections come and go meanwhile.
    pub fn see_each(&self, mut see: impl FnMut(&Listed)) {
        let mut from = Bound::Unbounded;
        loop {
            let page: Vec<_> = {
                let open = self.open.lock();
                open.each.range((from, Bound::Unbounded)).take(PAGE).map(|(_, one)| Arc::clone(one)).collect()
            };
            let Some(last) = page.last() else { return };
            from = Bound::Excluded(last.id);
            for listed in &page {
                see(listed);
            }
        }
    }

    /// Ends a connection at once; returns when it has ended.
    pub(crate) async fn cut(&self, listed: &Listed) {
        listed.signals.set(Signal::Cut as u8);
        loop {
            let mut ended = pin!(self.ended.notified());
            // From now on no end is missed.
            ended.as_mut().enable();
            if self.find(listed.id).is_none() {
                return;
            }
            ended.await;
        }
    }
}

impl Listed {
    /// What is known of it now.
    pub fn known(&self) -> Known {
        self.known.lock().clone()
    }

    /// Notes what has become known.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Known)) {
        note(&mut self.known.lock());
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.open.lock().each.remove(&self.listed.id);
        if self.listed.signals.is_set(Signal::Cut) {
            self.connections.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
impl Known {
    /// What is known of a connection at first.
    pub(crate) fn at_first() -> Self {
        Self {
            listener: "test".into(),
            cluster: "test".into(),
            client: None,
            via: None,
            since: crate::clock::now(),
            access: None,
            tls: None,
            depth: None,
            coordinator: None,
        }
    }
}

#[cfg(test)]
impl Listed {
    /// A connection that is in no list.
    pub(crate) fn alone(id: ConnId) -> Arc<Self> {
        Arc::new(Self { id, signals: Signals::default(), known: Mutex::new(Known::at_first()) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn registered(connections: &Arc<Connections>, id: u64) -> Registration {
        connections.register(ConnId(id), Known::at_first())
    }

    #[tokio::test]
    async fn a_task_is_woken_only_by_the_signal_that_it_waits_for() {
        let connections = Arc::new(Connections::default());
        let registration = registered(&connections, 1);
        let listed = Arc::clone(&registration.listed);
        let waiting = tokio::spawn(async move { listed.signals.received(Signal::Look).await });
        // The task is waiting now.
        tokio::task::yield_now().await;
        connections.send(Signal::Drain);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        connections.send(Signal::Look);
        timeout(DEADLINE, waiting).await.expect("it was woken").unwrap();
        let signals = &registration.listed.signals;
        signals.clear(Signal::Look);
        assert!(!signals.is_set(Signal::Look) && signals.is_set(Signal::Drain));
    }

    #[tokio::test]
    async fn a_later_connection_receives_only_the_signals_that_last() {
        let connections = Arc::new(Connections::default());
        connections.send(Signal::Look);
        connections.send(Signal::Cut);
        let signals = &registered(&connections, 1).listed.signals;
        timeout(DEADLINE, signals.received(Signal::Cut)).await.expect("it is to end");
        assert!(!signals.is_set(Signal::Look));
    }

    #[test]
    fn a_registration_ends_with_its_connection() {
        let connections = Arc::new(Connections::default());
        let (one, two) = (registered(&connections, 1), registered(&connections, 2));
        drop(one);
        assert!(connections.find(ConnId(1)).is_none() && connections.find(ConnId(2)).is_some());
        drop(two);
        assert!(connections.open.lock().each.is_empty());
    }

    #[tokio::test]
    async fn a_cut_reaches_one_connection_and_lasts_until_that_has_ended() {
        let connections = Arc::new(Connections::default());
        let (one, two) = (registered(&connections, 1), registered(&connections, 2));
        let (list, listed) = (Arc::clone(&connections), Arc::clone(&one.listed));
        let cutting = tokio::spawn(async move { list.cut(&listed).await });
        timeout(DEADLINE, one.listed.signals.received(Signal::Cut)).await.expect("it is to end");
        tokio::task::yield_now().await;
        assert!(!cutting.is_finished(), "it is still there");
        assert!(!two.listed.signals.is_set(Signal::Cut));
        drop(one);
        timeout(DEADLINE, cutting).await.expect("it has ended").unwrap();
        // Who asks later need not wait.
        timeout(DEADLINE, connections.cut(&Listed::alone(ConnId(1)))).await.expect("it ended before");
    }

    #[test]
    fn a_look_sees_each_connection_once_and_keeps_none_from_coming_and_going() {
        let connections = Arc::new(Connections::default());
        let count = 3 * PAGE as u64 + 1;
        let mut open: Vec<_> = (1..=count).map(|id| Some(registered(&connections, id))).collect();
        let mut seen = Vec::new();
        connections.see_each(|listed| {
            if seen.is_empty() {
                // Were the list locked now, this would never return.
                open.push(Some(registered(&connections, count + 1)));
                open[2 * PAGE] = None;
            }
            seen.push(listed.id.0);
        });
        let left_out = 2 * PAGE as u64 + 1;
        assert_eq!(seen, (1..=count + 1).filter(|id| *id != left_out).collect::<Vec<_>>());
    }
}
