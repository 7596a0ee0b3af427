//! Impala's page of sessions, which names the user of each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};

/// In whose name the sessions of a coordinator were opened.
#[derive(Debug, Default)]
pub struct DelegatedUsers(HashMap<Box<str>, Option<Box<str>>>);

impl DelegatedUsers {
    /// The user of the session with this printed id (`delegated_user`). `None` if the page does not show the session
    /// as an open one, or shows nobody for it.
    pub fn of(&self, session: &str) -> Option<&str> {
        self.0.get(session)?.as_deref()
    }

    /// Names one.
    #[cfg(test)]
    pub(crate) fn naming(session: &str, user: &str) -> Self {
        Self([(session.into(), Some(user.into()))].into())
    }

    pub(super) fn read(page: &Map<String, Value>) -> Self {
        let mut users = HashMap::new();
        for session in page.get("sessions").and_then(Value::as_array).into_iter().flatten() {
            let Some(id) = session.get("session_id").and_then(Value::as_str) else { continue };
            match users.entry(id.into()) {
                Entry::Vacant(place) => {
                    place.insert(user(session));
                }
                // There cannot be two of one id; then neither is believed.
                Entry::Occupied(mut place) => *place.get_mut() = None,
            }
        }
        Self(users)
    }
}

fn user(session: &Value) -> Option<Box<str>> {
    let says = |key: &str| session.get(key).and_then(Value::as_bool);
    if says("closed") != Some(false) || says("expired") == Some(true) {
        return None;
    }
    let user = session.get("delegated_user")?.as_str()?;
    (!user.is_empty()).then(|| user.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(sessions: &Value) -> Option<String> {
        let Value::Object(page) = json!({ "sessions": sessions, "num_sessions": 2 }) else { unreachable!() };
        DelegatedUsers::read(&page).of("a:b").map(str::to_owned)
    }

    #[test]
    fn the_user_of_an_open_session_is_read_and_of_no_other() {
        let of = |id: &str, user: &str, closed: bool| {
            json!({ "session_id": id, "user": "hs2router/host@R", "delegated_user": user, "closed": closed,
                "expired": false })
        };
        assert_eq!(found(&json!([of("b:a", "bob", false), of("a:b", "ann", false)])).as_deref(), Some("ann"));
        for sessions in [
            json!([]),
            json!([of("b:a", "ann", false)]),
            json!([of("a:b", "ann", true)]),
            json!([of("a:b", "", false)]),
            // Two of one id cannot be; then none is believed.
            json!([of("a:b", "ann", false), of("a:b", "bob", false)]),
            json!([{ "session_id": "a:b", "user": "ann", "closed": false }]),
            json!([{ "session_id": "a:b", "delegated_user": "ann" }]),
            json!([{ "session_id": "a:b", "delegated_user": 7, "closed": false }]),
            json!({ "a:b": "ann" }),
        ] {
            assert_eq!(found(&sessions), None, "{sessions}");
        }
    }
}
