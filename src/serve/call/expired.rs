//! Sessions that were idle for longer than their `IDLE_SESSION_TIMEOUT`: the router has closed them, because its own calls
//! keep their coordinators from doing so, and tells their clients what a coordinator would. So it does of those that are gone
//! where they were last, and perhaps not where they were before they moved, and of those that ended with their links.

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
use crate::session::table::{Expired, NotLive};
use crate::wire::facts::{GuidText, Handle};
use crate::wire::hs2::reply::SqlState;
use crate::wire::method::Role;

/// The connection uses the session that a call is for as long as the call is under way, if it has one that is known.
///
/// # Errors
/// That session is over.
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
    // Of an operation its coordinator says itself that it is gone.
    let over =
        session.and_then(|session| Some(Ended::NotLive(session, conn.fleet.table.not_live(&session)?)));
    over.map_or(Ok(()), Err)
}

/// Tells a client that the session of its call is over; false if the call is for its coordinator to answer all the same.
pub(crate) async fn tell_over<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    ended: &Ended,
) -> Result<bool, End> {
    match *ended {
        Ended::NotLive(session, NotLive::Expired(expired)) => {
            tell_expired(conn, request, &session, expired).await
        }
        Ended::NotLive(session, NotLive::Gone) => tell(conn, request, invalid(&session)).await,
        Ended::Lost(coordinator) => {
            let outcome = tell_lost(conn, request, coordinator).await?;
            conn.shared.calls.count(request.method().place(), outcome);
            Ok(true)
        }
    }
}

/// Tells a client that the session of its call has ended with the link to its coordinator. The process that answers there
/// now may say yes to whatever it does not look up (Spark: `SparkSQLCLIService` `getInfo`), so it is not asked. To close
/// such a session succeeds, and it is forgotten.
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
    refuse::refuse(conn, request, Service::Hs2, &answer, CallOutcome::Lost).await
}

/// Tells a client that what its call names is gone with a coordinator that was removed. To close such a
/// session succeeds, and the session is forgotten.
pub(crate) async fn tell_removed<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
) -> Result<CallOutcome, End> {
    if request.method().role == Role::CloseSession {
        if let Some(session) = request.facts().handle().filter(|session| conn.fleet.table.is_session(session))
        {
            conn.fleet.table.remove_session(&session.guid);
        }
        return tell_closed(conn, request).await;
    }
    let answer = NoAnswer::removed(conn.id);
    refuse::refuse(conn, request, service, &answer, CallOutcome::Lost).await
}

/// Says that a session is closed that is gone.
async fn tell_closed<S: Stream>(conn: &mut Conn<S>, request: &Request) -> Result<CallOutcome, End> {
    if let Some(session) = request.facts().handle() {
        conn.attached.forget(&session.guid);
    }
    conn.deliver(&done(Service::Hs2, request.facts()), Form::Payload).await?;
    Ok(CallOutcome::Reply)
}

async fn tell<S: Stream>(conn: &mut Conn<S>, request: &mut Request, message: String) -> Result<bool, End> {
    let answer = NoAnswer { sql_state: SqlState::General, message };
    let outcome = refuse::refuse(conn, request, Service::Hs2, &answer, CallOutcome::Refused).await?;
    conn.shared.calls.count(request.method().place(), outcome);
    Ok(true)
}

/// Tells a client that its session has expired, in Impala's words. To close such a session succeeds (Impala:
/// `impala-hs2-server.cc` `CloseSession`), which its coordinator says as long as it has it.
async fn tell_expired<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    session: &Handle,
    expired: Expired,
) -> Result<bool, End> {
    let method = request.method();
    if method.role != Role::CloseSession {
        let last = clock::time_of_day() - clock::now().saturating_duration_since(expired.last);
        return tell(conn, request, words(expired, last)).await;
    }
    if !expired.closed {
        return Ok(false);
    }
    let reply = done(Service::Hs2, request.facts());
    conn.deliver(&reply, Form::Payload).await?;
    conn.fleet.table.remove_session(&session.guid);
    conn.shared.calls.count(method.place(), CallOutcome::Reply);
    Ok(true)
}

/// What Impala says of a session that it does not have (`impala-server.cc` `GetSessionState`).
fn invalid(session: &Handle) -> String {
    format!("Invalid session id: {}\n", GuidText(session.guid))
}

/// What Impala says (`impala-server.cc` `GetSessionState`; `Status::GetDetail` ends the line). The time is UTC: which zone its
/// coordinator is in is not known.
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
    fn the_words_are_impalas() {
        let expired = Expired { timeout: Duration::from_mins(1), last: clock::now(), closed: true };
        let last = SystemTime::UNIX_EPOCH + Duration::from_millis(1_792_926_000_007);
        let expected = "Client session expired due to more than 60s of inactivity (last activity was at: \
                        2026-10-25 11:00:00.007).\n";
        assert_eq!(words(expired, last), expected);
    }
}
