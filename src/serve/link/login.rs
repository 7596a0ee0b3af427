//! Logs in to a coordinator: with which credentials, and with what result. The result is a verdict, or what
//! came in its place and the likely reason.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::clock;
use crate::cluster::{Coordinator, Flavor};
use crate::ids::{Access, Identity, Transport};
use crate::metrics::DialOutcome;
use crate::net::flow::{self, WriteError};
use crate::net::probe::Speaks;
use crate::net::stream::{LinkStream, Stream};
use crate::net::tls::client::TlsFailure;
use crate::net::tls::io::{Failure, Io};
use crate::serve::link::no_link::{NoLink, Unreached};
use crate::serve::link::port::Port;
use crate::serve::link::watch::Silent;
use crate::serve::message::reply::advice;
use crate::serve::shared::Shared;
use crate::wire::detect::Speech;
use crate::wire::http::request::CallHead;
use crate::wire::sasl::mechanism::{Mechanism, Plain};
use crate::wire::sasl::{Answer, Credentials, Initiator, SaslError, Status};

/// How many characters of a user's name are logged when a login fails.
const LOGGED_CHARS: usize = 64;

/// The hint for clients of a coordinator that expects no login.
const NO_LOGIN: &str = "clients then need auth=noSasl (JDBC) or auth_mechanism=\"NOSASL\" (impyla)";

/// The credentials that a link is authenticated with, if any.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    /// No login: the port expects none, or the link is used for no particular client.
    Nobody,
    /// A client's name and password, for SASL PLAIN.
    Plain(Arc<Credentials>),
    /// What a client sends with each request over HTTP: nothing is shown before.
    EachTime(Arc<CallHead>),
}

impl Login {
    /// The access of a client with these credentials: they are shown in SASL, so its messages travel in that.
    pub(crate) fn access_of(credentials: &Credentials) -> Access {
        Access { identity: Identity::Plain(credentials.user().into()), transport: Transport::Sasl }
    }

    /// Whether credentials are sent on each new link.
    pub(crate) fn is_shown(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The user name in the credentials.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Nobody | Self::EachTime(_) => None,
            Self::Plain(credentials) => Some(credentials.user()),
        }
    }

    /// What the heads of requests say about the user on a link over HTTP.
    pub(crate) fn head(&self) -> Arc<CallHead> {
        match self {
            Self::EachTime(head) => Arc::clone(head),
            Self::Nobody | Self::Plain(_) => Arc::new(CallHead::anonymous()),
        }
    }

    /// The first bytes of the login. Equal logins begin with equal bytes. `None` if no credentials are sent.
    pub(crate) fn opening(&self) -> Option<Zeroizing<Vec<u8>>> {
        Some(self.mechanism()?.opening())
    }

    /// The SASL mechanism that performs the login. `None` if no credentials are sent.
    fn mechanism(&self) -> Option<impl Mechanism> {
        match self {
            Self::Nobody | Self::EachTime(_) => None,
            Self::Plain(credentials) => Some(Plain::new(credentials)),
        }
    }
}

/// The outcome of a login that ended without a verdict on the credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoVerdict {
    /// The link was lost while the credentials were written; the coordinator may have received part of them.
    #[error("it was lost while the credentials were sent: {0}")]
    Unsent(WriteError),
    /// The coordinator closed the connection.
    #[error("it closed the connection without a verdict: {0}")]
    Closed(Likely),
    /// The coordinator answered in another protocol.
    #[error("it answered the login with what looks like {0}: {todo}", todo = advice(*.0))]
    Foreign(Speech),
    /// The coordinator answered in no protocol that the router recognises.
    #[error("its answer to the login is no SASL message, so it seems not to use SASL; {NO_LOGIN}")]
    Nonsense,
    /// The coordinator answered with a SASL message that PLAIN does not allow.
    #[error("{0}")]
    BadSasl(SaslError),
    /// The coordinator did not answer in time.
    #[error(
        "no answer to the credentials within {0:?} (handshake_timeout): perhaps all its threads are in use; or its port \
         expects no login (impalad is silent then): {NO_LOGIN}"
    )]
    Silent(Duration),
    /// The coordinator did not answer, and its port no longer answers probes either.
    #[error("{0}, so the password was neither accepted nor refused: log in again")]
    PortSilent(Silent),
}

/// The probable reason why a coordinator closed the connection instead of giving a verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Likely {
    /// The coordinator has been seen to open sessions without a login.
    NoLogin,
    /// The credentials are wrong: Impala's `TSaslTransport::doSaslNegotiation` sends nothing in that case.
    WrongCredentials,
    /// The coordinator has ended: Hive and Spark would have answered wrong credentials with BAD and a text
    /// (`TSaslTransport.java`).
    Ended,
}

impl Likely {
    fn of(coordinator: &Coordinator, flavor: Flavor) -> Self {
        match flavor {
            _ if coordinator.opens_without_login() => Self::NoLogin,
            Flavor::Impala => Self::WrongCredentials,
            Flavor::Hive | Flavor::Spark => Self::Ended,
        }
    }
}

impl fmt::Display for Likely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLogin => {
                write!(f, "it opens sessions without a login, so it does not use SASL; {NO_LOGIN}")
            }
            Self::WrongCredentials => f.write_str(
                "impalad does so when credentials are wrong; if these are right, perhaps it has just ended, or its port \
                 expects TLS",
            ),
            Self::Ended => write!(
                f,
                "it answers wrong credentials with an error, so perhaps it has just ended; or its port expects no login: {NO_LOGIN}"
            ),
        }
    }
}

impl NoVerdict {
    /// The kind by which log lines about it are limited.
    fn kind(&self) -> &'static str {
        match self {
            Self::Unsent(_) => "unsent",
            Self::Closed(_) => "closed",
            Self::Foreign(speech) => speech.as_str(),
            Self::Nonsense => "nonsense",
            Self::BadSasl(_) => "bad SASL",
            Self::Silent(_) | Self::PortSilent(_) => "silent",
        }
    }
}

/// Logs in on a connection that was just dialed, and records what the result says about the coordinator.
/// Writes nothing for [`Login::Nobody`].
///
/// # Errors
/// [`NoLink::HandshakeLost`] when the connection broke before a byte was written.
/// [`NoLink::CredentialsRefused`] when the coordinator refused the credentials. [`NoLink::NoVerdict`] when
/// the coordinator closed the connection, answered something else, or did not answer within
/// `handshake_timeout`.
pub(crate) async fn log_in<S: Stream>(
    stream: &mut Io<LinkStream<S>>,
    login: &Login,
    port: &Port<S>,
    shared: &Shared<S>,
) -> Result<(), NoLink> {
    let Some(mechanism) = login.mechanism() else { return Ok(()) };
    let likely = Likely::of(&port.coordinator, port.flavor);
    let answer = {
        let _counted = port.watch.logging_in();
        let verdict = authenticate(stream, mechanism, shared.settings.handshake_timeout, likely);
        // Even if the port falls silent, the credentials must not be sent to another coordinator.
        port.watch.answer(Speaks::Sasl, verdict).await
    };
    let verdict = answer.unwrap_or_else(|silent| Err(NoVerdict::PortSilent(silent).into()));
    if let Err(no_link) = &verdict {
        log(shared, &port.coordinator, login.user().unwrap_or_default(), no_link);
    }
    note(port, &verdict);
    verdict
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

/// Exchanges the messages of a mechanism. Once the first one is written, the way the exchange ends is the
/// coordinator's verdict.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mechanism: impl Mechanism,
    allowed: Duration,
    likely: Likely,
) -> Result<(), NoLink> {
    let opening = mechanism.opening();
    flow::write_all(stream, &opening, allowed).await.map_err(|(error, written)| match written {
        0 => NoLink::HandshakeLost(error),
        _ => NoVerdict::Unsent(error).into(),
    })?;
    match timeout(allowed, verdict(stream, mechanism, allowed)).await {
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
    mechanism: impl Mechanism,
    allowed: Duration,
) -> Result<Verdict, NoVerdict> {
    let mut initiator = Initiator::new(mechanism);
    loop {
        let chunk = match flow::read(stream).await {
            Ok(chunk) if !chunk.is_empty() => chunk,
            Ok(_) => return Ok(Verdict::Closed),
            Err(error) => return Ok(Failure::unwelcome(&error).map_or(Verdict::Closed, Verdict::Unwelcome)),
        };
        match initiator.push(&chunk).map(|taken| taken.step) {
            Ok(Answer::NeedMore) => {}
            Ok(Answer::Respond(response)) => {
                let written = flow::write_all(stream, &response, allowed).await;
                written.map_err(|(error, _)| NoVerdict::Unsent(error))?;
            }
            Ok(Answer::Accepted) => return Ok(Verdict::Accepted),
            Ok(Answer::Refused { status, text }) => return Ok(Verdict::Refused { status, text }),
            // Not even the first byte is SASL, so this chunk is all that has come.
            Err(SaslError::UnknownStatus { .. }) => {
                return Err(Speech::guess(&chunk).map_or(NoVerdict::Nonsense, NoVerdict::Foreign));
            }
            Err(error) => return Err(NoVerdict::BadSasl(error)),
        }
    }
}
