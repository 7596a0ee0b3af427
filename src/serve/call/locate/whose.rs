//! For whom a session that was located was opened. Where the router speaks for its clients, a coordinator that has
//! the session and knows its secret says no more than that the router may use it. So its web port is asked, too,
//! and the session is the client's only if the page there names a user for whom the client may act.

use tokio::time::Instant;

use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::net::web::{self, WebSettings};
use crate::serve::call::conn::Conn;
use crate::serve::call::locate::until;
use crate::serve::message::end::End;
use crate::session::delegation::Caller;
use crate::session::locate::{Finding, Question};
use crate::wire::facts::GuidText;

/// What is found where nobody may say that a coordinator has it.
const NOTHING: Finding = Finding::Nowhere { says: None, all: false };

/// Returns what was found if the client may know of it, and makes its calls from now on those of the user whom the
/// coordinator's page names; else that nothing was found. Of a client for whom the router does not speak, the
/// coordinator has judged that itself.
pub(super) async fn vouched<S: Stream>(
    conn: &mut Conn<S>,
    question: &Question,
    finding: Finding,
    deadline: Instant,
) -> Result<Finding, End> {
    let Some(caller) = conn.links.caller().cloned() else { return Ok(finding) };
    let Finding::Owner(coordinator) = finding else { return Ok(NOTHING) };
    let session = GuidText(question.handle().guid);
    let named = user_of(conn, coordinator, &session, deadline).await?;
    let Some(owner) = named.as_deref().and_then(|user| caller.on_behalf_of(user)) else {
        note_not_its_own(conn, &caller, &session);
        return Ok(NOTHING);
    };
    conn.links.act_for(owner.into());
    Ok(finding)
}

/// The user whom the coordinator's page names for a session.
async fn user_of<S: Stream>(
    conn: &Conn<S>,
    coordinator: CoordinatorId,
    session: &GuidText,
    deadline: Instant,
) -> Result<Option<String>, End> {
    let Some(member) = conn.fleet.member(coordinator) else { return Ok(None) };
    let Some(destination) = member.web() else { return Ok(None) };
    let settings =
        WebSettings { network: conn.shared.network.clone(), allowed: conn.fleet.watching.probe_timeout };
    let (session, name) = (session.to_string(), conn.fleet.name_of(coordinator));
    let page = web::delegated_users(&destination, &settings);
    Ok(until(conn, deadline, member.sessions_page.user_of(&session, &name, page)).await?.flatten())
}

fn note_not_its_own<S: Stream>(conn: &Conn<S>, caller: &Caller, session: &GuidText) {
    if let Some(left_out) = conn.shared.admit_line("a located session is not its client's", "") {
        let user = caller.user();
        tracing::warn!(%session, user, left_out, "a located session is not its client's");
    }
}
