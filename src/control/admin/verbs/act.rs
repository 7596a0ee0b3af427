//! What verbs do.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use serde::Serialize;
use tokio::time::timeout;

use super::not_done::NotDone;
use super::query::Query;
use super::target::Target;
use crate::clock;
use crate::cluster::Coordinator;
use crate::control::admin::json::json;
use crate::control::admin::shown::Look;
use crate::control::admin::tls::show_cluster;
use crate::control::admin::view::{LogShown, View};
use crate::control::verbs::{OfCluster, OfConnection, OfCoordinator, OfOperation, OfRouter, OfSession};
use crate::control::view::ConnectionRow;
use crate::ids::CoordinatorId;
use crate::serve::background::orders;
use crate::serve::fleet::Fleet;
use crate::wire::facts::{Guid, GuidText};

/// How long something may take that is waited for: less than a request may, so that its outcome is told.
const MOST_WAIT: Duration = Duration::from_secs(8);

/// What was done to a session or an operation.
#[derive(Debug, Serialize)]
struct Done {
    outcome: &'static str,
    session: Option<String>,
    operation: Option<String>,
    cluster: String,
    /// Where it is, or was.
    coordinator: String,
}

/// What was done to a connection.
#[derive(Debug, Serialize)]
struct Ended {
    outcome: &'static str,
    /// As it was.
    #[serde(flatten)]
    was: ConnectionRow,
}

/// Does it; the answer shows what it was done to.
///
/// # Errors
/// [`NotDone`].
pub(super) async fn carry_out(view: &View, target: &Target, query: &Query) -> Result<Response, NotDone> {
    match target {
        Target::Router(OfRouter::LogLevel) => {
            view.log.threshold.set(query.level()?)?;
            Ok(json(&LogShown::of(&view.log)))
        }
        Target::Router(verb) => {
            view.rotation.set(*verb == OfRouter::RotationOut, clock::now());
            Ok(json(&view.readiness(clock::now())))
        }
        Target::Cluster { verb, fleet } => {
            match verb {
                OfCluster::Pause => fleet.pause.begin(clock::now(), query.lasts()?),
                OfCluster::Resume => fleet.pause.end(),
            }
            Ok(show_cluster(view, fleet))
        }
        Target::Coordinator { verb, fleet, coordinator } => {
            to_coordinator(*verb, view, fleet, coordinator, query)?;
            Ok(json(&Look::new(fleet, clock::now()).show(coordinator)))
        }
        Target::Session { verb, fleet, session } => {
            let done = to_session(*verb, view, fleet, session, query);
            within(done).await.map(|done| json(&done))
        }
        Target::Connection { verb: OfConnection::Cut, connection } => {
            let was = ConnectionRow::new(connection, clock::now());
            let ending = async {
                orders::cut(&view.shared, connection).await;
                Ok(())
            };
            within(ending).await?;
            Ok(json(&Ended { outcome: "cut", was }))
        }
        Target::Operation { verb: OfOperation::Cancel, fleet, operation } => {
            let cancelled = async { Ok(orders::cancel(&view.shared, fleet, operation).await?) };
            let coordinator = fleet.name_of(within(cancelled).await?);
            let (operation, cluster) =
                (Some(GuidText(*operation).to_string()), fleet.cluster.name.to_string());
            Ok(json(&Done { outcome: "cancelled", session: None, operation, cluster, coordinator }))
        }
    }
}

async fn within<T>(doing: impl Future<Output = Result<T, NotDone>>) -> Result<T, NotDone> {
    timeout(MOST_WAIT, doing).await.unwrap_or(Err(NotDone::TimedOut(MOST_WAIT)))
}

fn to_coordinator(
    verb: OfCoordinator,
    view: &View,
    fleet: &Arc<Fleet>,
    coordinator: &Coordinator,
    query: &Query,
) -> Result<(), NotDone> {
    match verb {
        OfCoordinator::Drain => fleet.drain(coordinator, query.deadline()?),
        OfCoordinator::Resume => coordinator.resume(),
        OfCoordinator::Eject => coordinator.eject(clock::now()),
        OfCoordinator::Restore if fleet.restore(coordinator) => {}
        OfCoordinator::Restore => return Err(NotDone::NotEjected),
        OfCoordinator::Weight => coordinator.set_weight(query.weight()?),
        OfCoordinator::MoveAll => {
            orders::relocate_all(&view.shared, fleet, coordinator.id, to(fleet, query)?)?;
        }
    }
    Ok(())
}

async fn to_session(
    verb: OfSession,
    view: &View,
    fleet: &Arc<Fleet>,
    session: &Guid,
    query: &Query,
) -> Result<Done, NotDone> {
    let owner = fleet.table.session_owner(session);
    let (outcome, coordinator) = match verb {
        OfSession::Move => {
            let to = to(fleet, query)?;
            ("moved", Some(orders::relocate(&view.shared, fleet, session, to).await?))
        }
        OfSession::Close => {
            orders::close(&view.shared, fleet, session).await?;
            ("closed", owner)
        }
    };
    Ok(Done {
        outcome,
        session: Some(GuidText(*session).to_string()),
        operation: None,
        cluster: fleet.cluster.name.to_string(),
        coordinator: coordinator.map(|coordinator| fleet.name_of(coordinator)).unwrap_or_default(),
    })
}

/// The coordinator that something is to go to.
fn to(fleet: &Fleet, query: &Query) -> Result<Option<CoordinatorId>, NotDone> {
    let named = |name: &str| {
        let named = fleet.cluster.named(name).ok_or_else(|| NotDone::NowhereTo(name.to_owned()))?;
        Ok(named.id)
    };
    query.to().map(named).transpose()
}
