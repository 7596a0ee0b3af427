//! What a coordinator that is left still has.

use std::collections::HashMap;

use super::mobile::{Cause, Pinned};
use super::session::Session;
use super::store::Table;
use crate::ids::{Access, CoordinatorId, Identity};
use crate::wire::facts::{Guid, Handle};

/// A session that a drain waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// What its client knows it by.
    pub session: Guid,
    /// Its operations that were not closed.
    pub open_operations: usize,
    /// What keeps it; none if it only has not been moved yet.
    pub pinned: Option<Pinned>,
}

/// An operation, as a call names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// One of HS2.
    Operation(Handle),
    /// One of Beeswax: the guid that its query id prints.
    Query(Guid),
}

impl Named {
    /// What it is known by in the table.
    pub fn guid(&self) -> Guid {
        match self {
            Self::Operation(handle) => handle.guid,
            Self::Query(guid) => *guid,
        }
    }
}

/// The open operations of one identity on a coordinator, all of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOf {
    /// Whose sessions they were opened in.
    pub access: Access,
    /// One or more.
    pub operations: Vec<Named>,
}

/// An open operation, with what is needed to call its coordinator for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Where it is.
    pub coordinator: CoordinatorId,
    /// Whose session it was opened in.
    pub access: Access,
    /// How a call names it.
    pub named: Named,
}

/// Why the router cannot call a coordinator for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNamed {
    /// It was closed, or is not known.
    #[error("it is not open any more")]
    NotOpen,
    /// It was located.
    #[error("it was located, so the router does not know whose it is: its client can cancel it")]
    Nobodys,
    /// Its calls only pass by, so nobody has a login for it.
    #[error(
        "its client's connection is passed on, so the router has no login for it: its client can cancel it"
    )]
    Unread,
}

impl Table {
    /// An open operation, as a call of the router's own would name it.
    ///
    /// # Errors
    /// [`NotNamed`].
    pub fn running(&self, guid: &Guid) -> Result<Running, NotNamed> {
        let (coordinator, secret, session) = {
            let operation = self.operations.get(guid).ok_or(NotNamed::NotOpen)?;
            let open = operation.open.as_ref().ok_or(NotNamed::NotOpen)?;
            (operation.coordinator, operation.secret, open.session.ok_or(NotNamed::Nobodys)?)
        };
        // No lock is held across both maps.
        let session = self.sessions.get(&session).ok_or(NotNamed::NotOpen)?;
        if session.is_of(&Identity::Unread) {
            return Err(NotNamed::Unread);
        }
        let named =
            secret.map_or(Named::Query(*guid), |secret| Named::Operation(Handle { guid: *guid, secret }));
        Ok(Running { coordinator, access: session.usage.access.on_links(), named })
    }

    /// The operations that are open in the sessions on a coordinator. Those that were located are not among
    /// them, because nobody knows whose they are, nor those whose calls only pass by, because nobody has a
    /// login for them.
    #[expect(clippy::disallowed_methods, reason = "sorted before anybody sees the order")]
    pub fn open_on(&self, coordinator: CoordinatorId) -> Vec<OpenOf> {
        let mut listed = Vec::new();
        let is_there =
            |session: &Session| session.coordinator == coordinator && !session.is_of(&Identity::Unread);
        for session in self.sessions.iter().filter(|session| is_there(session)) {
            let usage = &session.usage;
            listed.extend(usage.operations.iter().map(|guid| (*guid, usage.access.on_links())));
        }
        listed.sort_unstable_by_key(|(guid, _)| *guid);
        // No lock is held across both maps: what was closed meanwhile is left out here.
        let (mut all, mut positions) = (Vec::<OpenOf>::new(), HashMap::new());
        for (guid, access) in listed {
            let Some(operation) = self.operations.get(&guid).filter(|operation| operation.open.is_some())
            else {
                continue;
            };
            let secret = operation.secret;
            let named = secret.map_or(Named::Query(guid), |secret| Named::Operation(Handle { guid, secret }));
            let position = *positions.entry((access.clone(), secret.is_some())).or_insert_with(|| {
                all.push(OpenOf { access, operations: Vec::new() });
                all.len() - 1
            });
            if let Some(of) = all.get_mut(position) {
                of.operations.push(named);
            }
        }
        all
    }

    /// The sessions on a coordinator, `most` of them, those with open operations first.
    #[expect(clippy::disallowed_methods, reason = "sorted before anybody sees the order")]
    pub fn remaining(&self, coordinator: CoordinatorId, cause: Cause, most: usize) -> Vec<Remaining> {
        let mut remaining = Vec::new();
        let is_there =
            |session: &Session| session.coordinator == coordinator && session.usage.life.is_counted();
        for session in self.sessions.iter().filter(|session| is_there(session)) {
            let open_operations = session.usage.operations.len();
            let pinned = session.may_leave(cause).err();
            remaining.push(Remaining { session: *session.key(), open_operations, pinned });
        }
        remaining.sort_unstable_by_key(|one| (std::cmp::Reverse(one.open_operations), one.session));
        remaining.truncate(most);
        remaining
    }
}
