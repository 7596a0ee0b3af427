//! Where a call goes: a pure function of what the call carries, what is known, and what its connection did
//! before.

use super::locate::Question;
use super::table::Table;
use crate::cluster::room::Purpose;
use crate::ids::{CoordinatorId, Service};
use crate::wire::facts::{Facts, Handle, OperationType};
use crate::wire::method::{Method, Owner, Role};

/// What a connection did before the call.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// The service that its last call was for; the listener's until there was one.
    pub service: Service,
    /// The port that its calls of HS2 go to: that depends on how its messages travel.
    pub hs2: Service,
    /// The coordinator that its last call went to.
    pub last: Option<CoordinatorId>,
    /// The coordinator of its Beeswax session.
    pub beeswax: Option<CoordinatorId>,
    /// Whether its cluster has Beeswax ports. Where it has none, Beeswax calls get what a client that came to
    /// the wrong port would get: an HS2 port's own words.
    pub has_beeswax: bool,
    /// Whether a handle that the table lacks is located. A coordinator can have it all the same only where
    /// sessions outlive the connections that opened them.
    pub locates: bool,
}

/// Where a call goes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// A new session: picked by load.
    Open,
    /// A Beeswax connection's first call, which makes its session: picked by load.
    OpenBeeswax,
    /// To the owner of what it names, or where the connection's session is.
    Owner {
        /// The owner.
        coordinator: CoordinatorId,
        /// Why it is the owner.
        affinity: Affinity,
    },
    /// The table lacks what it names: every coordinator is asked.
    Locate(Question),
    /// Nothing says where: any coordinator, for its own words.
    Any,
}

/// Why a call belongs to a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// It names a session of that coordinator.
    Session,
    /// It names an operation of that coordinator.
    Operation,
    /// Its connection's Beeswax session is there.
    Beeswax,
    /// All were asked, and that coordinator says that it has it.
    Located,
    /// All were asked, and none has it; that coordinator has the words for that.
    Nowhere,
    /// It names nothing that is known; its connection was there last.
    Last,
}

/// The service that a call is for.
pub fn service(method: &Method, request: &Facts, past: &Past) -> Service {
    let beeswax = match method.service {
        Owner::Hs2 => false,
        Owner::Beeswax => true,
        Owner::Either => request.query_id.is_some(),
        Owner::Unknown => past.service == Service::Beeswax,
    };
    if beeswax && past.has_beeswax && past.hs2 == Service::Hs2 { Service::Beeswax } else { past.hs2 }
}

/// Where the call goes.
pub fn decide(method: &Method, request: &Facts, past: &Past, table: &Table) -> Plan {
    let beeswax = service(method, request, past) == Service::Beeswax;
    let owner = match method.role {
        Role::OpenSession => return Plan::Open,
        // A Beeswax statement runs in its connection's session.
        Role::Statement | Role::Metadata | Role::CloseSession | Role::UseSession => session(request, table),
        Role::UseOperation | Role::CancelOperation | Role::Fetch | Role::Poll | Role::CloseOperation => {
            operation(request, table)
        }
        Role::Profile => operation(request, table).or_else(|| second_session(request, table)),
        Role::Connection => None,
        Role::Unknown => session(request, table).or_else(|| operation(request, table)),
    };
    if owner.is_none()
        && past.locates
        && !beeswax
        && let Some(question) = question(method, request)
    {
        return Plan::Locate(question);
    }
    let home = past.beeswax.filter(|_| beeswax).map(|coordinator| (coordinator, Affinity::Beeswax));
    let last = past.last.filter(|_| !beeswax).map(|coordinator| (coordinator, Affinity::Last));
    match owner.or(home).or(last) {
        Some((coordinator, affinity)) => Plan::Owner { coordinator, affinity },
        None if beeswax => Plan::OpenBeeswax,
        None => Plan::Any,
    }
}

/// What a call wants a link for: one that cancels or closes something must not wait for what it is to end.
pub fn purpose(method: &Method) -> Purpose {
    match method.role {
        Role::CancelOperation | Role::CloseOperation | Role::CloseSession => Purpose::Relief,
        _ => Purpose::Work,
    }
}

/// The question that locates the handle of a call. None for a method that is not known: its handle may be a
/// session's or an operation's.
pub fn question(method: &Method, request: &Facts) -> Option<Question> {
    match method.role {
        Role::UseOperation | Role::CancelOperation | Role::Fetch | Role::Poll | Role::CloseOperation => {
            let kind = request.operation_type.unwrap_or(OperationType::EXECUTE_STATEMENT);
            Some(Question::Operation(request.handle()?, kind))
        }
        // Of a profile, too: its operation may be closed, and its session judges (Impala:
        // `GetRuntimeProfile`).
        _ => Some(Question::Session(session_of(method, request)?)),
    }
}

/// The handle of the session that a call names, if it is for one; whether its secret is right is not judged.
pub fn session_of(method: &Method, request: &Facts) -> Option<Handle> {
    match method.role {
        Role::Statement | Role::Metadata | Role::CloseSession | Role::UseSession => request.handle(),
        Role::Profile => request.second_handle(),
        _ => None,
    }
}

/// The handle of the operation that a call names, if it is for one; whether its secret is right is not
/// judged.
pub fn operation_of(method: &Method, request: &Facts) -> Option<Handle> {
    match method.role {
        Role::UseOperation | Role::CancelOperation | Role::Fetch | Role::Poll | Role::CloseOperation => {
            request.handle()
        }
        _ => None,
    }
}

fn session(request: &Facts, table: &Table) -> Option<(CoordinatorId, Affinity)> {
    Some((table.session_owner(&request.handle()?.guid)?, Affinity::Session))
}

fn second_session(request: &Facts, table: &Table) -> Option<(CoordinatorId, Affinity)> {
    Some((table.session_owner(&request.second_handle()?.guid)?, Affinity::Session))
}

fn operation(request: &Facts, table: &Table) -> Option<(CoordinatorId, Affinity)> {
    Some((table.operation_owner(&request.key()?)?, Affinity::Operation))
}

#[cfg(test)]
mod tests;
