//! How a listener judges tickets of Kerberos, in SASL and over HTTP: on the threads that there are for that, and by
//! the listener's rules.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::net::kerberos::{Busy, Kerberos, Tokens};
use crate::session::delegation::{Caller, NotAllowed, Rules};
use crate::wire::sasl::kerberos::acceptor::{AcceptedAtOnce, GssapiAcceptor, Reply, accept_at_once};
use crate::wire::sasl::kerberos::{GssapiError, one_line};
use crate::wire::sasl::{Message, Status};

/// How a listener judges tickets of Kerberos.
#[derive(Debug)]
pub struct Tickets {
    /// What has the keys.
    pub kerberos: Arc<Kerberos>,
    /// The principal that tickets must be for; `None` if they may be for any in the keytab.
    pub principal: Option<Arc<str>>,
    /// Which principals are accepted, and which users they stand for.
    pub rules: Arc<Rules>,
}

/// Why a client is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Its part of the handshake, or its ticket, is bad.
    #[error(transparent)]
    Handshake(#[from] GssapiError),
    /// Too many others wait.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The ticket was not judged in time.
    #[error("the ticket was not judged within {0:?} (handshake_timeout); try again")]
    TimedOut(Duration),
    /// The ticket is good, but its principal may not come.
    #[error("{principal:?} is not accepted: {why}")]
    NotAllowed {
        /// As Kerberos prints it, in one line.
        principal: String,
        /// What is wrong with it.
        why: NotAllowed,
    },
    /// A request over HTTP names nobody.
    #[error(
        "log in by Kerberos: the request has neither a ticket (Authorization: Negotiate) nor a good cookie"
    )]
    NoTicket,
}

impl Refused {
    /// Whether the client may come again at once, and will be let in if its ticket is good.
    pub(crate) fn is_for_now(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::TimedOut(_))
    }

    /// Whether it says something against what the client has shown.
    pub(crate) fn is_verdict(&self) -> bool {
        matches!(self, Self::Handshake(_) | Self::NotAllowed { .. })
    }

    /// The status for the answer to a client in SASL.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Handshake(error) => error.status(),
            Self::NotAllowed { .. } | Self::NoTicket => Status::Bad,
            Self::Busy(_) | Self::TimedOut(_) => Status::Error,
        }
    }
}

/// A handshake after a message of the client.
pub(crate) struct Taken {
    /// What takes in the next message.
    pub(crate) acceptor: GssapiAcceptor,
    /// What the client gets.
    pub(crate) reply: Reply,
}

impl Tickets {
    /// Takes in the next message of a handshake in SASL; `begun` is the handshake, if this is not the first one.
    ///
    /// # Errors
    /// When the client is to be refused.
    pub(crate) async fn take(
        &self,
        begun: Option<GssapiAcceptor>,
        status: Status,
        payload: Vec<u8>,
    ) -> Result<Taken, Refused> {
        let principal = self.principal.clone();
        let taken = self.kerberos.accepting(move |provider| {
            let mut acceptor = match begun {
                Some(begun) => begun,
                None => GssapiAcceptor::new(provider.accept(principal.as_deref(), Tokens::Kerberos)?),
            };
            let reply = acceptor.next(Message { status, payload: &payload })?;
            Ok::<_, GssapiError>(Taken { acceptor, reply })
        });
        Ok(taken.await??)
    }

    /// Judges the only token of a client over HTTP, within `allowed`.
    ///
    /// # Errors
    /// When the client is to be refused.
    pub(crate) async fn accept(&self, token: Vec<u8>, allowed: Duration) -> Result<AcceptedAtOnce, Refused> {
        let principal = self.principal.clone();
        let accepted = self.kerberos.accepting(move |provider| {
            accept_at_once(provider.accept(principal.as_deref(), Tokens::Negotiated)?, &token)
        });
        Ok(timeout(allowed, accepted).await.map_err(|_elapsed| Refused::TimedOut(allowed))???)
    }

    /// The client that has proven this principal.
    ///
    /// # Errors
    /// When the rules do not accept it.
    pub(crate) fn caller(&self, principal: &str) -> Result<Caller, Refused> {
        Caller::new(principal, &self.rules)
            .map_err(|why| Refused::NotAllowed { principal: one_line(principal), why })
    }
}
