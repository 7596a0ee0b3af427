//! The sessions that a connection is attached to. A session that no connection is attached to any more may be
//! forgotten or closed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ids::CoordinatorId;
use crate::session::activity::Activity;
use crate::session::table::{Origin, Table};
use crate::wire::facts::{Guid, Handle};

/// When a connection has this many sessions, it drops those that are closed, and again each time their number
/// has doubled.
const LOOK_AT: usize = 64;
/// The most sessions kept here that ended with their links. They are remembered for calls that still name
/// them.
const MOST_LOST: usize = 256;

/// The sessions that a connection is attached to: it has used them and is still open.
pub(crate) struct Attached {
    table: Arc<Table>,
    sessions: HashMap<Guid, Arc<Activity>>,
    origin: Arc<Origin>,
    look_at: usize,
    /// The operation that was used last, with its session: a client often polls and fetches from one
    /// operation many times in a row.
    operation: Option<(Handle, Option<Arc<Activity>>)>,
}

impl Attached {
    /// Returns the sessions that are on this coordinator.
    pub(crate) fn on(&self, coordinator: CoordinatorId) -> Vec<Guid> {
        let mut found = self.sessions();
        found.retain(|session| self.table.session_owner(session) == Some(coordinator));
        found
    }

    /// Creates an empty set for a new connection.
    pub(crate) fn new(table: &Arc<Table>, origin: Origin) -> Self {
        let (table, origin) = (Arc::clone(table), Arc::new(origin));
        Self { table, sessions: HashMap::new(), origin, look_at: LOOK_AT, operation: None }
    }

    /// Returns where the connection came from.
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Returns all sessions that the connection is attached to, sorted.
    pub(crate) fn sessions(&self) -> Vec<Guid> {
        let mut sessions: Vec<Guid> = self.sessions.keys().copied().collect();
        // Sorted, so that the order does not depend on chance.
        sessions.sort_unstable();
        sessions
    }

    /// Attaches the connection to a session, if the session is known and this is its handle. The secret is
    /// compared, too: a client that knows only the guid must not keep a session of another client from being
    /// idle or forgotten.
    pub(crate) fn attach(&mut self, session: &Handle) -> Option<Arc<Activity>> {
        match self.sessions.get(&session.guid) {
            Some(activity) => Some(Arc::clone(activity)),
            None if self.table.is_session(session) => self.attach_to(session.guid),
            None => None,
        }
    }

    /// Attaches the connection to the session of an operation, on the same condition.
    pub(crate) fn attach_operation(&mut self, operation: &Handle) -> Option<Arc<Activity>> {
        if let Some((last, activity)) = &self.operation
            && last == operation
        {
            return activity.clone();
        }
        let session = self.table.session_of(operation);
        let activity = session.and_then(|session| match self.sessions.get(&session) {
            Some(activity) => Some(Arc::clone(activity)),
            None => self.attach_to(session),
        });
        self.operation = Some((*operation, activity.clone()));
        activity
    }

    /// Detaches the connection from a session that has changed; another session may get the same guid.
    pub(crate) fn forget(&mut self, session: &Guid) {
        if self.sessions.remove(session).is_some() {
            self.table.detach(session);
        }
        self.operation = None;
    }

    fn attach_to(&mut self, session: Guid) -> Option<Arc<Activity>> {
        let activity = self.table.attach(&session)?;
        self.table.note_origin(&session, &self.origin);
        self.sessions.insert(session, Arc::clone(&activity));
        if self.sessions.len() >= self.look_at {
            let mut lost = 0;
            self.sessions.retain(|session, activity| {
                lost += usize::from(activity.lost().is_some());
                match activity.lost() {
                    Some(_) => lost <= MOST_LOST,
                    None => self.table.session_owner(session).is_some(),
                }
            });
            self.look_at = LOOK_AT.max(self.sessions.len() * 2);
        }
        Some(activity)
    }
}

impl Drop for Attached {
    #[expect(clippy::iter_over_hash_type, reason = "the order of guards that end says nothing")]
    fn drop(&mut self) {
        for session in self.sessions.keys() {
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
    use crate::ids::{Access, CoordinatorName};
    use crate::session::idle::IdleTimeout;
    use crate::session::table;

    const SESSION: Handle = Handle { guid: [1; 16], secret: [2; 16] };
    const OPERATION: Handle = Handle { guid: [5; 16], secret: [2; 16] };

    fn table() -> Arc<Table> {
        let coordinator = CoordinatorSettings {
            name: CoordinatorName("c1".into()),
            host: "localhost".to_owned(),
            ports: Flavor::Impala.default_ports(),
            tls: None,
            weight: 1,
            state: AdminState::Active,
        };
        let cluster = Cluster::new(Settings {
            name: "test".into(),
            flavor: Flavor::Impala,
            sessions_outlive_connections: true,
            policy: PolicyName::LeastLoaded,
            idle_session_cost: 0.1,
            health: HealthSettings::default(),
            coordinators: vec![coordinator],
        });
        let owner = Arc::clone(&cluster.unwrap().coordinators()[0]);
        let table = Table::new(table::Settings { capacity: 8, detached_for: Duration::from_mins(1) });
        let Handle { guid, secret } = SESSION;
        let (secret, coordinator, count) = (Some(secret), owner.id, owner.count_session());
        table
            .insert_session(table::NewSession {
                guid,
                secret,
                coordinator,
                count,
                access: Access::ANONYMOUS,
                tenancy: None,
                idle_timeout: IdleTimeout::default(),
                now: clock::now(),
            })
            .unwrap();
        table.insert_operation(table::NewOperation {
            kind: table::OperationKind::Statement,
            now: clock::now(),
            guid: OPERATION.guid,
            secret: Some(OPERATION.secret),
            coordinator,
            session: guid,
            has_result_set: true,
            running: None,
            open: table::OpenOperations::default().count(),
            counted: owner.count_operation(),
        });
        Arc::new(table)
    }

    /// Returns whether the session is forgotten although a connection ran `uses` and is still open.
    fn is_forgotten(uses: impl FnOnce(&mut Attached)) -> bool {
        let table = table();
        let mut attached =
            Attached::new(&table, Origin { client: [127, 0, 0, 1].into(), listener: "test".into() });
        uses(&mut attached);
        let now = clock::now();
        table.forget_detached(now);
        table.forget_detached(now + Duration::from_hours(1)) == 1
    }

    #[test]
    fn only_a_connection_that_knows_the_secret_keeps_a_session() {
        assert!(!is_forgotten(|attached| drop(attached.attach(&SESSION))));
        assert!(is_forgotten(|attached| drop(attached.attach(&Handle { secret: [3; 16], ..SESSION }))));
        assert!(is_forgotten(|attached| drop(attached.attach(&Handle { guid: [4; 16], ..SESSION }))));
    }

    #[test]
    fn a_connection_that_uses_only_an_operation_keeps_its_session() {
        assert!(!is_forgotten(|attached| drop(attached.attach_operation(&OPERATION))));
        let guessed = Handle { secret: [3; 16], ..OPERATION };
        assert!(is_forgotten(|attached| drop(attached.attach_operation(&guessed))));
        assert!(!is_forgotten(|attached| {
            drop(attached.attach_operation(&guessed));
            drop(attached.attach_operation(&OPERATION));
        }));
    }
}
