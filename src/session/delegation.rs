//! Users whom the router has authenticated itself and for whom it speaks to coordinators under its own name:
//! who a principal is there, and for whom else it may speak.
//!
//! A coordinator then sees one user for all, so it cannot keep them apart. The router does: see
//! [`super::table::Table::delegated_session`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::{Delegated, Identity};

/// The longest principal that is accepted, in bytes.
const LONGEST_PRINCIPAL: usize = 1024;

/// How the principals begin that prove nobody, whatever their realm is (RFC 6111 §3.1, RFC 8062 §3).
const WELL_KNOWN: &str = "WELLKNOWN/";

/// Why a client is not accepted although its ticket is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The principal is of a realm that the listener does not accept.
    #[error("its realm is not among `realms` in [listener.kerberos]")]
    Realm,
    /// The principal is one that Kerberos keeps for itself.
    #[error(
        "it is no user's: a principal that begins with {WELL_KNOWN} has a meaning of its own, as of anonymous tickets"
    )]
    WellKnown,
    /// The principal is too long, or has characters that no user's name has.
    #[error(
        "its principal is longer than {LONGEST_PRINCIPAL} bytes, or has characters that no user's name has"
    )]
    Name,
}

/// Who may come by a listener, and who they are to coordinators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The realms whose principals are accepted.
    pub realms: BTreeSet<String>,
    /// The users of certain principals, of whatever realm.
    pub names: BTreeMap<String, String>,
    /// The users who may name another user, and whom.
    pub proxy_users: BTreeMap<String, Claims>,
}

/// Which other users somebody may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claims {
    /// Any.
    Anybody,
    /// These.
    Of(BTreeSet<String>),
}

/// Whether no user's name has this character. Kerberos prints a backslash before those that have a meaning in a
/// principal.
fn is_odd(one: char) -> bool {
    is_unseen(one) || one.is_whitespace() || one == '\\'
}

/// Whether a character cannot be seen, or changes what others look like (controls, marks of direction, what joins or
/// has no width), so that one text may look like another.
pub fn is_unseen(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(one, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl Rules {
    /// Returns the user that a principal is to coordinators: the one in `names`, else the part before the first
    /// `/` or `@`, as Impala takes it for proxy users (Impala: `impala-server.cc` `AuthorizeProxyUser`).
    ///
    /// # Errors
    /// When the principal is not accepted.
    pub fn user_of(&self, principal: &str) -> Result<Arc<str>, NotAllowed> {
        if principal.len() > LONGEST_PRINCIPAL || principal.contains(is_odd) {
            return Err(NotAllowed::Name);
        }
        if let Some(user) = self.names.get(principal) {
            return Ok(user.as_str().into());
        }
        if principal.starts_with(WELL_KNOWN) {
            return Err(NotAllowed::WellKnown);
        }
        let (name, realm) = principal.rsplit_once('@').ok_or(NotAllowed::Name)?;
        if !self.realms.contains(realm) {
            return Err(NotAllowed::Realm);
        }
        let user = name.split(['/', '@']).next().unwrap_or_default();
        if user.is_empty() { Err(NotAllowed::Name) } else { Ok(user.into()) }
    }

    /// Whether somebody may speak for a user: for itself always.
    fn allow(&self, who: &str, user: &str) -> bool {
        who == user
            || match self.proxy_users.get(who) {
                None => false,
                Some(Claims::Anybody) => true,
                Some(Claims::Of(users)) => users.contains(user),
            }
    }
}

/// A client that has proven its principal to the router.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Arc<str>,
    user: Arc<str>,
    /// The only user for whom the call under way may be, if the client has named one.
    only: Option<Arc<str>>,
    rules: Arc<Rules>,
}

impl Caller {
    /// The client with this principal.
    ///
    /// # Errors
    /// When the rules do not accept it.
    pub fn new(principal: &str, rules: &Arc<Rules>) -> Result<Self, NotAllowed> {
        let user = rules.user_of(principal)?;
        Ok(Self { principal: principal.into(), user, only: None, rules: Arc::clone(rules) })
    }

    /// Who the client is to coordinators.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The client with a call that is for this user and nobody else (over HTTP: `doAs` in the query). `None` if it
    /// may not speak for that user.
    #[must_use]
    pub fn only_for(&self, user: &str) -> Option<Self> {
        self.rules.allow(&self.user, user).then(|| Self { only: Some(user.into()), ..self.clone() })
    }

    /// The only user for whom the call may be, if it names one.
    pub fn only(&self) -> Option<&str> {
        self.only.as_deref()
    }

    /// The client as itself, or as the only user for whom the call may be.
    pub fn itself(&self) -> Delegated {
        self.acting_for(self.only().unwrap_or(&self.user))
    }

    /// The client on behalf of this user; `None` if it may not speak for that user.
    pub fn on_behalf_of(&self, user: &str) -> Option<Delegated> {
        self.may_be_for(user).then(|| self.acting_for(user))
    }

    /// Whether what belongs to `owner` is this client's: the same principal opened it, and may still speak for
    /// its user.
    pub fn owns(&self, owner: &Delegated) -> bool {
        *owner.principal == *self.principal && self.may_be_for(&owner.user)
    }

    fn may_be_for(&self, user: &str) -> bool {
        self.only().is_none_or(|only| only == user) && self.rules.allow(&self.user, user)
    }

    fn acting_for(&self, user: &str) -> Delegated {
        Delegated { principal: Arc::clone(&self.principal), user: user.into() }
    }
}

/// A client for whom the router speaks, and the user for whom its calls are made now.
#[derive(Clone, Debug)]
pub struct Acting {
    caller: Caller,
    /// Always [`Identity::Delegated`].
    identity: Identity,
}

impl Acting {
    /// The client as itself.
    pub fn new(caller: Caller) -> Self {
        let identity = Identity::Delegated(Arc::new(caller.itself()));
        Self { caller, identity }
    }

    /// Makes the client one whose calls are for this user and nobody else.
    ///
    /// # Errors
    /// The client, when it may not speak for that user.
    pub fn speak_only_for(&mut self, user: &str) -> Result<(), &Caller> {
        let Some(caller) = self.caller.only_for(user) else { return Err(&self.caller) };
        *self = Self::new(caller);
        Ok(())
    }

    /// The client.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// For whom its calls are made now.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Makes its calls from now on those of this user, if it may speak for that one.
    pub fn act_for(&mut self, owner: Arc<Delegated>) {
        if self.caller.owns(&owner) {
            self.identity = Identity::Delegated(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Arc<Rules> {
        let text = |text: &str| text.to_owned();
        Arc::new(Rules {
            realms: [text("EXAMPLE.COM")].into(),
            names: [(text("etl@OTHER.ORG"), text("etl_user"))].into(),
            proxy_users: [
                (text("hue"), Claims::Anybody),
                (text("knox"), Claims::Of([text("ann"), text("bob")].into())),
            ]
            .into(),
        })
    }

    fn caller(principal: &str) -> Caller {
        Caller::new(principal, &rules()).unwrap()
    }

    #[test]
    fn a_principal_is_its_first_part_unless_a_name_is_written_for_it() {
        for (principal, user) in [
            ("ann@EXAMPLE.COM", "ann"),
            ("hue/host.example.com@EXAMPLE.COM", "hue"),
            ("etl@OTHER.ORG", "etl_user"),
        ] {
            assert_eq!(caller(principal).user(), user);
        }
    }

    #[test]
    fn another_realm_is_not_accepted_and_no_odd_name() {
        let refused = |principal: &str| Caller::new(principal, &rules()).unwrap_err();
        for principal in ["ann@OTHER.ORG", "ann@example.com", "ann@EXAMPLE.COM@OTHER.ORG", "ann@"] {
            assert_eq!(refused(principal), NotAllowed::Realm, "{principal}");
        }
        // With an anonymous ticket that does not hide the realm.
        assert_eq!(refused("WELLKNOWN/ANONYMOUS@EXAMPLE.COM"), NotAllowed::WellKnown);
        let long = format!("{}@EXAMPLE.COM", "a".repeat(60 << 10));
        for principal in
            ["ann", "", "@EXAMPLE.COM", "/x@EXAMPLE.COM", "a\0nn@EXAMPLE.COM", "ann\\@x@EXAMPLE.COM", &long]
        {
            assert_eq!(refused(principal), NotAllowed::Name, "{principal}");
        }
        for unseen in ['\u{85}', '\u{ad}', '\u{200b}', '\u{202e}', '\u{2028}', '\u{2066}', '\u{feff}'] {
            assert_eq!(refused(&format!("ann{unseen}@EXAMPLE.COM")), NotAllowed::Name, "{unseen:?}");
        }
    }

    #[test]
    fn only_proxy_users_speak_for_others_and_only_for_those_that_they_may() {
        let speaks = |principal: &str, user: &str| caller(principal).on_behalf_of(user).is_some();
        assert!(speaks("ann@EXAMPLE.COM", "ann"));
        assert!(!speaks("ann@EXAMPLE.COM", "bob"));
        assert!(!speaks("ann@EXAMPLE.COM", "Ann"));
        assert!(speaks("hue/a@EXAMPLE.COM", "bob"));
        assert!(speaks("knox@EXAMPLE.COM", "ann") && !speaks("knox@EXAMPLE.COM", "root"));
    }

    #[test]
    fn a_call_that_names_its_user_is_for_no_other() {
        let hue = caller("hue/a@EXAMPLE.COM");
        let (by_hue, for_bob) = (hue.itself(), hue.on_behalf_of("bob").unwrap());
        assert!(hue.owns(&by_hue) && hue.owns(&for_bob));
        let only_ann = hue.only_for("ann").unwrap();
        assert_eq!(only_ann.itself(), hue.on_behalf_of("ann").unwrap());
        assert!(only_ann.owns(&only_ann.itself()) && !only_ann.owns(&by_hue) && !only_ann.owns(&for_bob));
        assert!(only_ann.on_behalf_of("bob").is_none());
        let ann = caller("ann@EXAMPLE.COM");
        assert!(ann.only_for("bob").is_none());
        assert!(ann.only_for("ann").unwrap().owns(&ann.itself()));
    }

    #[test]
    fn nobody_acts_for_a_user_for_whom_it_may_not_speak() {
        let mut acting = Acting::new(caller("ann@EXAMPLE.COM"));
        let itself = Identity::Delegated(Arc::new(caller("ann@EXAMPLE.COM").itself()));
        acting.act_for(Arc::new(caller("bob@EXAMPLE.COM").itself()));
        assert_eq!(*acting.identity(), itself);
        let mut hue = Acting::new(caller("hue/a@EXAMPLE.COM"));
        let for_ann = Arc::new(caller("hue/a@EXAMPLE.COM").on_behalf_of("ann").unwrap());
        hue.act_for(Arc::clone(&for_ann));
        assert_eq!(*hue.identity(), Identity::Delegated(for_ann));
    }

    #[test]
    fn a_session_belongs_to_the_principal_that_opened_it_and_to_no_other_of_the_same_user() {
        let ann = caller("ann@EXAMPLE.COM");
        assert!(ann.owns(&ann.itself()));
        assert!(!caller("ann/admin@EXAMPLE.COM").owns(&ann.itself()));
        assert!(!caller("bob@EXAMPLE.COM").owns(&ann.itself()));
        let hue = caller("hue/a@EXAMPLE.COM");
        let by_hue = hue.on_behalf_of("ann").unwrap();
        assert!(hue.owns(&by_hue) && !ann.owns(&by_hue) && !hue.owns(&ann.itself()));
        assert!(!caller("hue/b@EXAMPLE.COM").owns(&by_hue), "each host of it is a principal of its own");
    }
}
