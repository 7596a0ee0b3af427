//! Who is behind a session or a connection.

use crate::ids::{Access, Identity, Proof};

/// Who is behind a session or a connection.
#[derive(Clone, Copy, Default)]
pub(super) struct User<'a> {
    /// Whoever has logged in; none without a login, or where only the coordinator knows.
    pub(super) name: Option<&'a str>,
    /// In whose name they act: HTTP's `doAs`, or the user that a principal of Kerberos stands for or names.
    pub(super) acts_as: Option<&'a str>,
}

impl<'a> User<'a> {
    pub(super) fn of(access: &'a Access) -> Self {
        match &access.identity {
            Identity::Anonymous | Identity::Router | Identity::Unread => Self::default(),
            Identity::Plain(name) => Self { name: Some(name), acts_as: None },
            Identity::Delegated(delegated) => {
                Self { name: Some(&delegated.principal), acts_as: Some(&delegated.user) }
            }
            Identity::Credential(credential) => Self {
                name: match &credential.proof {
                    Proof::Named(name) => Some(name),
                    Proof::Lasting(_) | Proof::Ticket(_) | Proof::Router => None,
                },
                acts_as: credential.do_as.as_deref(),
            },
        }
    }
}
