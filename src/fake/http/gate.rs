//! Who a request is from: decided for every request anew (Impala: `THttpServer.cpp` `headersDone`).

use std::collections::BTreeMap;
use std::rc::Rc;

use data_encoding::BASE64;

use super::head::Head;
use crate::fake::coordinator::{Password, Settings};
use crate::fake::state::Caller;

/// Authenticates the requests of one connection.
pub(super) struct Gate {
    users: Option<BTreeMap<String, Password>>,
    caller: Rc<Caller>,
    /// Fields for the next reply.
    fields: Vec<String>,
}

impl Gate {
    pub(super) fn new(settings: &Settings, caller: Rc<Caller>) -> Self {
        Self { users: settings.users.clone(), caller, fields: Vec::new() }
    }

    /// The fields that the next reply is to have.
    pub(super) fn take_fields(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fields)
    }

    /// Whether a request may go on; then its connection is this user's until another request says otherwise.
    pub(super) fn admits(&mut self, head: &Head) -> bool {
        let Some(users) = &self.users else { return true };
        let user = basic(head).and_then(|(user, password)| {
            users.get(&user).is_some_and(|known| known.matches(&password)).then_some(user)
        });
        let Some(user) = user else {
            // Impala: `authentication.cc` `BasicAuth`.
            self.fields.push("WWW-Authenticate: Basic".to_owned());
            return false;
        };
        self.caller.who.borrow_mut().user = Some(user);
        true
    }
}

/// The name and the password of a Basic authorization.
fn basic(head: &Head) -> Option<(String, Vec<u8>)> {
    let token = head.last("authorization")?.strip_prefix("Basic ")?;
    let decoded = BASE64.decode(token.trim().as_bytes()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = (decoded.get(..colon)?, decoded.get(colon + 1..)?);
    Some((String::from_utf8(user.to_vec()).ok()?, password.to_vec()))
}
