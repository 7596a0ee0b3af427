//! Logging in to a coordinator: for whom, and what becomes of that: a verdict, or what came in its place and is the likely
//! reason.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::clock;
use crate::cluster::{Coordinator, Flavor};
use crate::metrics::DialOutcome;
use crate::net::flow::{self, WriteError};
use crate::net::probe::Speaks;
use crate::net::stream::{LinkStream, Stream};
use crate::serve::link::no_link::NoLink;
use crate::serve::link::port::Port;
use crate::serve::link::watch::Silent;
use crate::serve::message::reply::advice;
use crate::serve::shared::Shared;
use crate::wire::detect::Speech;
use crate::wire::sasl::mechanism::{Mechanism, Plain};
use crate::wire::sasl::{Answer, Credentials, Initiator, SaslError, Status};

/// So much of a user's name is logged when a login comes to nothing.
const LOGGED_CHARS: usize = 64;

/// What clients need where no login is expected.
const NO_LOGIN: &str = "clients then need auth=noSasl (JDBC) or auth_mechanism=\"NOSASL\" (impyla)";

/// What a link is authenticated with.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    /// Nothing: the port has no login, or the link is for nobody in particular.
    Nobody,
    /// A client's name and password (SASL PLAIN).
    Plain(Arc<Credentials>),
}

impl Login {
    /// Whether credentials are shown where a link is dialed.
    pub(crate) fn is_shown(&self) -> bool {
        !matches!(self, Self::Nobody)
    }

    /// The name that they claim.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::Plain(credentials) => Some(credentials.user()),
        }
    }

    /// The bytes that whoever shows the same again begins with; none if nothing is shown.
    pub(crate) fn opening(&self) -> Option<Zeroizing<Vec<u8>>> {
        Some(self.mechanism()?.opening())
    }

    /// What speaks for it on a link.
    fn mechanism(&self) -> Option<impl Mechanism> {
        match self {
            Self::Nobody => None,
            Self::Plain(credentials) => Some(Plain::new(credentials)),
        }
    }
}

/// What came in place of a verdict on credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoVerdict {
    /// Perhaps it has some of them.
    #[error("it was lost while the credentials were sent: {0}")]
    Unsent(WriteError),
    /// The end of the connection.
    #[error("it closed the connection without a verdict: {0}")]
    Closed(Likely),
    /// Another protocol.
    #[error("it answered the login with what looks like {0}: {todo}", todo = advice(*.0))]
    Foreign(Speech),
    /// Something that no one knows.
    #[error("it answered the login with what is no SASL message: it seems not to use SASL; {NO_LOGIN}")]
    Nonsense,
    /// SASL, but none that PLAIN allows.
    #[error("{0}")]
    BadSasl(SaslError),
    /// Nothing.
    #[error(
        "no answer to the credentials within {0:?} (handshake_timeout): perhaps all its threads are in use; or its port \
         expects no login (impalad is silent then): {NO_LOGIN}"
    )]
    Silent(Duration),
    /// Nothing, and nothing else that its port was asked was answered either.
    #[error("{0}, so the password was neither accepted nor refused: log in again")]
    PortSilent(Silent),
}

/// Why a coordinator has probably closed the connection in place of a verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Likely {
    /// It was seen to open sessions without a login.
    NoLogin,
    /// Impala: `TSaslTransport::doSaslNegotiation` sends nothing when the credentials are wrong.
    WrongCredentials,
    /// Hive, Spark: `TSaslTransport.java` sends BAD with a text when they are.
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
                "it says so when credentials are wrong, so perhaps it has just ended; or its port expects no login: {NO_LOGIN}"
            ),
        }
    }
}

impl NoVerdict {
    /// What it counts as where lines in the log are bounded.
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

/// Goes through a login on a connection that was just dialed, and takes in what comes of it. Nothing is written for nobody.
///
/// # Errors
/// [`NoLink::HandshakeLost`], when the connection broke before a byte was written; [`NoLink::CredentialsRefused`], when the
/// coordinator said so; [`NoLink::NoVerdict`], when it closed, said something else, or nothing in time.
pub(crate) async fn log_in<S: Stream>(
    stream: &mut LinkStream<S>,
    login: &Login,
    port: &Port<S>,
    shared: &Shared<S>,
) -> Result<(), NoLink> {
    let Some(mechanism) = login.mechanism() else { return Ok(()) };
    let likely = Likely::of(&port.coordinator, port.flavor);
    let answer = {
        let _counted = port.watch.logging_in();
        let verdict = authenticate(stream, mechanism, shared.settings.handshake_timeout, likely);
        // If the port falls silent, no other may be shown them.
        port.watch.answer(Speaks::Sasl, verdict).await
    };
    let verdict = answer.unwrap_or_else(|silent| Err(NoVerdict::PortSilent(silent).into()));
    if let Err(no_link) = &verdict {
        log(shared, &port.coordinator, login.user().unwrap_or_default(), no_link);
    }
    note(port, &verdict);
    verdict
}

/// Somebody guesses passwords, perhaps, or a program still has an old one, or the port is not what it is taken for. The
/// connection's span names client and listener.
fn log<S: Stream>(shared: &Shared<S>, coordinator: &Coordinator, user: &str, no_link: &NoLink) {
    // Quoted and cut: strangers may write here what they like.
    let user: String = user.chars().take(LOGGED_CHARS).collect();
    match no_link {
        // With an impalad nothing else tells of a refusal.
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

/// What became of a login says something about the coordinator where it is no verdict: a client can send wrong passwords, but
/// not make a coordinator fall silent or talk nonsense.
fn note<S: Stream>(port: &Port<S>, verdict: &Result<(), NoLink>) {
    match verdict {
        Ok(()) => return port.coordinator.note_logged_in(port.service),
        // A close may be more than a refusal; that is for a probe to find out.
        Err(no_link) if no_link.is_verdict() => port.counters.dials.count(DialOutcome::CredentialsRefused),
        Err(_) => port.coordinator.note_login_unanswered(port.service, clock::now()),
    }
    port.watch.probe_now();
}

/// Moves the messages of a mechanism. From the moment that the first is written, how it ends is the coordinator's verdict.
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
        Ok(Err(no_verdict)) => Err(no_verdict.into()),
        Err(_elapsed) => Err(NoVerdict::Silent(allowed).into()),
    }
}

/// How a coordinator ends a handshake.
enum Verdict {
    Accepted,
    Refused {
        status: Status,
        text: Vec<u8>,
    },
    /// It closes the connection instead.
    Closed,
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
            Ok(_) | Err(_) => return Ok(Verdict::Closed),
        };
        match initiator.push(&chunk).map(|taken| taken.step) {
            Ok(Answer::NeedMore) => {}
            Ok(Answer::Respond(response)) => {
                let written = flow::write_all(stream, &response, allowed).await;
                written.map_err(|(error, _)| NoVerdict::Unsent(error))?;
            }
            Ok(Answer::Accepted) => return Ok(Verdict::Accepted),
            Ok(Answer::Refused { status, text }) => return Ok(Verdict::Refused { status, text }),
            // The first byte already was none: the chunk is all that came.
            Err(SaslError::UnknownStatus { .. }) => {
                return Err(Speech::guess(&chunk).map_or(NoVerdict::Nonsense, NoVerdict::Foreign));
            }
            Err(error) => return Err(NoVerdict::BadSasl(error)),
        }
    }
}
