//! What a verb is about, by the names in its path.

use std::sync::Arc;

use super::not_done::NotDone;
use crate::cluster::Coordinator;
use crate::control::admin::view::View;
use crate::control::verbs::{OfCoordinator, OfRouter, Verb};
use crate::serve::fleet::Fleet;

/// What something is done to, and what.
pub(super) enum Target {
    Router(OfRouter),
    Coordinator { verb: OfCoordinator, fleet: Arc<Fleet>, coordinator: Arc<Coordinator> },
}

impl Target {
    /// # Errors
    /// [`NotDone`], when there is nothing of that name, or there are several.
    pub(super) fn find(verb: Verb, view: &View, names: &[String]) -> Result<Self, NotDone> {
        match verb {
            Verb::Router(verb) => Ok(Self::Router(verb)),
            Verb::Coordinator(verb) => {
                let found = find(&view.fleets, names, |fleet, name| fleet.cluster.named(name));
                let (fleet, coordinator) = one_of(found, "coordinator", "status")?;
                Ok(Self::Coordinator { verb, fleet, coordinator })
            }
        }
    }

    /// Its cluster and its coordinator, for the log.
    pub(super) fn names(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Router(_) => (None, None),
            Self::Coordinator { fleet, coordinator, .. } => {
                (Some(&fleet.cluster.name), Some(&coordinator.name.0))
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
