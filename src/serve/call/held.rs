//! Holds back a call that would begin something while an operator has paused the cluster.

use crate::clock;
use crate::ids::Service;
use crate::metrics::{CallOutcome, RefusalCause};
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::fleet::pause::Newcomer;
use crate::serve::link::waiting::{NoRoom, NotCalled};
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::decide::service;
use crate::wire::method::Role;

/// Waits with a call until the cluster is resumed. Returns its outcome if it was refused, because it has waited
/// for `queue_timeout` or too many wait.
///
/// # Errors
/// [`End`], when the client leaves meanwhile.
pub(super) async fn until_resumed<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
) -> Result<Option<CallOutcome>, End> {
    let service = service(request.method(), request.facts(), &conn.past);
    let newcomer = Newcomer {
        service,
        holder: conn.holder(),
        client: conn.client.address(),
        turn: conn.turn(),
        deadline: clock::now() + conn.fleet.room.queue_timeout,
    };
    match conn.fleet.pause.pass(newcomer, conn.client.closed()).await {
        Ok(()) => Ok(None),
        Err(NotCalled::ClientGone) => Err(End::client_gone()),
        Err(NotCalled::NoRoom(cause)) => refuse_paused(conn, request, service, cause).await.map(Some),
    }
}

async fn refuse_paused<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
    cause: NoRoom,
) -> Result<CallOutcome, End> {
    let (cluster, method) = (&conn.fleet.cluster.name, request.method());
    if let Some(left_out) = conn.shared.admit_line("new work was refused", "paused") {
        tracing::warn!(%cluster, method = method.name, %cause, left_out, "new work was refused");
    }
    let answer = NoAnswer::paused(conn.id, cluster, cause);
    if method.role == Role::OpenSession {
        conn.shared.metrics.connections_refused.count(RefusalCause::Paused);
        return refuse::refuse_for_now(conn, request, service, &answer).await;
    }
    refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
}
