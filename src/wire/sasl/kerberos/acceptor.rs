//! The router's side of a client's handshake: it accepts the ticket, offers no layer, and learns the principal.

use std::fmt;

use super::layer::check_choice;
use super::{Context, GssapiError, Stepped};
use crate::wire::sasl::gssapi::NO_LAYER_OFFERED;
use crate::wire::sasl::message::{Message, SaslError, Status};

/// The most tokens that a client may send until the context is established. Kerberos needs one, or two with
/// the Diffie-Hellman-like style of DCE.
const MOST_ROUNDS: u32 = 4;

/// What the client's last message leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The client gets this with status OK, and its next message is awaited.
    Challenge(Vec<u8>),
    /// The client is this principal, and gets COMPLETE.
    Accepted {
        /// As Kerberos prints it.
        principal: String,
    },
}

/// What the next message must be.
enum Awaited {
    Token,
    /// An empty message: the client has our last token.
    Nothing,
    Choice,
}

/// A client's handshake, from its first token on.
pub struct GssapiAcceptor {
    context: Box<dyn Context>,
    awaited: Awaited,
    rounds: u32,
}

impl fmt::Debug for GssapiAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GssapiAcceptor").field("rounds", &self.rounds).finish_non_exhaustive()
    }
}

/// A client that has proven its principal with its first token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedAtOnce {
    /// As Kerberos prints it.
    pub principal: String,
    /// What proves the router to the client. It may be empty.
    pub token: Vec<u8>,
}

/// Accepts a client whose only message has this token, as over HTTP (Impala: `authentication.cc`
/// `NegotiateAuth`, which gives a context one step, too). May block.
///
/// # Errors
/// When the client is to be refused.
pub fn accept_at_once(mut context: Box<dyn Context>, token: &[u8]) -> Result<AcceptedAtOnce, GssapiError> {
    if token.is_empty() {
        return Err(GssapiError::NoToken);
    }
    let Stepped { token, is_established } = context.step(token)?;
    if !is_established {
        return Err(GssapiError::NotAtOnce);
    }
    Ok(AcceptedAtOnce { principal: context.principal()?, token })
}

impl GssapiAcceptor {
    /// A handshake of which nothing has come.
    pub fn new(context: Box<dyn Context>) -> Self {
        Self { context, awaited: Awaited::Token, rounds: 0 }
    }

    /// Takes in the client's next message. Java sends its last one as COMPLETE, Python and cyrus-sasl as OK;
    /// impalad makes no difference between the two (Impala: `TSaslTransport::doSaslNegotiation`). May block.
    ///
    /// # Errors
    /// When the client is to be refused.
    pub fn next(&mut self, message: Message<'_>) -> Result<Reply, GssapiError> {
        let Message { status, payload } = message;
        if !matches!(status, Status::Ok | Status::Complete) {
            return Err(SaslError::OutOfPlace { seen: status }.into());
        }
        match self.awaited {
            Awaited::Token => self.take_token(payload),
            Awaited::Nothing if payload.is_empty() => self.offer(),
            Awaited::Nothing => Err(GssapiError::Unexpected { len: payload.len() }),
            Awaited::Choice => self.take_choice(payload),
        }
    }

    fn take_token(&mut self, token: &[u8]) -> Result<Reply, GssapiError> {
        if token.is_empty() {
            return Err(GssapiError::NoToken);
        }
        if self.rounds >= MOST_ROUNDS {
            return Err(GssapiError::TooManyRounds { rounds: self.rounds });
        }
        self.rounds += 1;
        let stepped = self.context.step(token)?;
        if !stepped.is_established {
            return Ok(Reply::Challenge(stepped.token));
        }
        // A client that does not want the router to prove itself gets no token, and waits for the offer.
        if stepped.token.is_empty() {
            return self.offer();
        }
        self.awaited = Awaited::Nothing;
        Ok(Reply::Challenge(stepped.token))
    }

    fn offer(&mut self) -> Result<Reply, GssapiError> {
        self.awaited = Awaited::Choice;
        Ok(Reply::Challenge(self.context.wrap(&NO_LAYER_OFFERED)?))
    }

    fn take_choice(&mut self, token: &[u8]) -> Result<Reply, GssapiError> {
        if token.is_empty() {
            return Err(GssapiError::NoToken);
        }
        let chosen = self.context.unwrap(token).map_err(GssapiError::NotSigned)?;
        let principal = self.context.principal()?;
        check_choice(&chosen, &principal)?;
        Ok(Reply::Accepted { principal })
    }
}
