//! Makes own calls on behalf of clients: over HTTP only with credentials that no coordinator has refused since
//! a client was let in with them.

use std::time::Duration;

use tokio::time::timeout;

use crate::ids::{Access, CoordinatorId, Identity};
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::link::Link;
use crate::serve::link::lost::LostCause;
use crate::serve::link::own_call::{Answer, OwnCall, ask};

/// The longest wait for an answer: none of these calls does much work. If the answer takes longer, the link
/// is closed.
const ANSWER_TIME: Duration = Duration::from_secs(30);

impl<S: Stream> Fleet<S> {
    /// Makes an own call about a session or an operation, on a link of its identity. Returns `None` if the
    /// identity's credential must not be shown without its client, if the link is lost, or if no answer comes
    /// within 30 seconds.
    pub(crate) async fn own_call(&self, link: Box<Link<S>>, call: OwnCall) -> Option<Answer<S>> {
        let (coordinator, access) = (link.coordinator.id, link.slot.access.clone());
        if self.forbids(&access, coordinator) {
            return None;
        }
        let answer = timeout(ANSWER_TIME, ask(link, &call.message(), ANSWER_TIME)).await.ok()?;
        // A cookie that is over locks nobody out.
        if let Err(LostCause::Refused(refusal)) = &answer
            && let Identity::Credential(credential) = &access.identity
            && refusal.is_unauthorized()
            && !credential.needs_tickets()
        {
            self.verdicts.note_refused(credential, coordinator);
        }
        answer.ok()
    }

    /// Whether the router may not call a coordinator with this access without its client.
    pub(crate) fn forbids(&self, access: &Access, coordinator: CoordinatorId) -> bool {
        match &access.identity {
            Identity::Credential(credential) => self.verdicts.forbid(credential, coordinator),
            Identity::Anonymous | Identity::Plain(_) | Identity::Unread => false,
        }
    }
}
