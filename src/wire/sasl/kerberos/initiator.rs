//! The router's side of a handshake with a coordinator, to which it proves itself as its own principal.

use std::fmt;

use zeroize::Zeroizing;

use super::layer::check_offer;
use super::{Context, GssapiError, KerberosError};
use crate::wire::sasl::gssapi::NO_LAYER_OFFERED;
use crate::wire::sasl::mechanism::{Mechanism, Reaction};
use crate::wire::sasl::message::{MechanismName, Message, SaslError, Status, encode};

/// The most tokens that a coordinator may send until the context is established.
const MOST_ROUNDS: u32 = 4;

/// The only token that a coordinator gets over HTTP, for which a ticket may have to be fetched: may block. What
/// the coordinator answers is not looked at: Hive and Spark prove nothing to their clients (Hive:
/// `ThriftHttpServlet.doKerberosAuth`), so a router that asked for it could not use them. TLS proves them.
///
/// # Errors
/// When there is no ticket.
pub fn only_token(mut context: Box<dyn Context>) -> Result<Vec<u8>, KerberosError> {
    Ok(context.step(&[])?.token)
}

/// What the coordinator's next message must be.
enum Awaited {
    Token,
    Offer,
    Verdict,
}

/// A login with a ticket.
pub struct Gssapi {
    context: Box<dyn Context>,
    first: Vec<u8>,
    awaited: Awaited,
    rounds: u32,
}

impl fmt::Debug for Gssapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gssapi").field("rounds", &self.rounds).finish_non_exhaustive()
    }
}

impl Gssapi {
    /// Makes the first token, for which a ticket may have to be fetched: may block.
    ///
    /// # Errors
    /// When there is no ticket.
    pub fn begin(mut context: Box<dyn Context>) -> Result<Self, KerberosError> {
        let stepped = context.step(&[])?;
        let awaited = if stepped.is_established { Awaited::Offer } else { Awaited::Token };
        Ok(Self { context, first: stepped.token, awaited, rounds: 0 })
    }

    fn advance(&mut self, message: Message<'_>) -> Result<Reaction, GssapiError> {
        let Message { status, payload } = message;
        match (&self.awaited, status) {
            (_, status @ (Status::Bad | Status::Error)) => {
                Ok(Reaction::Refused { status, text: payload.to_vec() })
            }
            (Awaited::Token, Status::Ok) => self.take_token(payload),
            (Awaited::Offer, Status::Ok) => self.take_offer(payload),
            (Awaited::Verdict, Status::Complete) => Ok(Reaction::Accepted),
            (_, seen) => Err(SaslError::OutOfPlace { seen }.into()),
        }
    }

    fn take_token(&mut self, token: &[u8]) -> Result<Reaction, GssapiError> {
        if token.is_empty() {
            return Err(GssapiError::NoToken);
        }
        if self.rounds >= MOST_ROUNDS {
            return Err(GssapiError::TooManyRounds { rounds: self.rounds });
        }
        self.rounds += 1;
        let stepped = self.context.step(token)?;
        if stepped.is_established {
            self.awaited = Awaited::Offer;
        }
        // Empty if the coordinator has all that it needs: its offer comes after this.
        Ok(Reaction::Respond(encode(Status::Ok, &stepped.token)))
    }

    fn take_offer(&mut self, token: &[u8]) -> Result<Reaction, GssapiError> {
        let offer = self.context.unwrap(token).map_err(GssapiError::NotSigned)?;
        check_offer(&offer)?;
        self.awaited = Awaited::Verdict;
        Ok(Reaction::Respond(encode(Status::Ok, &self.context.wrap(&NO_LAYER_OFFERED)?)))
    }
}

impl Mechanism for Gssapi {
    fn opening(&self) -> Zeroizing<Vec<u8>> {
        let start = encode(Status::Start, MechanismName::Gssapi.as_str().as_bytes());
        let token = encode(Status::Ok, &self.first);
        Zeroizing::new([start.as_slice(), token.as_slice()].concat())
    }

    /// Takes in the coordinator's next message. May block.
    fn next(&mut self, message: Message<'_>) -> Result<Reaction, SaslError> {
        match self.advance(message) {
            Ok(reaction) => Ok(reaction),
            Err(GssapiError::Sasl(error)) => Err(error),
            Err(error) => Ok(Reaction::GaveUp(error)),
        }
    }
}
