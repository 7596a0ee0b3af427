//! Locates handles that the table lacks: asks every coordinator, under the client's own credentials, which of
//! them has it. [`crate::session::locate`] decides what may be asked and what the answers mean.

mod logins;
pub(crate) mod round;
mod whose;

use std::future::Future;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::cluster::room::Purpose;
use crate::cluster::{Coordinator, Flavor};
use crate::ids::CoordinatorId;
use crate::metrics::LocateOutcome;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::locate::round::{Heard, Refused, Round};
use crate::serve::call::outcome::Failed;
use crate::serve::call::{braking, expired};
use crate::serve::fleet::lookups::Lookup;
use crate::serve::link::port::Claimant;
use crate::serve::message::end::End;
use crate::serve::message::http::answer::Refusal;
use crate::serve::message::link_end::Look;
use crate::serve::message::request::Request;
use crate::session::decide::{Affinity, Past, Plan, decide, question};
use crate::session::idle::IdleTimeout;
use crate::session::learn::runs;
use crate::session::locate::{Finding, Question};
use crate::session::table::{LocatedOperation, NewSession, SessionEnd};
use crate::wire::facts::{Facts, GuidText};
use crate::wire::method::Method;
use crate::wire::verdict::Verdict;

/// A lookup is given up after this many times `connect_timeout`: once for the dial, once for everything else.
const PATIENCE: u32 = 2;

/// What comes of a call whose handle the table lacks.
pub(crate) enum Located {
    /// It goes there.
    Goes(Plan),
    /// This is its answer: a coordinator refused the credentials that came with it, and none accepted them.
    Refused(Box<Refusal>),
}

/// The result of a lookup.
#[derive(Default)]
struct Found {
    /// None if no coordinator was asked.
    finding: Option<Finding>,
    /// A coordinator's refusal, if none has said anything of the handle.
    refusal: Option<Box<Refusal>>,
}

/// Returns where a call goes whose handle the table lacks: to the owner, or else to a coordinator that can
/// say what is wrong with the handle. If no coordinator was asked or answered, it goes where it would go
/// without a lookup. If the question was refused for its credentials, the call would be, too, and the refusal
/// is its answer. Takes [`PATIENCE`] times `connect_timeout` at most.
///
/// # Errors
/// [`End::ClientGone`], when the client leaves meanwhile.
pub(crate) async fn locate_owner<S: Stream>(
    conn: &mut Conn<S>,
    question: Question,
    method: &'static Method,
    request: &Facts,
) -> Result<Located, End> {
    // A ticket is for the call itself.
    let Found { finding, refusal } =
        if conn.links.shows_ticket() { Found::default() } else { locate(conn, question, None).await? };
    if let Some(refusal) = refusal {
        braking::note_in_vain(conn);
        return Ok(Located::Refused(refusal));
    }
    let affinity =
        if finding.is_some_and(Finding::is_claimed) { Affinity::Located } else { Affinity::Nowhere };
    Ok(Located::Goes(match finding.and_then(Finding::coordinator) {
        Some(coordinator) => Plan::Owner { coordinator, affinity },
        None => decide(method, request, &Past { locates: false, ..conn.past }, &conn.fleet.table),
    }))
}

/// Looks for the session that a call names, where the router speaks for the client. Returns whether it was found and
/// was opened for a user that the client may act for. Operations are not looked for, because no coordinator tells
/// which user they belong to. Takes as long as [`locate_owner`].
///
/// # Errors
/// [`End::ClientGone`], when the client leaves meanwhile.
pub(crate) async fn locate_session<S: Stream>(conn: &mut Conn<S>, request: &Request) -> Result<bool, End> {
    let named = question(request.method(), request.facts());
    let Some(question @ Question::Session(session)) = named else { return Ok(false) };
    let fleet = &conn.fleet;
    let can_be_found = fleet.cluster.flavor == Flavor::Impala
        && fleet.cluster.outlive_connections(conn.hs2())
        && fleet.cluster.coordinators().iter().any(|coordinator| coordinator.ports.web.is_some());
    // Of a known one it is known whose it is.
    if !can_be_found || fleet.table.session_owner(&session.guid).is_some() {
        return Ok(false);
    }
    let found = locate(conn, question, None).await?;
    Ok(found.finding.is_some_and(Finding::is_claimed))
}

/// Locates the handle of a call again, once, whose located coordinator does not have it. That coordinator was
/// wrong then, or has ended the session or operation since. Asks all coordinators but that one.
pub(crate) async fn locate_elsewhere<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    wrong: &Coordinator,
    failed: &Failed,
) -> Result<Option<Arc<Coordinator>>, End> {
    let lacks_it =
        matches!(failed, Failed::Refused { verdict: Verdict::NoSuchSession | Verdict::NoSuchOperation, .. });
    let Some(question) = request.doubt.take().filter(|_| lacks_it && request.is_whole()) else {
        return Ok(None);
    };
    tracing::debug!(coordinator = %wrong.name, handle = ?question.handle(), "not found where it was located");
    let handle = question.handle();
    conn.in_use = None;
    conn.attached.forget(&handle.guid);
    match question {
        Question::Session(_) if conn.fleet.table.is_session(&handle) => {
            conn.fleet.table.remove_session(&handle.guid, SessionEnd::Gone);
        }
        Question::Session(_) => {}
        Question::Operation(..) => conn.fleet.table.forget_operation(&handle),
    }
    let found = locate(conn, question, Some(wrong.id)).await?;
    // Refreshed from the table, which has changed.
    let _over = expired::use_session(conn, request);
    let found = found.finding.filter(|found| found.is_claimed()).and_then(Finding::coordinator);
    Ok(found.and_then(|found| conn.fleet.cluster.coordinator(found)))
}

/// Looks for the coordinator that has the handle, or that can say what is wrong with it, other than `except`.
async fn locate<S: Stream>(
    conn: &mut Conn<S>,
    question: Question,
    except: Option<CoordinatorId>,
) -> Result<Found, End> {
    let fleet = Arc::clone(&conn.fleet);
    let deadline = Instant::from_std(clock::now() + conn.shared.settings.connect_timeout * PATIENCE);
    let key = fleet.lookups.key(&question, &conn.links.session_access());
    let first = loop {
        let answer = match fleet.lookups.join(key, clock::now()) {
            Lookup::First(first) => break first,
            Lookup::Joins(answer) => answer,
            Lookup::Nowhere => return Ok(not_asked(conn, &question, LocateOutcome::Remembered, None)),
        };
        match until(conn, deadline, answer.told()).await? {
            Some(Some(finding)) => {
                let finding = Some(finding).filter(|it| except.is_none() || it.coordinator() != except);
                return Ok(not_asked(conn, &question, LocateOutcome::Joined, finding));
            }
            // The connection that asked gave up, so this one asks.
            Some(None) => {}
            None => return Ok(not_asked(conn, &question, LocateOutcome::Limited, None)),
        }
    };
    let turn = until(conn, deadline, fleet.lookups.turn(conn.client.address())).await?;
    let Some(Some(_turn)) = turn else {
        return Ok(not_asked(conn, &question, LocateOutcome::Limited, None));
    };
    let heard = ask_all(conn, question, except, deadline).await?;
    let finding = whose::vouched(conn, &question, heard.answers.finding(), deadline).await?;
    let refusal = note_heard(conn, question, finding, heard).filter(|_| finding.coordinator().is_none());
    first.tell(finding, clock::now());
    Ok(Found { finding: Some(finding), refusal })
}

/// Waits for `wanted` until the deadline, as long as the client is there; none if the time is over.
async fn until<S: Stream, T>(
    conn: &Conn<S>,
    deadline: Instant,
    wanted: impl Future<Output = T>,
) -> Result<Option<T>, End> {
    tokio::select! {
        biased;
        done = timeout_at(deadline, wanted) => Ok(done.ok()),
        () = conn.client.closed() => Err(End::client_gone()),
    }
}

fn not_asked<S: Stream>(
    conn: &Conn<S>,
    question: &Question,
    outcome: LocateOutcome,
    finding: Option<Finding>,
) -> Found {
    conn.shared.metrics.handle_lookups.count(outcome);
    tracing::debug!(handle = ?question.handle(), ?outcome, "not asked for a handle");
    Found { finding, refusal: None }
}

async fn ask_all<S: Stream>(
    conn: &mut Conn<S>,
    question: Question,
    except: Option<CoordinatorId>,
    deadline: Instant,
) -> Result<Heard<S>, End> {
    let coordinators = conn.fleet.cluster.coordinators();
    let own = coordinators
        .iter()
        .filter(|coordinator| Some(coordinator.id) != except)
        .filter_map(|coordinator| conn.links.take(coordinator.id, conn.hs2(), Look::Briefly))
        .collect();
    let round = Round {
        fleet: &conn.fleet,
        shared: &conn.shared,
        links: &conn.links,
        client: &conn.client,
        claimant: Claimant {
            holder: conn.holder(),
            client: Some(conn.client.address()),
            turn: conn.turn(),
            purpose: Purpose::Work,
        },
        question,
        except,
        deadline,
    };
    tokio::select! {
        biased;
        heard = round.ask_all(own, conn.past.last) => Ok(heard),
        () = conn.client.gone() => Err(End::client_gone()),
    }
}

/// Notes what was heard, and returns a refusal over HTTP if there was one. The table knows the owner before the
/// call goes on, and before others are told.
fn note_heard<S: Stream>(
    conn: &mut Conn<S>,
    question: Question,
    finding: Finding,
    heard: Heard<S>,
) -> Option<Box<Refusal>> {
    let handle = question.handle();
    let outcome = match finding {
        Finding::Owner(owner) => {
            let reply = heard.replies.iter().find(|(coordinator, _)| *coordinator == owner);
            if let (Some(owner), Some((_, reply))) = (conn.fleet.cluster.coordinator(owner), reply) {
                note_found(conn, question, &owner, reply);
            }
            LocateOutcome::Found
        }
        Finding::Refused(_) | Finding::Disputed(_) => LocateOutcome::Refused,
        Finding::Nowhere { all: true, .. } => LocateOutcome::Nowhere,
        Finding::Nowhere { all: false, .. } => LocateOutcome::Unanswered,
    };
    conn.shared.metrics.handle_lookups.count(outcome);
    if outcome != LocateOutcome::Found {
        tracing::debug!(?handle, ?outcome, silent = heard.silent.len(), "asked for a handle");
        for coordinator in heard.silent.iter().filter_map(|id| conn.fleet.cluster.coordinator(*id)) {
            conn.fleet.doubt(&coordinator, conn.hs2());
        }
    }
    if heard.refused {
        conn.links.note_refused();
    }
    for used in heard.links {
        // A link that no further call will use would only cost its coordinator a service thread.
        if !used.dialed || finding.coordinator() == Some(used.link.coordinator.id) {
            conn.links.put(used.link);
        }
    }
    let Refused { coordinator, refusal } = heard.refusal?;
    if refusal.is_unauthorized() {
        conn.links.note_unauthorized(coordinator);
    }
    Some(refusal)
}

fn note_found<S: Stream>(conn: &mut Conn<S>, question: Question, owner: &Arc<Coordinator>, reply: &Facts) {
    let handle = question.handle();
    let (coordinator, name) = (owner.id, &owner.name);
    match question {
        Question::Session(_) => {
            let (guid, secret) = (handle.guid, Some(handle.secret));
            let session = GuidText(guid);
            if let Some(left_out) = conn.shared.admit_line("session located", "") {
                tracing::info!(%session, coordinator = %name, left_out, "session located");
            }
            let (count, tenancy) = (owner.count_session(), conn.links.begin_session(owner));
            let access = conn.links.session_access();
            let (idle_timeout, now) = (IdleTimeout::default(), clock::now());
            let new = NewSession { guid, secret, coordinator, access, count, tenancy, idle_timeout, now };
            match conn.fleet.table.insert_located_session(new) {
                Ok(()) => conn.name_span(owner, Some(session)),
                Err(error) => conn.shared.warn_unknown(&session, error),
            }
        }
        Question::Operation(..) => {
            if let Some(left_out) = conn.shared.admit_line("operation located", "") {
                let operation = GuidText(handle.guid);
                tracing::info!(%operation, coordinator = %name, left_out, "operation located");
            }
            let counted = owner.count_operation();
            let running = runs(reply, conn.fleet.cluster.flavor).then(|| owner.count_running().minted());
            let open = conn.open.count();
            let new = LocatedOperation { handle, coordinator, running, open, counted };
            conn.fleet.table.insert_located_operation(new, clock::now());
        }
    }
}
