//! Logs in to a coordinator: with which credentials, and with what result. The result is a verdict, or what
//! came in its place and the likely reason.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::clock;
use crate::cluster::Coordinator;
use crate::ids::{Access, Identity, Service, Transport};
use crate::metrics::DialOutcome;
use crate::net::flow;
use crate::net::probe::Speaks;
use crate::net::stream::{LinkStream, Stream};
use crate::net::tls::client::TlsFailure;
use crate::net::tls::io::{Failure, Io};
use crate::serve::link::handshake::{AtOnce, Handshake};
use crate::serve::link::no_link::{NoLink, Unreached};
use crate::serve::link::no_verdict::{Likely, NoVerdict};
use crate::serve::link::port::Port;
use crate::serve::link::router_login::{ByTicket, RouterLogin};
use crate::serve::shared::Shared;
use crate::wire::detect::Speech;
use crate::wire::http::request::CallHead;
use crate::wire::sasl::{Answer, Credentials, SaslError, Status};

/// How many characters of a user's name are logged when a login fails.
const LOGGED_CHARS: usize = 64;

/// The credentials that a link is authenticated with, if any.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    /// No login: the port expects none, or the link is used for no particular client.
    Nobody,
    /// A client's name and password, for SASL PLAIN.
    Plain(Arc<Credentials>),
    /// What a client sends with each request over HTTP: nothing is shown before.
    EachTime(Arc<CallHead>),
    /// The router's own ticket, for users whom it has authenticated itself.
    Router(Arc<RouterLogin>),
}

impl Login {
    /// The access of a client with these credentials: they are shown in SASL, so its messages travel in that.
    pub(crate) fn access_of(credentials: &Credentials) -> Access {
        Access { identity: Identity::Plain(credentials.user().into()), transport: Transport::Sasl }
    }

    /// Whether credentials are sent on each new link.
    pub(crate) fn is_shown(&self) -> bool {
        matches!(self, Self::Plain(_) | Self::Router(_))
    }

    /// Whether a client's password is sent on each new link.
    pub(crate) fn shows_password(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// What the heads of requests say about the user on a link over HTTP.
    pub(crate) fn head(&self) -> Arc<CallHead> {
        match self {
            Self::EachTime(head) => Arc::clone(head),
            Self::Nobody | Self::Plain(_) | Self::Router(_) => Arc::new(CallHead::anonymous()),
        }
    }

    /// The first bytes of a client's login. Equal logins begin with equal bytes. `None` if no credentials of a
    /// client are sent.
    pub(crate) fn opening(&self) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Nobody | Self::EachTime(_) | Self::Router(_) => None,
            Self::Plain(credentials) => Some(credentials.opening()),
        }
    }

    /// Begins a login at this port: gets what it begins with.
    ///
    /// # Errors
    /// When the router has no ticket for the coordinator.
    pub(crate) async fn begin<S: Stream>(
        &self,
        port: &Port<S>,
        allowed: Duration,
    ) -> Result<First<'_>, NoLink> {
        let host = &port.coordinator.host;
        Ok(match self {
            Self::Nobody | Self::EachTime(_) => First::Nothing,
            Self::Plain(credentials) => First::Handshake(Begun::Plain(AtOnce::new(credentials))),
            Self::Router(router) if port.service == Service::Hs2Http => {
                First::Head(Box::new(router.head(host, allowed).await?))
            }
            Self::Router(router) => {
                First::Handshake(Begun::Router(Box::new(router.begin(host, allowed).await?)))
            }
        })
    }
}

/// What a login begins with.
pub(crate) enum First<'a> {
    /// Nothing: no credentials are sent before the first request.
    Nothing,
    /// A handshake.
    Handshake(Begun<'a>),
    /// The head of the first request over HTTP, which has a ticket of the router's own.
    Head(Box<CallHead>),
}

/// A handshake that can begin.
pub(crate) enum Begun<'a> {
    Plain(AtOnce<'a>),
    Router(Box<ByTicket>),
}

/// Logs in on a connection that was just dialed, and records what the result says about the coordinator.
///
/// # Errors
/// [`NoLink::HandshakeLost`] when the connection broke before a byte was written.
/// [`NoLink::CredentialsRefused`] when the coordinator refused the credentials. [`NoLink::NoVerdict`] when
/// the coordinator closed the connection, answered something else, or did not answer within
/// `handshake_timeout`.
pub(crate) async fn log_in<S: Stream>(
    stream: &mut Io<LinkStream<S>>,
    begun: Begun<'_>,
    port: &Port<S>,
    shared: &Shared<S>,
) -> Result<(), NoLink> {
    match begun {
        Begun::Plain(plain) => {
            let user = plain.credentials.user();
            let verdict = watched(stream, plain, Likely::of(&port.coordinator, port.flavor), port, shared);
            let verdict = verdict.await;
            if let Err(no_link) = &verdict {
                log(shared, &port.coordinator, user, no_link);
            }
            note(port, &verdict);
            verdict
        }
        Begun::Router(by_ticket) => {
            let likely = match Likely::of(&port.coordinator, port.flavor) {
                Likely::WrongCredentials => Likely::TicketRefused,
                likely => likely,
            };
            let verdict = watched(stream, *by_ticket, likely, port, shared).await.map_err(NoLink::of_router);
            if let Err(no_link) = &verdict {
                log_own(shared, &port.coordinator, no_link);
            }
            note_own(port, &verdict);
            verdict
        }
    }
}

/// Carries out a handshake, which also ends when nothing on the port is answered any more.
async fn watched<S: Stream>(
    stream: &mut Io<LinkStream<S>>,
    handshake: impl Handshake,
    likely: Likely,
    port: &Port<S>,
    shared: &Shared<S>,
) -> Result<(), NoLink> {
    let _counted = port.watch.logging_in();
    let verdict = authenticate(stream, handshake, shared.settings.handshake_timeout, likely);
    // Even if the port falls silent, the credentials must not be sent to another coordinator.
    let answer = port.watch.answer(Speaks::Sasl, verdict).await;
    answer.unwrap_or_else(|silent| Err(NoVerdict::PortSilent(silent).into()))
}

/// Logs that the router's own login failed: all users need it.
pub(crate) fn log_own<S: Stream>(
    shared: &Shared<S>,
    coordinator: &Coordinator,
    cause: &(impl fmt::Display + ?Sized),
) {
    if let Some(left_out) = shared.admit_line("the router's own login failed", "") {
        tracing::warn!(coordinator = %coordinator.name, %cause, left_out, "the router's own login failed");
    }
}

/// Records what a login of the router's own says about the coordinator. No client can make it fail.
fn note_own<S: Stream>(port: &Port<S>, verdict: &Result<(), NoLink>) {
    match verdict {
        Ok(()) => return port.coordinator.note_logged_in(port.service),
        Err(_) => port.coordinator.note_login_unanswered(port.service, clock::now()),
    }
    port.counters.dials.count(DialOutcome::CredentialsRefused);
    port.watch.probe_now();
}

/// Logs a failed login: somebody may be guessing passwords, a program may still have an old password, or the
/// port may not be what the configuration says. The connection's span names client and listener.
fn log<S: Stream>(shared: &Shared<S>, coordinator: &Coordinator, user: &str, no_link: &NoLink) {
    // The name is quoted and cut, because strangers may write anything here.
    let user: String = user.chars().take(LOGGED_CHARS).collect();
    match no_link {
        // Impala refuses credentials by closing the connection, so that is logged as a refusal.
        NoLink::CredentialsRefused { .. }
        | NoLink::NoVerdict(NoVerdict::Closed(Likely::WrongCredentials)) => {
            if let Some(left_out) = shared.admit_line("login refused", "") {
                tracing::info!(?user, coordinator = %coordinator.name, cause = %no_link, left_out, "login refused");
            }
        }
        NoLink::NoVerdict(no_verdict) => {
            if let Some(left_out) = shared.admit_line("login without a verdict", no_verdict.kind()) {
                tracing::info!(?user, coordinator = %coordinator.name, cause = %no_verdict, left_out, "login without a verdict");
            }
        }
        lost => {
            if let Some(left_out) = shared.admit_line("login lost", "") {
                tracing::info!(coordinator = %coordinator.name, cause = %lost, left_out, "login lost");
            }
        }
    }
}

/// Records what a login says about the coordinator. A verdict says nothing against it, because a client can
/// send wrong passwords; but no client can make a coordinator fall silent or answer nonsense.
fn note<S: Stream>(port: &Port<S>, verdict: &Result<(), NoLink>) {
    match verdict {
        Ok(()) => return port.coordinator.note_logged_in(port.service),
        // A close may mean more than a refusal; a probe finds that out.
        Err(no_link) if no_link.is_verdict() => port.counters.dials.count(DialOutcome::CredentialsRefused),
        Err(_) => port.coordinator.note_login_unanswered(port.service, clock::now()),
    }
    port.watch.probe_now();
}

/// Exchanges the messages of a handshake. Once the first one is written, the way the exchange ends is the
/// coordinator's verdict.
pub(crate) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mut handshake: impl Handshake,
    allowed: Duration,
    likely: Likely,
) -> Result<(), NoLink> {
    let opening = handshake.opening();
    flow::write_all(stream, &opening, allowed).await.map_err(|(error, written)| match written {
        0 => NoLink::HandshakeLost(error),
        _ => NoVerdict::Unsent(error).into(),
    })?;
    match timeout(allowed, verdict(stream, &mut handshake, allowed)).await {
        Ok(Ok(Verdict::Accepted)) => Ok(()),
        Ok(Ok(Verdict::Refused { status, text })) => Err(NoLink::CredentialsRefused { status, text }),
        Ok(Ok(Verdict::Closed)) => Err(NoVerdict::Closed(likely).into()),
        Ok(Ok(Verdict::Unwelcome(failure))) => Err(unwelcome(failure)),
        Ok(Err(no_verdict)) => Err(no_verdict.into()),
        Err(_elapsed) => Err(NoVerdict::Silent(allowed).into()),
    }
}

/// The coordinator has refused the router's certificate, before it looked at the credentials: of a client
/// that it does not accept it reads nothing.
fn unwelcome(failure: TlsFailure) -> NoLink {
    Unreached::from(failure).into()
}

/// How a coordinator ended the handshake.
enum Verdict {
    Accepted,
    Refused {
        status: Status,
        text: Vec<u8>,
    },
    /// The coordinator closed the connection instead.
    Closed,
    /// The coordinator does not accept the router's certificate.
    Unwelcome(TlsFailure),
}

async fn verdict<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    handshake: &mut impl Handshake,
    allowed: Duration,
) -> Result<Verdict, NoVerdict> {
    loop {
        let chunk = match flow::read(stream).await {
            Ok(chunk) if !chunk.is_empty() => chunk,
            Ok(_) => return Ok(Verdict::Closed),
            Err(error) => return Ok(Failure::unwelcome(&error).map_or(Verdict::Closed, Verdict::Unwelcome)),
        };
        match handshake.push(&chunk).await {
            Ok(Answer::NeedMore) => {}
            Ok(Answer::Respond(response)) => {
                let written = flow::write_all(stream, &response, allowed).await;
                written.map_err(|(error, _)| NoVerdict::Unsent(error))?;
            }
            Ok(Answer::Accepted) => return Ok(Verdict::Accepted),
            Ok(Answer::Refused { status, text }) => return Ok(Verdict::Refused { status, text }),
            Ok(Answer::GaveUp(error)) => return Err(NoVerdict::GaveUp(error)),
            // Not even the first byte is SASL, so this chunk is all that has come.
            Err(SaslError::UnknownStatus { .. }) => {
                return Err(Speech::guess(&chunk).map_or(NoVerdict::Nonsense, NoVerdict::Foreign));
            }
            Err(error) => return Err(NoVerdict::BadSasl(error)),
        }
    }
}
