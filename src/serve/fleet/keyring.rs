//! The credentials of clients that are there, for calls that the router makes about their sessions by itself. Nothing here
//! keeps them: what ends with its client's connection is zeroed then.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::ids::ConnId;
use crate::wire::sasl::Credentials;

/// By user and connection.
type Keys = BTreeMap<(Arc<str>, ConnId), Weak<Credentials>>;

/// Who could log in again.
#[derive(Debug, Default)]
pub(crate) struct Keyring(Arc<Mutex<Keys>>);

/// Credentials that can be found as long as this lives.
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
    /// A coordinator has accepted these of a connection.
    pub(crate) fn add(&self, user: &Arc<str>, conn: ConnId, credentials: &Arc<Credentials>) -> Key {
        let owner = (Arc::clone(user), conn);
        drop(self.0.lock().insert(owner.clone(), Arc::downgrade(credentials)));
        Key { keys: Arc::clone(&self.0), owner }
    }

    /// Those of the user's latest connection.
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
    fn credentials_are_found_as_long_as_a_connection_of_the_user_is_there() {
        let (ring, ann, bob) = (Keyring::default(), Arc::from("ann"), Arc::from("bob"));
        let (first, second) = (credentials("ann"), credentials("ann"));
        let keys = (ring.add(&ann, ConnId(1), &first), ring.add(&ann, ConnId(2), &second));
        assert!(ring.find(&bob).is_none(), "another's are nobody's");
        assert!(Arc::ptr_eq(&ring.find(&ann).unwrap(), &second), "the latest");
        drop(keys.1);
        assert!(Arc::ptr_eq(&ring.find(&ann).unwrap(), &first));
        // They are zeroed with their connection, whatever the ring knows.
        drop(first);
        assert!(ring.find(&ann).is_none());
    }
}
