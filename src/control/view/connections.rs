//! The connections of clients that are open.

use std::net::SocketAddr;
use std::time::Instant;

use serde::Serialize;

use super::rows::{Ask, Filter, First};
use super::user::User;
use crate::ids::{ConnId, Depth, Transport};
use crate::metrics::{Encryption, Label as _};
use crate::serve::connections::{Connections as All, Known, Listed};

/// A snapshot of connections.
#[derive(Debug, Serialize)]
pub struct Connections {
    /// All that are open.
    pub total: usize,
    /// Those that match the filter.
    pub matching: usize,
    /// The first of these; the oldest comes first.
    pub connections: Vec<ConnectionRow>,
}

/// One connection.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionRow {
    connection: String,
    user: Option<String>,
    acts_as: Option<String>,
    client: Option<String>,
    via: Option<String>,
    listener: String,
    cluster: String,
    depth: Option<&'static str>,
    transport: Option<&'static str>,
    tls: Option<&'static str>,
    coordinator: Option<String>,
    /// In seconds.
    age: f64,
}

impl Connections {
    /// Looks at all connections. It takes as long as there are connections.
    pub fn of(all: &All, ask: &Ask, now: Instant) -> Self {
        let (mut total, filter, mut first) = (0, Filter::new(&ask.filter), First::new(ask.limit));
        all.see_each(|listed| {
            total += 1;
            let row = || ConnectionRow::new(listed, now);
            if filter.passes(|| row().text()) {
                let ConnId(number) = listed.id;
                // Numbers count up, and no two are the same.
                first.offer(number, [0; 16], row);
            }
        });
        Self { total, matching: first.matching, connections: first.into_rows() }
    }
}

impl ConnectionRow {
    /// What is known of a connection now.
    pub fn new(listed: &Listed, now: Instant) -> Self {
        let Known { listener, cluster, client, via, since, access, tls, depth, coordinator } = listed.known();
        let user = access.as_ref().map(User::of).unwrap_or_default();
        let printed =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port()).to_string();
        Self {
            connection: listed.id.to_string(),
            user: user.name.map(str::to_owned),
            acts_as: user.acts_as.map(str::to_owned),
            client: client.map(printed),
            via: via.map(printed),
            listener: listener.to_string(),
            cluster: cluster.to_string(),
            depth: depth.map(Depth::as_str),
            transport: access.map(|access| access.transport).map(Transport::as_str),
            tls: tls.map(Encryption::word),
            coordinator: coordinator.map(|coordinator| coordinator.to_string()),
            age: now.saturating_duration_since(since).as_secs_f64(),
        }
    }

    /// What a filter looks into.
    fn text(self) -> String {
        let Self {
            connection,
            user,
            acts_as,
            client,
            via,
            listener,
            cluster,
            depth,
            transport,
            tls,
            coordinator,
            age: _,
        } = self;
        let words = [depth, transport, tls].map(|word| word.map(str::to_owned));
        let sure = [connection, listener, cluster];
        let perhaps = [user, acts_as, client, via, coordinator].into_iter().chain(words).flatten();
        sure.into_iter().chain(perhaps).collect::<Vec<_>>().join("\n")
    }
}
