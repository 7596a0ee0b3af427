//! The page of sessions on the web port (Impala: `impala-http-handler.cc` `SessionsHandler`).

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Session, State};
use crate::fake::ids::Id;
use crate::ids::Service;

impl State {
    /// All sessions.
    pub(in crate::fake) fn sessions_page(&self) -> Value {
        self.session_pages.fetch_add(1, Ordering::Relaxed);
        let tables = self.tables();
        let sessions: Vec<_> = tables.sessions.iter().map(|(id, session)| session.on_page(*id)).collect();
        json!({ "num_sessions": sessions.len(), "sessions": sessions })
    }
}

impl Session {
    fn on_page(&self, id: Id) -> Value {
        json!({
            "type": if self.service == Service::Beeswax { "BEESWAX" } else { "HIVESERVER2" },
            "user": self.connected_user,
            "delegated_user": self.doas_user.as_deref().unwrap_or_default(),
            "session_id": id.to_string(),
            "default_database": self.database,
            "expired": self.idleness.is_over(),
            "closed": false,
        })
    }
}
