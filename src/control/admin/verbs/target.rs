//! What a verb is about, by the names in its path.

use std::sync::Arc;

use super::not_done::NotDone;
use crate::cluster::Coordinator;
use crate::control::admin::view::View;
use crate::control::verbs::{OfCluster, OfConnection, OfCoordinator, OfOperation, OfRouter, OfSession, Verb};
use crate::ids::ConnId;
use crate::serve::connections::Listed;
use crate::serve::fleet::Fleet;
use crate::wire::facts::{Guid, GuidText};

/// What something is done to, and what.
pub(super) enum Target {
    Router(OfRouter),
    Cluster { verb: OfCluster, fleet: Arc<Fleet> },
    Coordinator { verb: OfCoordinator, fleet: Arc<Fleet>, coordinator: Arc<Coordinator> },
    Session { verb: OfSession, fleet: Arc<Fleet>, session: Guid },
    Connection { verb: OfConnection, connection: Arc<Listed> },
    Operation { verb: OfOperation, fleet: Arc<Fleet>, operation: Guid },
}

/// The names of a target, for the log.
#[derive(Default)]
pub(super) struct Names {
    pub(super) cluster: Option<String>,
    pub(super) coordinator: Option<String>,
    pub(super) session: Option<String>,
    pub(super) connection: Option<String>,
    pub(super) operation: Option<String>,
}

impl Target {
    /// # Errors
    /// [`NotDone`], when there is nothing of that name, or there are several.
    pub(super) fn find(verb: Verb, view: &View, names: &[String]) -> Result<Self, NotDone> {
        match verb {
            Verb::Router(verb) => Ok(Self::Router(verb)),
            Verb::Cluster(verb) => {
                let is_it = |fleet: &Fleet, name: &str| (*fleet.cluster.name == *name).then_some(());
                let (fleet, ()) = one_of(find(&view.fleets, names, is_it), "cluster", "status")?;
                Ok(Self::Cluster { verb, fleet })
            }
            Verb::Coordinator(verb) => {
                let found = find(&view.fleets, names, |fleet, name| fleet.cluster.named(name));
                let (fleet, coordinator) = one_of(found, "coordinator", "status")?;
                Ok(Self::Coordinator { verb, fleet, coordinator })
            }
            Verb::Session(verb) => {
                let known = |fleet: &Fleet, name: &str| {
                    let session = GuidText::read(name)?;
                    fleet.table.session_owner(&session).map(|_| session)
                };
                let (fleet, session) = one_of(find(&view.fleets, names, known), "session", "sessions")?;
                Ok(Self::Session { verb, fleet, session })
            }
            Verb::Connection(verb) => {
                let id = names.first().and_then(|name| ConnId::read(name));
                let connection = id.and_then(|id| view.shared.connections.find(id));
                let connection = connection.ok_or(NotDone::Unknown("connection", "connections"))?;
                Ok(Self::Connection { verb, connection })
            }
            Verb::Operation(verb) => {
                let known = |fleet: &Fleet, name: &str| {
                    let operation = GuidText::read(name)?;
                    fleet.table.operation_owner(&operation).map(|_| operation)
                };
                let found = find(&view.fleets, names, known);
                let (fleet, operation) = one_of(found, "operation", "operations")?;
                Ok(Self::Operation { verb, fleet, operation })
            }
        }
    }

    /// What it is called.
    pub(super) fn names(&self) -> Names {
        let of = |fleet: &Fleet| Names { cluster: Some(fleet.cluster.name.to_string()), ..Names::default() };
        match self {
            Self::Router(_) => Names::default(),
            Self::Cluster { fleet, .. } => of(fleet),
            Self::Coordinator { fleet, coordinator, .. } => {
                Names { coordinator: Some(coordinator.name.to_string()), ..of(fleet) }
            }
            Self::Session { fleet, session, .. } => {
                Names { session: Some(GuidText(*session).to_string()), ..of(fleet) }
            }
            Self::Connection { connection, .. } => Names {
                cluster: Some(connection.known().cluster.to_string()),
                connection: Some(connection.id.to_string()),
                ..Names::default()
            },
            Self::Operation { fleet, operation, .. } => {
                Names { operation: Some(GuidText(*operation).to_string()), ..of(fleet) }
            }
        }
    }
}

/// What has this name, in one cluster or in all.
fn find<T>(
    fleets: &[Arc<Fleet>],
    names: &[String],
    by_name: impl Fn(&Fleet, &str) -> Option<T>,
) -> Vec<(Arc<Fleet>, T)> {
    let (cluster, name) = match names {
        [name] => (None, name),
        [cluster, name] => (Some(cluster), name),
        _ => return Vec::new(),
    };
    let asked = |fleet: &&Arc<Fleet>| cluster.is_none_or(|cluster| *fleet.cluster.name == **cluster);
    let of_name = |fleet: &Arc<Fleet>| Some((Arc::clone(fleet), by_name(fleet, name)?));
    fleets.iter().filter(asked).filter_map(of_name).collect()
}

fn one_of<T>(mut found: Vec<T>, what: &'static str, list: &'static str) -> Result<T, NotDone> {
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(NotDone::Several(what)),
        (None, _) => Err(NotDone::Unknown(what, list)),
    }
}
