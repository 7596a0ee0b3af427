//! The credentials of connected clients, for calls that the router makes about their sessions itself. The
//! keyring does not keep them alive: they are zeroed when the client's connection ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::ids::ConnId;
use crate::wire::sasl::Credentials;

/// Credentials by user and connection.
type Keys = BTreeMap<(Arc<str>, ConnId), Weak<Credentials>>;

/// Finds credentials with which the router can log in as a user.
#[derive(Debug, Default)]
pub(crate) struct Keyring(Arc<Mutex<Keys>>);

/// Keeps one connection's credentials in the keyring until this is dropped.
#[derive(Debug)]
pub(crate) struct Key {
    keys: Arc<Mutex<Keys>>,
    owner: (Arc<str>, ConnId),
}

impl Drop for Key {
    fn drop(&mut self) {
        drop(self.keys.lock().remove(&self.owner));
    }
}

impl Keyring {
    /// Adds the credentials of a connection, after a coordinator has accepted them.
    pub(crate) fn add(&self, user: &Arc<str>, conn: ConnId, credentials: &Arc<Credentials>) -> Key {
        let owner = (Arc::clone(user), conn);
        drop(self.0.lock().insert(owner.clone(), Arc::downgrade(credentials)));
        Key { keys: Arc::clone(&self.0), owner }
    }

    /// Returns the credentials of the user's latest connection, if one is open.
    pub(crate) fn find(&self, user: &Arc<str>) -> Option<Arc<Credentials>> {
        let of_user = (Arc::clone(user), ConnId(0))..=(Arc::clone(user), ConnId(u64::MAX));
        self.0.lock().range(of_user).rev().find_map(|(_, credentials)| credentials.upgrade())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Family;
    use crate::wire::sasl::{Message, Status};

    fn credentials(user: &str) -> Arc<Credentials> {
        let payload = format!("\0{user}\0secret");
        let message = Message { status: Status::Ok, payload: payload.as_bytes() };
        Arc::new(Credentials::parse(message, Family::Impala).unwrap())
    }

    #[test]
    fn credentials_are_found_while_a_connection_of_the_user_is_open() {
        let (ring, ann, bob) = (Keyring::default(), Arc::from("ann"), Arc::from("bob"));
        let (first, second) = (credentials("ann"), credentials("ann"));
        let keys = (ring.add(&ann, ConnId(1), &first), ring.add(&ann, ConnId(2), &second));
        assert!(ring.find(&bob).is_none(), "only the user's own are found");
        assert!(Arc::ptr_eq(&ring.find(&ann).unwrap(), &second), "the latest");
        drop(keys.1);
        assert!(Arc::ptr_eq(&ring.find(&ann).unwrap(), &first));
        // They are zeroed when their connection ends, even though the keyring still lists them.
        drop(first);
        assert!(ring.find(&ann).is_none());
    }
}
