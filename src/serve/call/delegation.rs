//! Calls of clients for whom the router speaks under its own name. A coordinator would let such a call do
//! whatever the router may do, so each is judged here first: what it names must be the client's own.

use std::sync::Arc;

use crate::ids::Delegated;
use crate::metrics::CallOutcome;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::decide::{operation_of, service, session_of};
use crate::session::delegation::Caller;
use crate::session::table::Table;
use crate::wire::facts::{Facts, GuidText, Handle};
use crate::wire::hs2::open::{BadOpen, ForUser};
use crate::wire::hs2::reply::SqlState;
use crate::wire::method::{Method, Owner, Role};

/// Methods that would act with the router's own rights, or with those that a plan claims, and not with those of
/// the session's user.
const WITH_OTHER_RIGHTS: [&str; 4] =
    ["CancelDelegationToken", "ExecutePlannedStatement", "GetDelegationToken", "RenewDelegationToken"];

/// Why a call of such a client is not sent to a coordinator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAllowed {
    /// The handle is of somebody else, has another secret, or is not known. The words do not tell which.
    #[error(
        "Invalid session id: {0} is not known as one of this user's; if it was opened before the router was started, \
         or by another router, it was not found again: open a new session"
    )]
    Handle(GuidText),
    /// The call names no handle.
    #[error("the call names no session or operation")]
    NoHandle,
    /// Beeswax cannot say for whom the router speaks.
    #[error(
        "Beeswax has no delegation, so the router cannot speak for a Kerberos user there; use HS2 \
         (impala-shell --protocol=hs2)"
    )]
    Beeswax,
    /// The method does not act with the rights of the session's user.
    #[error("{0} is not available through a router that speaks for its users")]
    Method(&'static str),
    /// The method is in no table, so it may act with other rights.
    #[error("the method is not one that the router knows, and it speaks for its users in no other")]
    UnknownMethod,
    /// The client must not speak for that user.
    #[error(
        "user {user:?} must not act for user {claimed:?}: proxy_users in [listener.kerberos] does not allow it"
    )]
    Claim {
        /// Who the client is.
        user: String,
        /// The user whom it names.
        claimed: String,
    },
    /// The request to open a session names two users.
    #[error("doAs in the query and the session's configuration name different users")]
    TwoClaims,
    /// The request to open a session cannot be read.
    #[error(transparent)]
    Open(#[from] BadOpen),
    /// The request to open a session is longer than what is held.
    #[error("the OpenSession request is longer than the router holds (replay_limit, replay_memory)")]
    TooLong,
}

impl NotAllowed {
    fn claim(caller: &Caller, claimed: &str) -> Self {
        Self::Claim { user: caller.user().to_owned(), claimed: claimed.to_owned() }
    }

    fn sql_state(&self) -> SqlState {
        match self {
            Self::Handle(_) | Self::NoHandle | Self::Open(_) | Self::TooLong => SqlState::General,
            Self::Beeswax | Self::Method(_) | Self::UnknownMethod | Self::Claim { .. } | Self::TwoClaims => {
                SqlState::Refused
            }
        }
    }
}

/// Judges the call of a client for whom the router speaks, and makes the connection's calls those of the
/// session's user. Writes the user into a request that opens a session. Nothing is judged for other clients.
///
/// # Errors
/// When the call must not be sent.
pub(crate) fn judge<S: Stream>(conn: &mut Conn<S>, request: &mut Request) -> Result<(), NotAllowed> {
    if let Some(named) = do_as(request) {
        conn.links.speak_only_for(named).map_err(|caller| NotAllowed::claim(caller, named))?;
    }
    let Some(caller) = conn.links.caller().cloned() else { return Ok(()) };
    let (method, facts) = (request.method(), request.facts());
    if method.service == Owner::Beeswax || facts.query_id.is_some() {
        return Err(NotAllowed::Beeswax);
    }
    // If the coordinator saw the request end elsewhere, the rest would be another call, with the router's rights.
    if method.service == Owner::Unknown {
        return Err(NotAllowed::UnknownMethod);
    }
    if !request.ends_for_sure() || WITH_OTHER_RIGHTS.contains(&method.name) {
        return Err(NotAllowed::Method(method.name));
    }
    if method.role == Role::OpenSession {
        return name_user(conn, request, &caller);
    }
    let named = owner(&conn.fleet.table, method, facts)?;
    if !caller.owns(&named.owner) {
        return Err(NotAllowed::Handle(GuidText(named.handle.guid)));
    }
    conn.links.act_for(named.owner);
    Ok(())
}

/// The user whom the request's query names, if it names one.
fn do_as(request: &Request) -> Option<&str> {
    request.over_http.as_ref()?.head.do_as()
}

/// What a call names, and whose that is.
struct Named {
    handle: Handle,
    owner: Arc<Delegated>,
}

/// Returns what a call names, with its owner.
///
/// # Errors
/// When it names nothing, or nothing that is known by this guid and secret.
fn owner(table: &Table, method: &Method, facts: &Facts) -> Result<Named, NotAllowed> {
    let unknown = |handle: Handle| NotAllowed::Handle(GuidText(handle.guid));
    if let Some(handle) = operation_of(method, facts) {
        let owner = table.delegated_operation(&handle).ok_or_else(|| unknown(handle))?;
        return Ok(Named { handle, owner });
    }
    let handle = session_of(method, facts).ok_or(NotAllowed::NoHandle)?;
    let owner = table.delegated_session(&handle).ok_or_else(|| unknown(handle))?;
    if method.role == Role::Profile {
        // The operation may be closed by now. Its session is not known then, but the coordinator compares users.
        let operation = facts.handle().ok_or(NotAllowed::NoHandle)?;
        let is_others = table.delegated_operation(&operation).is_some_and(|other| other != owner);
        if is_others || !table.is_operation(&operation) {
            return Err(unknown(operation));
        }
    }
    Ok(Named { handle, owner })
}

/// Writes the user for whom a session is opened into the request, in place of what the client wrote there.
fn name_user<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    caller: &Caller,
) -> Result<(), NotAllowed> {
    let open = ForUser::read(request.message().ok_or(NotAllowed::TooLong)?)?;
    let owner = match open.claimed.as_deref() {
        None => caller.itself(),
        Some(claimed) if caller.only().is_some_and(|only| only != claimed) => {
            return Err(NotAllowed::TwoClaims);
        }
        Some(claimed) => caller.on_behalf_of(claimed).ok_or_else(|| NotAllowed::claim(caller, claimed))?,
    };
    let family = conn.fleet.cluster.flavor.family();
    let written = open.write(family, &owner.user, request.facts().seqid);
    if !request.replace(&written) {
        return Err(BadOpen::Malformed.into());
    }
    conn.links.act_for(owner.into());
    Ok(())
}

/// Tells a client why its call was not sent.
pub(crate) async fn refuse<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    why: &NotAllowed,
) -> Result<CallOutcome, End> {
    let service = service(request.method(), request.facts(), &conn.past);
    let answer = NoAnswer { sql_state: why.sql_state(), message: format!("hs2router ({}): {why}", conn.id) };
    refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
}
