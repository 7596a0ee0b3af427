//! What a client is told when no coordinator can answer it: in its protocol's own words, naming router, connection,
//! coordinator and cause. Measured: every client shows such a text, while a bare close hides the cause and hangs some.

use bytes::BytesMut;

use super::client::Framing;
use crate::cluster::Coordinator;
use crate::ids::{ConnId, Service};
use crate::wire::beeswax;
use crate::wire::facts::Facts;
use crate::wire::frame;
use crate::wire::hs2;
use crate::wire::hs2::reply::{Refusal, SqlState};

/// Why a call gets no answer from a coordinator.
#[derive(Debug)]
pub(super) struct NoAnswer {
    /// What kind of failure the client's driver will see.
    pub sql_state: SqlState,
    /// For people.
    pub message: String,
}

impl NoAnswer {
    /// Nothing was sent to a coordinator.
    pub(super) fn unreachable(
        conn: ConnId,
        coordinator: &Coordinator,
        cause: impl std::fmt::Display,
    ) -> Self {
        let name = &coordinator.name;
        let message = format!("hs2router ({conn}): coordinator {name} cannot be reached: {cause}");
        Self { sql_state: SqlState::CouldNotConnect, message }
    }

    /// The coordinator was lost while the call was under way.
    pub(super) fn lost(conn: ConnId, coordinator: &Coordinator, cause: impl std::fmt::Display) -> Self {
        let name = &coordinator.name;
        let message = format!(
            "hs2router ({conn}): coordinator {name} was lost during the call: {cause}; whether the call was carried out \
             is not known"
        );
        Self { sql_state: SqlState::Lost, message }
    }

    /// No coordinator takes a new session.
    pub(super) fn nowhere(conn: ConnId, cluster: &str, cause: impl std::fmt::Display) -> Self {
        let message =
            format!("hs2router ({conn}): no coordinator of cluster {cluster} takes a session: {cause}");
        Self { sql_state: SqlState::Refused, message }
    }

    /// As a reply to this request, framed as its connection is.
    pub(super) fn reply(&self, service: Service, request: &Facts, framing: Framing) -> BytesMut {
        let refusal = Refusal { sql_state: self.sql_state, message: &self.message };
        let name = request.name.as_bytes();
        let message = match service {
            Service::Beeswax => beeswax::reply::error(name, request.seqid, &refusal),
            Service::Hs2 | Service::Hs2Http => hs2::reply::error(name, request.seqid, &refusal),
        };
        framed(message, framing)
    }
}

/// That a close or cancel had its effect, as a reply to this request: it was sent twice because its link was lost, and the
/// second time there was nothing left to close.
pub(super) fn done(service: Service, request: &Facts, framing: Framing) -> BytesMut {
    let name = request.name.as_bytes();
    let message = match service {
        Service::Beeswax => beeswax::reply::success(name, request.seqid),
        Service::Hs2 | Service::Hs2Http => hs2::reply::success(name, request.seqid),
    };
    framed(message, framing)
}

fn framed(message: BytesMut, framing: Framing) -> BytesMut {
    if framing == Framing::None {
        return message;
    }
    let header = frame::header(message.len()).unwrap_or_default();
    let mut framed = BytesMut::with_capacity(frame::HEADER_LEN + message.len());
    framed.extend_from_slice(&header);
    framed.extend_from_slice(&message);
    framed
}
