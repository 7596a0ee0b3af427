//! Has a call that would begin something wait while an operator has paused the cluster.

use crate::metrics::{CallOutcome, RefusalCause};
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::expired;
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::fleet::pause::{Newcomer, NotPassed, StillPaused, UnderWay};
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::decide::service;
use crate::wire::method::Role;

/// What became of a call that waited.
pub(super) enum Waited {
    /// It goes on.
    Goes(UnderWay),
    /// The client was told that it waited in vain.
    Refused(CallOutcome),
}

/// Waits with a call until the cluster is resumed, or the call has waited for long enough.
///
/// # Errors
/// [`End`], when the client leaves meanwhile.
pub(super) async fn until_resumed<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
) -> Result<Waited, End> {
    // So that its session does not expire meanwhile. If that is over already, the client is told so later.
    let _ended = expired::use_session(conn, request);
    let newcomer = Newcomer {
        service: service(request.method(), request.facts(), &conn.past),
        holder: conn.holder(),
        client: conn.client.address(),
        turn: conn.turn(),
    };
    match conn.fleet.pause.pass(newcomer, conn.client.closed()).await {
        Ok(under_way) => Ok(Waited::Goes(under_way)),
        Err(NotPassed::ClientGone) => Err(End::client_gone()),
        Err(NotPassed::StillPaused(cause)) => refuse(conn, request, cause).await.map(Waited::Refused),
    }
}

async fn refuse<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    cause: StillPaused,
) -> Result<CallOutcome, End> {
    let (cluster, method) = (&conn.fleet.cluster.name, request.method());
    if let Some(left_out) = conn.shared.admit_line("a call was refused", "paused") {
        tracing::warn!(%cluster, method = method.name, %cause, left_out, "a call was refused");
    }
    let service = service(method, request.facts(), &conn.past);
    let answer = NoAnswer::paused(conn.id, cluster, cause);
    if method.role == Role::OpenSession {
        conn.shared.metrics.connections_refused.count(RefusalCause::Paused);
        return refuse::refuse_for_now(conn, request, service, &answer).await;
    }
    refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
}
