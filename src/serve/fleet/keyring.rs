//! What connected clients prove their users with, for calls that the router makes about their sessions itself.
//! The keyring does not keep it alive: it is zeroed when the client's connection ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::ids::{ConnId, Identity};
use crate::serve::link::login::Login;
use crate::wire::http::request::CallHead;
use crate::wire::sasl::Credentials;

/// A login that somebody else keeps.
#[derive(Debug)]
enum Kept {
    Plain(Weak<Credentials>),
    EachTime(Weak<CallHead>),
}

impl Kept {
    /// Returns what stands for a login; `None` if it proves nobody.
    fn of(login: &Login) -> Option<Self> {
        match login {
            Login::Nobody | Login::Router(_) => None,
            Login::Plain(credentials) => Some(Self::Plain(Arc::downgrade(credentials))),
            Login::EachTime(head) => Some(Self::EachTime(Arc::downgrade(head))),
        }
    }

    /// Returns the login while its connection keeps it.
    fn login(&self) -> Option<Login> {
        match self {
            Self::Plain(credentials) => credentials.upgrade().map(Login::Plain),
            Self::EachTime(head) => head.upgrade().map(Login::EachTime),
        }
    }
}

/// Logins by identity and connection.
type Keys = BTreeMap<(Identity, ConnId), Kept>;

/// Finds logins with which the router can make calls for an identity.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    keys: Arc<Mutex<Keys>>,
    /// How the router logs in as itself, if it does.
    own: Option<Login>,
}

/// Keeps one connection's login in the keyring until this is dropped.
#[derive(Debug)]
pub(crate) struct Key {
    keys: Arc<Mutex<Keys>>,
    owner: (Identity, ConnId),
}

impl Drop for Key {
    fn drop(&mut self) {
        drop(self.keys.lock().remove(&self.owner));
    }
}

impl Keyring {
    /// An empty one, with the login by which the router speaks for users that it has authenticated itself.
    pub(crate) fn new(own: Option<Login>) -> Self {
        Self { keys: Arc::default(), own }
    }

    /// Adds the login of a connection, after a coordinator has accepted it. Returns `None` if it proves
    /// nobody.
    pub(crate) fn add(&self, identity: &Identity, conn: ConnId, login: &Login) -> Option<Key> {
        let (owner, kept) = ((identity.clone(), conn), Kept::of(login)?);
        drop(self.keys.lock().insert(owner.clone(), kept));
        Some(Key { keys: Arc::clone(&self.keys), owner })
    }

    /// Returns the login for calls that the router makes for an identity: that of its latest connection.
    /// Returns `None` if the identity needs one and no connection of it is open.
    pub(crate) fn login_of(&self, identity: &Identity) -> Option<Login> {
        match identity {
            Identity::Anonymous => Some(Login::Nobody),
            Identity::Unread => None,
            Identity::Router | Identity::Delegated(_) => self.own.clone(),
            Identity::Plain(_) | Identity::Credential(_) => {
                let of_all = (identity.clone(), ConnId(0))..=(identity.clone(), ConnId(u64::MAX));
                self.keys.lock().range(of_all).rev().find_map(|(_, kept)| kept.login())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::Request;

    use super::*;
    use crate::ids::Family;
    use crate::wire::http::request::{Asked, CredentialKey, Peer, judge};
    use crate::wire::sasl::{Message, Status};

    fn credentials(user: &str) -> Login {
        let payload = format!("\0{user}\0secret");
        let message = Message { status: Status::Ok, payload: payload.as_bytes() };
        Login::Plain(Arc::new(Credentials::parse(message, Family::Impala).unwrap()))
    }

    fn head(authorization: &str) -> Login {
        let request = Request::post("/cliservice").header("authorization", authorization);
        let (head, ()) = request.body(()).unwrap().into_parts();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let peer = Peer { address, is_trusted_proxy: false, forbidden: &[] };
        let Ok(Asked::Call(head)) = judge(&head, peer) else { panic!("no call") };
        Login::EachTime(head)
    }

    fn is_same(one: Option<Login>, other: &Login) -> bool {
        match (one, other) {
            (Some(Login::Plain(one)), Login::Plain(other)) => Arc::ptr_eq(&one, other),
            (Some(Login::EachTime(one)), Login::EachTime(other)) => Arc::ptr_eq(&one, other),
            _ => false,
        }
    }

    fn credential(login: &Login) -> Identity {
        let Login::EachTime(head) = login else { panic!("no head") };
        Identity::Credential(head.credential(&CredentialKey::new(&[7; 32])).unwrap().into())
    }

    #[test]
    fn a_login_is_found_while_a_connection_of_its_identity_is_open() {
        let (plain, over_http) = (Identity::Plain("ann".into()), head("Basic YW5uOmE="));
        for (identity, first, second) in [
            (plain, credentials("ann"), credentials("ann")),
            (credential(&over_http), over_http, head("Basic YW5uOmE=")),
        ] {
            let ring = Keyring::default();
            let [one, two] = [(1, &first), (2, &second)]
                .map(|(conn, login)| ring.add(&identity, ConnId(conn), login).unwrap());
            for other in [Identity::Plain("bob".into()), credential(&head("Basic Ym9iOmI="))] {
                assert!(ring.login_of(&other).is_none(), "only the user's own are found");
            }
            assert!(is_same(ring.login_of(&identity), &second), "the latest");
            drop(two);
            assert!(is_same(ring.login_of(&identity), &first));
            // It is zeroed when its connection ends, even though the keyring still lists it.
            drop(first);
            assert!(ring.login_of(&identity).is_none());
            drop(one);
        }
    }

    #[test]
    fn nobody_needs_no_login_and_nobody_speaks_for_whom_is_passed_on_unread() {
        let ring = Keyring::default();
        assert!(matches!(ring.login_of(&Identity::Anonymous), Some(Login::Nobody)));
        assert!(ring.login_of(&Identity::Unread).is_none());
        assert!(ring.add(&Identity::Anonymous, ConnId(1), &Login::Nobody).is_none());
    }
}
