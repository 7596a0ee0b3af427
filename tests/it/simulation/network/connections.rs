//! The connections of the network: what is sent on them, when it arrives, and what is checked of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use hs2router::clock;
use rand::RngExt as _;

use super::{Connection, End, Event, Inner, ROUTER, Reach, Side};

/// Whether it is an alert of TLS, as a connection says that is given up: no more of a use than a FIN. In TLS
/// 1.3 only the length tells it from a request, and none has two bytes.
pub(super) fn says_end(bytes: &[u8]) -> bool {
    matches!(bytes, [21, 3, 3, ..] | [23, 3, 3, 0, 19, ..]) && bytes.len() < 32
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
}

impl End {
    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        self.unread_by_other += bytes;
    }

    /// How many bytes the other end has not read of those that it need not have asked for.
    pub(super) fn excused_unread(&self) -> usize {
        let read = self.sent - self.unread_by_other;
        self.excused.saturating_sub(read).min(self.unread_by_other)
    }

    pub(super) fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
    }
}

impl Connection {
    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Dialer => &mut self.dialer,
            Side::Acceptor => &mut self.acceptor,
        }
    }
}

impl Connection {
    pub(super) fn is_of(&self, host: &str) -> bool {
        &*self.host == host || &*self.from == host
    }

    /// Whether no bytes are on their way, or there and not read.
    pub(super) fn is_quiet(&self) -> bool {
        self.dialer.unread_by_other == 0 && self.acceptor.unread_by_other == 0
    }
}

impl Inner {
    pub(super) fn reach_mut(&mut self, host: &str) -> &mut Reach {
        self.reach.entry(host.into()).or_default()
    }

    /// The address of a host, which it gets when it is asked for.
    pub(super) fn addresses_of(&mut self, host: &str) -> Vec<IpAddr> {
        let known = self.hosts.iter().position(|one| &**one == host);
        let place = known.unwrap_or_else(|| {
            self.hosts.push(host.into());
            self.hosts.len() - 1
        });
        vec![IpAddr::from([10, 1, 0, u8::try_from(place).expect("there are few hosts")])]
    }

    pub(super) fn host_at(&self, address: IpAddr) -> Option<Arc<str>> {
        let IpAddr::V4(address) = address else { return None };
        self.hosts.get(usize::from(address.octets()[3])).cloned()
    }

    pub(super) fn connections_of(&self, host: &str) -> Vec<u64> {
        let of_host = self.connections.iter().filter(|(_, connection)| connection.is_of(host));
        of_host.map(|(id, _)| *id).collect()
    }

    pub(super) fn deliver_at(&mut self, at: Instant, id: u64, to: Side, event: Event) {
        self.sent += 1;
        self.deliveries.insert((at, self.sent), (id, to, event));
    }

    /// Sends from an end to the other: no sooner than what was sent before, not during a partition.
    pub(super) fn send(&mut self, id: u64, from: Side, event: Event) {
        let jitter = Duration::from_millis(self.rng.random_range(0..3));
        let Some(connection) = self.connections.get(&id) else { return };
        let mut at = clock::now() + connection.latency + jitter;
        for host in [Arc::clone(&connection.host), Arc::clone(&connection.from)] {
            let reach = self.reach.get(&host).copied().unwrap_or_default();
            at += reach.slow_by;
            at = at.max(reach.partitioned_until.unwrap_or(at));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            let end = connection.end(from);
            at = at.max(end.sends_no_sooner.unwrap_or(at));
            end.sends_no_sooner = Some(at);
        }
        self.deliver_at(at, id, from.other(), event);
    }

    pub(super) fn forget_if_over(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(|it| it.dialer.closed && it.acceptor.closed) {
            self.connections.remove(&id);
            self.watched.remove(&id);
        }
    }

    /// A link that has unread bytes, or is owed some, must not be used: they would be taken for the reply.
    /// Those that nobody asked for and that have come in this very moment cannot be known.
    pub(super) fn check_clean(&mut self, id: u64, side: Side) {
        if side != Side::Dialer || !self.watched.contains(&id) {
            return;
        }
        let Some(connection) = self.connections.get(&id) else { return };
        let (end, host) = (&connection.dialer, &connection.host);
        let (all_unread, excused) = (end.received.len(), connection.acceptor.excused_unread());
        let unread = all_unread.saturating_sub(excused);
        if unread > 0 && end.received_at.is_some_and(|at| at < clock::now()) {
            let (from, port, since) = (&connection.from, connection.port, end.received_at);
            let since = since.map(|at| clock::now().saturating_duration_since(at));
            self.violations.push(format!(
                "a link from {from} to {host}:{port} was used with {unread} unread bytes on it, {since:?} old"
            ));
        }
        let under_way = (connection.acceptor.unread_by_other - excused).saturating_sub(unread);
        if under_way > 0 {
            self.violations.push(format!("a link to {host} was used with {under_way} bytes under way on it"));
        }
    }

    /// A coordinator says nothing to a connection that it has no thread for: the router must not make one.
    pub(super) fn check_room(&mut self, new: &Connection) {
        let (host, port) = (&new.host, new.port);
        let Some(most) = self.most.get(&(Arc::clone(host), port)) else { return };
        let alike = |one: &&Connection| {
            &*one.from == ROUTER && one.host == *host && one.port == port && !one.dialer.closed
        };
        let there = self.connections.values().filter(alike).count();
        if &*new.from == ROUTER && there >= *most {
            self.violations.push(format!("link {} to {host}:{port}, which serves {most}", there + 1));
        }
    }
}
