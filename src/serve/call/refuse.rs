//! Answers a call that no coordinator can answer. The reply is an error in the client's protocol and names
//! router, connection, coordinator and cause. Every client that was tried shows such a text, while a bare
//! close hides the cause, and some clients hang after it.

use std::fmt;

use bytes::BytesMut;

use crate::cluster::Coordinator;
use crate::ids::{ConnId, Service};
use crate::metrics::CallOutcome;
use crate::net::stream::Stream;
use crate::serve::call::braking;
use crate::serve::call::conn::Conn;
use crate::serve::fleet::pause::StillPaused;
use crate::serve::link::no_link::NoLink;
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::message::http;
use crate::serve::message::request::Request;
use crate::session::decide::service;
use crate::session::retry::sql_state;
use crate::wire::facts::Facts;
use crate::wire::hs2::reply::{Refusal, SqlState};
use crate::wire::method::Method;
use crate::wire::{beeswax, hs2};

/// Why a call gets no answer from a coordinator.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// The SQL state that the client's driver sees.
    pub sql_state: SqlState,
    /// The text that the user sees.
    pub message: String,
}

impl NoAnswer {
    /// There is no link to the only coordinator that could answer.
    pub(crate) fn no_link(conn: ConnId, coordinator: &Coordinator, cause: &NoLink) -> Self {
        let sql_state = sql_state(cause.phase());
        if sql_state == SqlState::CouldNotConnect {
            return Self::unreachable(conn, coordinator, cause);
        }
        let what = match cause {
            NoLink::NoRoom(_) => "is full",
            _ => "does not take the login",
        };
        let message = format!("hs2router ({conn}): coordinator {} {what}: {cause}", coordinator.name);
        Self { sql_state, message }
    }

    /// The coordinator cannot be reached; nothing was sent to it.
    pub(crate) fn unreachable(conn: ConnId, coordinator: &Coordinator, cause: impl fmt::Display) -> Self {
        let name = &coordinator.name;
        let message = format!("hs2router ({conn}): coordinator {name} cannot be reached: {cause}");
        Self { sql_state: SqlState::CouldNotConnect, message }
    }

    /// The coordinator that the call belongs to was removed.
    pub(crate) fn removed(conn: ConnId) -> Self {
        let message = format!(
            "hs2router ({conn}): the coordinator that had this was removed from its cluster: open a new session"
        );
        Self { sql_state: SqlState::Lost, message }
    }

    /// The coordinator was lost while the call was under way.
    pub(crate) fn lost(conn: ConnId, coordinator: &Coordinator, cause: impl fmt::Display) -> Self {
        let name = &coordinator.name;
        let message = format!(
            "hs2router ({conn}): coordinator {name} was lost during the call: {cause}; whether the call was carried out \
             is not known"
        );
        Self { sql_state: SqlState::Lost, message }
    }

    /// An operator has paused the cluster, and the call has waited long enough.
    pub(crate) fn paused(conn: ConnId, cluster: &str, cause: StillPaused) -> Self {
        let message = format!("hs2router ({conn}): cluster {cluster} begins nothing now: {cause}");
        Self { sql_state: SqlState::Refused, message }
    }

    /// No coordinator takes a new session.
    pub(crate) fn nowhere(conn: ConnId, cluster: &str, cause: impl fmt::Display) -> Self {
        let message =
            format!("hs2router ({conn}): no coordinator of cluster {cluster} takes a session: {cause}");
        Self { sql_state: SqlState::Refused, message }
    }

    /// Every candidate that was tried failed to take a new session.
    pub(crate) fn none_took(conn: ConnId, sql_state: SqlState, text: &str) -> Self {
        Self { sql_state, message: format!("hs2router ({conn}): {text}") }
    }

    /// The router takes no calls on this connection.
    pub(crate) fn refused(conn: ConnId, cause: impl fmt::Display) -> Self {
        Self { sql_state: SqlState::Refused, message: format!("hs2router ({conn}): {cause}") }
    }

    /// The request is not one that may be passed on.
    pub(crate) fn bad_request(conn: ConnId, cause: impl fmt::Display) -> Self {
        let message = format!("hs2router ({conn}): the request was not sent to a coordinator: {cause}");
        Self { sql_state: SqlState::General, message }
    }

    /// Writes the answer as a reply to this request.
    pub(crate) fn reply(&self, service: Service, request: &Facts) -> BytesMut {
        let refusal = Refusal { sql_state: self.sql_state, message: &self.message };
        let name = request.name.as_bytes();
        match service {
            Service::Beeswax => beeswax::reply::error(name, request.seqid, &refusal),
            Service::Hs2 | Service::Hs2Http => hs2::reply::error(name, request.seqid, &refusal),
        }
    }
}

/// Writes a reply that says that a close or cancel succeeded. It is used when the call was sent twice because
/// its link was lost, and there was nothing left to close the second time; or when a session that is over is
/// closed.
pub(crate) fn done(service: Service, request: &Facts) -> BytesMut {
    let name = request.name.as_bytes();
    match service {
        Service::Beeswax => beeswax::reply::success(name, request.seqid),
        Service::Hs2 | Service::Hs2Http => hs2::reply::success(name, request.seqid),
    }
}

/// Answers a call in place of a coordinator, once all of it has come. Before that it waits if the client's dials or
/// tickets are all in vain, whether the rest of the call ever comes or not.
pub(crate) async fn refuse<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
    answer: &NoAnswer,
    outcome: CallOutcome,
) -> Result<CallOutcome, End> {
    braking::brake(conn).await;
    conn.client.skip_rest(request, &conn.shared.settings).await?;
    tracing::debug!(method = request.method().name, message = answer.message, "call refused");
    let reply = answer.reply(service, request.facts());
    conn.deliver(&reply, Form::Payload).await?;
    Ok(outcome)
}

/// Refuses a call for which there may be room soon. Over HTTP that is said in a way that has clients come
/// again by themselves.
pub(crate) async fn refuse_for_now<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
    answer: &NoAnswer,
) -> Result<CallOutcome, End> {
    if !conn.client.asks_each_time() {
        return refuse(conn, request, service, answer, CallOutcome::Refused).await;
    }
    braking::brake(conn).await;
    conn.client.skip_rest(request, &conn.shared.settings).await?;
    tracing::debug!(method = request.method().name, message = answer.message, "call refused");
    let no_room = http::answer::Answer::no_room(&answer.message);
    conn.client.say(no_room, conn.shared.settings.stall_timeout).await?;
    Ok(CallOutcome::Refused)
}

/// Asks a client over HTTP to come again with a fresh ticket of Kerberos.
///
/// # Errors
/// [`End`], when the connection ends before that.
pub(crate) async fn ask_for_ticket<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
) -> Result<CallOutcome, End> {
    pass_on(conn, request, http::answer::Refusal::ticket_needed()).await
}

/// Answers a call over HTTP with what its coordinator said in place of a reply.
///
/// # Errors
/// [`End`], when the connection ends before that.
pub(crate) async fn pass_on<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    refusal: http::answer::Refusal,
) -> Result<CallOutcome, End> {
    braking::brake(conn).await;
    conn.client.skip_rest(request, &conn.shared.settings).await?;
    tracing::debug!(method = request.method().name, cause = %refusal, "call refused");
    conn.client.say(refusal.into_answer(), conn.shared.settings.stall_timeout).await?;
    Ok(CallOutcome::Refused)
}

/// Reads the next call of a connection and answers it in place of a coordinator. Returns which it was.
///
/// # Errors
/// [`End`], when the connection ends before that.
pub(crate) async fn refuse_next<S: Stream>(
    conn: &mut Conn<S>,
    answer: &NoAnswer,
) -> Result<&'static Method, End> {
    let mut request = Box::new(Request::new());
    conn.client.begin(&mut request, None)?;
    if !request.is_complete() {
        conn.client.fill(&mut request, &conn.shared.settings, &conn.shared.replay).await?;
    }
    let method = request.method();
    conn.count.begin(method);
    let service = service(method, request.facts(), &conn.past);
    let outcome = refuse(conn, &mut request, service, answer, CallOutcome::Refused).await?;
    conn.count.end(outcome);
    Ok(method)
}
