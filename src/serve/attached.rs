//! Which sessions a connection is attached to: a session that no connection is attached to any more is on its way out.

use std::collections::HashSet;
use std::sync::Arc;

use crate::session::table::Table;
use crate::wire::facts::{Guid, Handle};

/// Sessions are looked through for closed ones when there are this many, and each time their number has doubled.
const LOOK_AT: usize = 64;

/// The sessions that a connection is attached to: it has used them and is still there.
pub(super) struct Attached {
    table: Arc<Table>,
    sessions: HashSet<Guid>,
    look_at: usize,
}

impl Attached {
    /// To none yet.
    pub(super) fn new(table: &Arc<Table>) -> Self {
        Self { table: Arc::clone(table), sessions: HashSet::new(), look_at: LOOK_AT }
    }

    /// The connection uses a session, if there is such a session and this is its handle: who knows the guid only shall
    /// not keep somebody else's session from being forgotten.
    pub(super) fn attach(&mut self, session: &Handle) {
        let guid = session.guid;
        if self.sessions.contains(&guid) || !self.table.is_session(session) || !self.table.attach(&guid) {
            return;
        }
        self.sessions.insert(guid);
        if self.sessions.len() >= self.look_at {
            self.sessions.retain(|session| self.table.session_owner(session).is_some());
            self.look_at = LOOK_AT.max(self.sessions.len() * 2);
        }
    }
}

impl Drop for Attached {
    #[expect(clippy::iter_over_hash_type, reason = "the order of guards that end says nothing")]
    fn drop(&mut self) {
        for session in &self.sessions {
            self.table.detach(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::cluster::{
        AdminState, Cluster, CoordinatorSettings, Flavor, HealthSettings, PolicyName, Settings,
    };
    use crate::ids::CoordinatorName;
    use crate::session::table;

    const SESSION: Handle = Handle { guid: [1; 16], secret: [2; 16] };

    fn table() -> Arc<Table> {
        let coordinator = CoordinatorSettings {
            name: CoordinatorName("c1".into()),
            host: "localhost".to_owned(),
            ports: Flavor::Impala.default_ports(),
            weight: 1,
            state: AdminState::Active,
        };
        let cluster = Cluster::new(Settings {
            name: "test".into(),
            flavor: Flavor::Impala,
            policy: PolicyName::LeastLoaded,
            idle_session_cost: 0.1,
            health: HealthSettings::default(),
            coordinators: vec![coordinator],
        });
        let owner = Arc::clone(&cluster.unwrap().coordinators[0]);
        let table = Table::new(table::Settings { capacity: 8, detached_for: Duration::from_mins(1) });
        let Handle { guid, secret } = SESSION;
        let (secret, coordinator, count) = (Some(secret), owner.id, owner.count_session());
        table.insert_session(table::NewSession { guid, secret, coordinator, count }).unwrap();
        Arc::new(table)
    }

    /// Whether the session is forgotten in spite of a connection that used this handle and is still there.
    fn is_forgotten(used: Handle) -> bool {
        let table = table();
        let mut attached = Attached::new(&table);
        attached.attach(&used);
        let now = clock::now();
        table.forget_detached(now);
        table.forget_detached(now + Duration::from_hours(1)) == 1
    }

    #[test]
    fn only_who_knows_the_secret_keeps_a_session() {
        assert!(!is_forgotten(SESSION));
        assert!(is_forgotten(Handle { secret: [3; 16], ..SESSION }));
        assert!(is_forgotten(Handle { guid: [4; 16], ..SESSION }));
    }
}
