//! Judges the answers that a client gets: each is one that a coordinator may give, or a refusal for which
//! there is a reason.

use hs2router::idl::t_c_l_i_service as cli;

use super::super::talk::NoResult;
use super::{GONE, NO_ROOM, NOT_YOURS, ROUTERS_WORDS, SHUTTING_DOWN, SimClient, guid};

impl SimClient {
    /// What came of a call, and whether that may be. An error ends the connection; `None` is a call that
    /// failed.
    pub(super) fn judge<T>(
        &self,
        method: &str,
        result: Result<(cli::TStatus, T), NoResult>,
        session: Option<&cli::TSessionHandle>,
    ) -> Result<Option<T>, ()> {
        let (status, value) = match result {
            Ok(answer) => answer,
            Err(NoResult::Status { status: 503, text }) => {
                self.say(&format!("{method}: 503 {}", text.trim()));
                self.judge_refusal(method, &text, session);
                return Ok(None);
            }
            Err(no_result) => {
                self.say(&format!("{method}: {no_result}"));
                self.judge_no_result(method, &no_result);
                return Err(());
            }
        };
        if status.status_code != cli::TStatusCode::ERROR_STATUS {
            self.say(&format!("{method}: done"));
            // Where links are not shared, one that was made in a place that is kept for cancels and closes is
            // closed with them.
            let keeps_link = self.world.setup.shares
                || self.world.setup.threads.is_none()
                || !matches!(method, "CancelOperation" | "CloseOperation");
            self.attached.borrow_mut().extend(session.map(guid).filter(|_| keeps_link));
            return Ok(Some(value));
        }
        let message = status.error_message.unwrap_or_default();
        self.say(&format!("{method}: {}", message.trim()));
        self.judge_refusal(method, &message, session);
        Ok(None)
    }

    pub(crate) fn judge_no_result(&self, method: &str, no_result: &NoResult) {
        match no_result {
            NoResult::Garbled(_) | NoResult::Hung | NoResult::Status { .. } => {
                self.violation(&format!("{method}: {no_result}"));
            }
            _ if self.world.setup.is_calm() => {
                self.violation(&format!("{method} in calm weather: {no_result}"));
            }
            NoResult::Ended { came: 0, .. } if !self.disturbed.get() => {
                self.violation(&format!("{method} was not answered: {no_result}"));
            }
            _ => {}
        }
    }

    pub(super) fn judge_refusal(&self, method: &str, message: &str, session: Option<&cli::TSessionHandle>) {
        let is_gone = GONE.iter().any(|gone| message.contains(gone));
        let id = session.map(guid);
        let lives = id.is_some_and(|id| self.world.journal.is_live(id));
        let names_session = message.starts_with("Invalid session id");
        if names_session && lives {
            self.violation(&format!("{method}: was told that a session is gone which lives"));
        }
        let is_lost = id.is_some_and(|id| self.world.journal.is_gone(id)) || names_session && !lives;
        if let Some(session) = session.filter(|_| is_lost) {
            self.user.sessions.borrow_mut().retain(|known| known.handle != *session);
        }
        if let Some(id) = id.filter(|_| self.may_be_full(message) && !self.world.setup.shares) {
            // It has no link there, and without one its coordinator keeps a session for a while only.
            self.attached.borrow_mut().remove(&id);
        }
        // Another connection of the user may have closed, cancelled or lost what is asked for.
        let may_be = if self.world.setup.is_calm() {
            let ended =
                |id: &[u8; 16]| !self.world.journal.was_closed(*id) && self.attached.borrow().contains(id);
            // Where a session has moved over a link that is not shared, it ends with that link: a known
            // limit.
            let is_kept = self.world.setup.shares || self.world.setup.moves.is_none();
            if is_gone && !lives && is_kept && id.as_ref().is_some_and(ended) {
                self.violation(&format!("{method}: its session ended under it: {}", message.trim()));
            }
            (is_gone && !lives) || self.may_be_full(message)
        } else {
            is_gone || message.starts_with(ROUTERS_WORDS) || message.starts_with(SHUTTING_DOWN)
        };
        if !may_be {
            self.violation(&format!("{method}: {}", message.trim()));
        }
    }

    /// Whether the router says that there is no room, where that may be.
    pub(crate) fn may_be_full(&self, message: &str) -> bool {
        let is_said = message.starts_with(ROUTERS_WORDS) && message.contains(NO_ROOM);
        is_said && self.world.setup.threads.is_some()
    }

    /// Whether a refusal without a session may be.
    pub(crate) fn may_be_refused(&self, message: &str) -> bool {
        let is_gone = GONE.iter().chain([&NOT_YOURS]).any(|gone| message.contains(gone));
        let by_router = message.starts_with(ROUTERS_WORDS) || message.contains(SHUTTING_DOWN);
        self.may_be_full(message) || (!self.world.setup.is_calm() && (is_gone || by_router))
    }
}
