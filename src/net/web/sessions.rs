//! Impala's page of sessions, which names the user of each.

use serde_json::{Map, Value};

/// The user whom the page `/sessions?json` names for the session with this printed id (`delegated_user`). `None` if
/// it does not show the session as an open one, or shows nobody for it.
pub(super) fn find(page: &Map<String, Value>, session: &str) -> Option<String> {
    let sessions = page.get("sessions")?.as_array()?;
    let mut of_it =
        sessions.iter().filter(|one| one.get("session_id").and_then(Value::as_str) == Some(session));
    let (one, None) = (of_it.next()?, of_it.next()) else { return None };
    let says = |key: &str| one.get(key).and_then(Value::as_bool);
    if says("closed") != Some(false) || says("expired") == Some(true) {
        return None;
    }
    let user = one.get("delegated_user")?.as_str()?;
    (!user.is_empty()).then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(sessions: &Value) -> Option<String> {
        let Value::Object(page) = json!({ "sessions": sessions, "num_sessions": 2 }) else { unreachable!() };
        find(&page, "a:b")
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
