//! Finds out what a port speaks, for people who look for a fault: asks what any server answers to a stranger, one
//! question a connection, and shows no credentials.
//!
//! | question | who answers it at once |
//! | --- | --- |
//! | a Thrift call of a method that no server has | Thrift without a login: by an exception. Java's SASL: with an error. HTTP: 400 |
//! | a SASL START of a mechanism that no server has | SASL: with BAD |
//! | an HTTP POST without authorization | HTTP: 401 with what it accepts, or 200 |
//! | a SASL START of PLAIN or GSSAPI, then BAD | SASL: with BAD where it lacks the mechanism, else it closes |
//! | Beeswax's `PingImpalaService` | Beeswax: with a reply. HS2: by an exception |
//!
//! Impala's and Java's SASL transports end a handshake in which the peer has sent BAD, before they look at anything
//! else (`TSaslTransport` `receiveSaslMessage` in both languages), so no login is counted.

mod heard;
mod spoken;

use std::time::Duration;

use tokio::time::timeout;

use self::heard::{Answer, Asked};
pub use self::spoken::{HttpAnswer, Mechanism, Spoken};
use super::dial::{Destination, DialError, dial};
use super::flow;
use super::stream::{Network, Stream};
use super::tls::certificates::Certificate;
use super::tls::client::TlsFailure;
use super::tls::handshake::secure;
use super::tls::io::{Failure, Io};
use crate::ids::Service;

/// The most bytes of an answer that are kept.
const LONGEST_ANSWER: usize = 16 << 10;

/// How to survey.
#[derive(Clone, Debug)]
pub struct SurveySettings<N> {
    /// What dials.
    pub network: N,
    /// The time for each dial, each handshake of TLS and each answer.
    pub allowed: Duration,
}

/// What was found out about a port.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// What it speaks, inside TLS if it was asked with that.
    pub spoken: Spoken,
    /// The certificates that it showed, its own first; empty without TLS.
    pub chain: Vec<Certificate>,
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The port cannot be connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It can be connected to, but not with TLS.
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    /// The handshake of TLS was not answered.
    #[error("no answer to the TLS handshake within {0:?}")]
    TlsSilent(Duration),
}

/// What a port should be, as which it is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A coordinator's port of this service.
    Port(Service),
    /// A router's listener, which takes every protocol, and passes SASL on. It answers a Thrift call itself, even if
    /// its coordinators ask for a login.
    Listener,
}

/// Finds out what a port speaks.
///
/// # Errors
/// When the port cannot be connected to, or not with TLS although that was wanted.
pub async fn survey<N: Network>(
    destination: &Destination,
    expected: Expected,
    settings: &SurveySettings<N>,
) -> Result<Surveyed, SurveyError> {
    let mut port = Port { destination, settings, chain: Vec::new() };
    let order = match expected {
        Expected::Port(Service::Hs2Http) => [Asked::Http, Asked::Thrift, Asked::Sasl],
        Expected::Port(Service::Hs2 | Service::Beeswax) => [Asked::Thrift, Asked::Sasl, Asked::Http],
        Expected::Listener => [Asked::Sasl, Asked::Thrift, Asked::Http],
    };
    let mut spoken = Spoken::Silence;
    for asked in order {
        let answer = port.ask(asked).await?;
        // An answer says more than a close, and that more than silence.
        spoken = match (answer.spoken(), spoken) {
            (Spoken::Silence, earlier @ (Spoken::Closes | Spoken::Other))
            | (Spoken::Closes, earlier @ Spoken::Other) => earlier,
            (latest, _) => latest,
        };
        if !matches!(spoken, Spoken::Silence | Spoken::Closes | Spoken::Other) {
            break;
        }
    }
    let spoken = match spoken {
        Spoken::Sasl { .. } => Spoken::Sasl {
            plain: port.ask(Asked::Mechanism("PLAIN")).await?.mechanism(),
            gssapi: port.ask(Asked::Mechanism("GSSAPI")).await?.mechanism(),
        },
        Spoken::Thrift { .. } => Spoken::Thrift { is_beeswax: port.ask(Asked::Beeswax).await?.is_reply() },
        other => other,
    };
    Ok(Surveyed { spoken, chain: port.chain })
}

/// A port that is surveyed.
struct Port<'a, N> {
    destination: &'a Destination,
    settings: &'a SurveySettings<N>,
    chain: Vec<Certificate>,
}

impl<N: Network> Port<'_, N> {
    /// Asks one question on a connection of its own.
    async fn ask(&mut self, asked: Asked) -> Result<Answer, SurveyError> {
        let (allowed, tls) = (self.settings.allowed, self.destination.tls.as_deref());
        let stream = dial(&self.settings.network, self.destination, allowed).await?;
        let secured = timeout(allowed, secure(stream, tls)).await;
        let mut stream = secured.map_err(|_elapsed| SurveyError::TlsSilent(allowed))??;
        if self.chain.is_empty() {
            self.chain = chain_of(&stream);
        }
        let question = asked.question(&self.destination.to_string());
        match hear(&mut stream, &question, allowed).await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn chain_of<S: Stream>(stream: &Io<S>) -> Vec<Certificate> {
    let shown = stream.negotiated().and_then(|negotiated| negotiated.peer_certificates());
    shown.unwrap_or_default().iter().filter_map(|der| Certificate::of(der).ok()).collect()
}

/// Sends a question, and reads until the answer is known.
///
/// # Errors
/// When the router's certificate is refused, which TLS 1.3 tells only now.
async fn hear<S: Stream>(
    stream: &mut Io<S>,
    question: &[u8],
    allowed: Duration,
) -> Result<Answer, TlsFailure> {
    let mut heard = Vec::new();
    let exchange = async {
        // What refuses a question before it is whole has answered it.
        let _sent = flow::write_all(stream, question, allowed).await;
        while !heard::is_enough(&heard) && heard.len() < LONGEST_ANSWER {
            match flow::read(stream).await {
                Ok(chunk) if chunk.is_empty() => return Ok(true),
                Ok(chunk) => heard.extend(chunk.iter().take(LONGEST_ANSWER)),
                Err(error) => return Failure::unwelcome(&error).map_or(Ok(true), Err),
            }
        }
        Ok(false)
    };
    let is_closed = match timeout(allowed, exchange).await {
        Ok(closed) => closed?,
        Err(_elapsed) => false,
    };
    Ok(Answer { heard, is_closed })
}

#[cfg(test)]
mod tests;
