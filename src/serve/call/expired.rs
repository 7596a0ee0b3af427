//! Calls whose session is over. The router itself closes sessions that are idle for longer than their
//! `IDLE_SESSION_TIMEOUT`, because its touches keep their coordinators from doing so; and it tells clients
//! what a coordinator would say. It also answers for sessions that are gone from where they were last, which
//! a former coordinator may still have, and for sessions that ended with their links.

use std::sync::Arc;
use std::time::SystemTime;

use time::OffsetDateTime;

use crate::clock;
use crate::ids::{CoordinatorId, Service};
use crate::metrics::CallOutcome;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::outcome::Ended;
use crate::serve::call::refuse::{self, NoAnswer, done};
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::activity::InUse;
use crate::session::decide::{operation_of, session_of};
use crate::session::table::{Expired, NotLive, SessionEnd};
use crate::wire::facts::{GuidText, Handle};
use crate::wire::hs2::reply::SqlState;
use crate::wire::method::Role;

/// Marks the session of a call as in use for as long as the call is under way, if the call has a session that
/// is known.
///
/// # Errors
/// [`Ended`], when that session is over.
pub(crate) fn use_session<S: Stream>(conn: &mut Conn<S>, request: &Request) -> Result<(), Ended> {
    let (method, facts) = (request.method(), request.facts());
    let session = session_of(method, facts);
    let activity = if let Some(session) = session {
        conn.attached.attach(&session)
    } else {
        let operation = operation_of(method, facts);
        operation.and_then(|operation| conn.attached.attach_operation(&operation))
    };
    let Some(activity) = activity else { return Ok(()) };
    conn.in_use = InUse::begin(Arc::clone(&activity), clock::now);
    if conn.in_use.is_some() {
        return Ok(());
    }
    if let Some(coordinator) = activity.lost() {
        return Err(Ended::Lost(coordinator));
    }
    // The coordinator itself says so for an operation.
    let over =
        session.and_then(|session| Some(Ended::NotLive(session, conn.fleet.table.not_live(&session)?)));
    over.map_or(Ok(()), Err)
}

/// Returns how the session of a call has ended while the call waited, if it has. By its client's handle the
/// session may still be open where it was before it moved, so the call must not be sent on.
pub(crate) fn ended_meanwhile<S: Stream>(conn: &Conn<S>, request: &Request) -> Option<Ended> {
    let session = session_of(request.method(), request.facts())?;
    let not_live = conn.fleet.table.not_live(&session).filter(|_| request.method().role != Role::Profile)?;
    Some(Ended::NotLive(session, not_live))
}

/// Tells a client that the session of its call is over; returns what the call counts as, or none if the
/// coordinator must answer the call all the same.
pub(crate) async fn tell_over<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    ended: &Ended,
) -> Result<Option<CallOutcome>, End> {
    match *ended {
        Ended::NotLive(session, NotLive::Expired(expired)) => {
            tell_expired(conn, request, &session, expired).await
        }
        Ended::NotLive(session, NotLive::Gone) => tell(conn, request, invalid(&session)).await.map(Some),
        Ended::Lost(coordinator) => tell_lost(conn, request, coordinator).await.map(Some),
    }
}

/// Tells a client that the session of its call has ended with the link to its coordinator. The coordinator's
/// new process is not asked, because it may say yes to whatever it does not look up (Spark:
/// `SparkSQLCLIService` `getInfo`). To close such a session succeeds, and it is forgotten.
pub(crate) async fn tell_lost<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    coordinator: CoordinatorId,
) -> Result<CallOutcome, End> {
    if request.method().role == Role::CloseSession {
        return tell_closed(conn, request).await;
    }
    let name = conn.fleet.cluster.coordinator(coordinator).map(|one| one.name.to_string());
    let message = format!(
        "hs2router ({}): the session has ended with its connection to coordinator {}: open a new one",
        conn.id,
        name.unwrap_or_default()
    );
    let answer = NoAnswer { sql_state: SqlState::Lost, message };
    refuse::refuse(conn, request, conn.hs2(), &answer, CallOutcome::Lost).await
}

/// Tells a client that what its call names is gone with a coordinator that was removed. To close such a
/// session succeeds, and it is forgotten.
pub(crate) async fn tell_removed<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
) -> Result<CallOutcome, End> {
    if request.method().role == Role::CloseSession {
        if let Some(session) = request.facts().handle().filter(|session| conn.fleet.table.is_session(session))
        {
            conn.fleet.table.remove_session(&session.guid, SessionEnd::Gone);
        }
        return tell_closed(conn, request).await;
    }
    let answer = NoAnswer::removed(conn.id);
    refuse::refuse(conn, request, service, &answer, CallOutcome::Lost).await
}

/// Answers a call that closes a session which is already gone.
async fn tell_closed<S: Stream>(conn: &mut Conn<S>, request: &Request) -> Result<CallOutcome, End> {
    if let Some(session) = request.facts().handle() {
        conn.attached.forget(&session.guid);
    }
    conn.deliver(&done(conn.hs2(), request.facts()), Form::Payload).await?;
    Ok(CallOutcome::Reply)
}

async fn tell<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    message: String,
) -> Result<CallOutcome, End> {
    let answer = NoAnswer { sql_state: SqlState::General, message };
    refuse::refuse(conn, request, conn.hs2(), &answer, CallOutcome::Refused).await
}

/// Tells a client that its session has expired, in Impala's words. To close such a session succeeds (Impala:
/// `impala-hs2-server.cc` `CloseSession`). As long as the coordinator has the session, the coordinator says
/// so.
async fn tell_expired<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    session: &Handle,
    expired: Expired,
) -> Result<Option<CallOutcome>, End> {
    if request.method().role != Role::CloseSession {
        let last = clock::time_of_day() - clock::now().saturating_duration_since(expired.last);
        return tell(conn, request, words(expired, last)).await.map(Some);
    }
    if !expired.closed {
        return Ok(None);
    }
    let reply = done(conn.hs2(), request.facts());
    conn.deliver(&reply, Form::Payload).await?;
    conn.fleet.table.remove_session(&session.guid, SessionEnd::Expired);
    Ok(Some(CallOutcome::Reply))
}

/// Returns what Impala says about a session that it does not have (`impala-server.cc` `GetSessionState`).
fn invalid(session: &Handle) -> String {
    format!("Invalid session id: {}\n", GuidText(session.guid))
}

/// Returns what Impala says about an expired session (`impala-server.cc` `GetSessionState`;
/// `Status::GetDetail` ends the line). The time is UTC, because the coordinator's time zone is not known.
fn words(expired: Expired, last: SystemTime) -> String {
    let last = OffsetDateTime::from(last);
    let (date, time) = (last.date(), last.time());
    format!(
        "Client session expired due to more than {}s of inactivity (last activity was at: \
         {:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}).\n",
        expired.timeout.as_secs(),
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_expired_session_is_told_of_in_impalas_words() {
        let expired = Expired { timeout: Duration::from_mins(1), last: clock::now(), closed: true };
        let last = SystemTime::UNIX_EPOCH + Duration::from_millis(1_792_926_000_007);
        let expected = "Client session expired due to more than 60s of inactivity (last activity was at: \
                        2026-10-25 11:00:00.007).\n";
        assert_eq!(words(expired, last), expected);
    }
}
