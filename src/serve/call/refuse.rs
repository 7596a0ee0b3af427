//! What a client is told when no coordinator can answer it: in its protocol's own words, naming router, connection,
//! coordinator and cause. Measured: every client shows such a text, while a bare close hides the cause and hangs some.

use std::fmt;

use bytes::BytesMut;

use crate::cluster::{Cluster, Coordinator};
use crate::ids::{ConnId, Service};
use crate::metrics::CallOutcome;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::{braking, sending};
use crate::serve::link::no_link::NoLink;
use crate::serve::link::waiting::NoRoom;
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::retry::sql_state;
use crate::wire::facts::Facts;
use crate::wire::hs2::reply::{Refusal, SqlState};
use crate::wire::{beeswax, hs2};

/// Reasons that are kept of one search, so that the client's message stays short however large the cluster is.
const REASONS_KEPT: usize = 8;

/// Why candidates did not take a session, in the order in which they were tried.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    kept: Vec<String>,
    candidates: usize,
}

impl Reasons {
    /// One more candidate did not take it.
    pub(crate) fn push(&mut self, coordinator: &Coordinator, reason: impl fmt::Display) {
        self.candidates += 1;
        if self.kept.len() < REASONS_KEPT {
            self.kept.push(format!("{}: {reason}", coordinator.name));
        }
    }

    /// For people: how many were tried for a service, and what came of each; `no_room` if it was waited for others.
    pub(crate) fn tell(&self, cluster: &Cluster, service: Service, no_room: Option<NoRoom>) -> String {
        let full = no_room.map(|no_room| no_room.to_string());
        let name = &cluster.name;
        let who = match self.candidates {
            0 => {
                let cause = match full {
                    Some(full) => full,
                    None if cluster.serves(service) => "all of them are draining".to_owned(),
                    None => format!("none of them has a port for {service}"),
                };
                return format!("no coordinator of cluster {name} takes a session: {cause}");
            }
            1 => "no coordinator".to_owned(),
            many => format!("none of the {many} coordinators"),
        };
        let reasons = self.kept.join("; ");
        let more = match self.candidates - self.kept.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let full = full.map(|full| format!("; of the others {full}")).unwrap_or_default();
        format!("{who} of cluster {name} took the session: {reasons}{more}{full}")
    }
}

/// Why a call gets no answer from a coordinator.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// What kind of failure the client's driver will see.
    pub sql_state: SqlState,
    /// For people.
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

    /// Nothing was sent to a coordinator.
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

    /// No coordinator takes a new session.
    pub(crate) fn nowhere(conn: ConnId, cluster: &str, cause: impl fmt::Display) -> Self {
        let message =
            format!("hs2router ({conn}): no coordinator of cluster {cluster} takes a session: {cause}");
        Self { sql_state: SqlState::Refused, message }
    }

    /// No candidate took a new session.
    pub(crate) fn none_took(conn: ConnId, sql_state: SqlState, text: &str) -> Self {
        Self { sql_state, message: format!("hs2router ({conn}): {text}") }
    }

    /// The request is not one that may be passed on.
    pub(crate) fn bad_request(conn: ConnId, cause: impl fmt::Display) -> Self {
        let message = format!("hs2router ({conn}): the request was not sent to a coordinator: {cause}");
        Self { sql_state: SqlState::General, message }
    }

    /// As a reply to this request.
    pub(crate) fn reply(&self, service: Service, request: &Facts) -> BytesMut {
        let refusal = Refusal { sql_state: self.sql_state, message: &self.message };
        let name = request.name.as_bytes();
        match service {
            Service::Beeswax => beeswax::reply::error(name, request.seqid, &refusal),
            Service::Hs2 | Service::Hs2Http => hs2::reply::error(name, request.seqid, &refusal),
        }
    }
}

/// That a close or cancel had its effect, as a reply to this request: it was sent twice because its link was lost, and the
/// second time there was nothing left to close.
pub(crate) fn done(service: Service, request: &Facts) -> BytesMut {
    let name = request.name.as_bytes();
    match service {
        Service::Beeswax => beeswax::reply::success(name, request.seqid),
        Service::Hs2 | Service::Hs2Http => hs2::reply::success(name, request.seqid),
    }
}

/// Answers a call in a coordinator's place, once all of it has come; slowly, if the client dials in vain all the time.
pub(crate) async fn refuse<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
    answer: &NoAnswer,
    outcome: CallOutcome,
) -> Result<CallOutcome, End> {
    sending::take_rest(conn, request).await?;
    tracing::debug!(method = request.method().name, message = answer.message, "call refused");
    let reply = answer.reply(service, request.facts());
    braking::brake(conn).await;
    conn.deliver(&reply, Form::Payload).await?;
    Ok(outcome)
}
