//! Finds out whether a service's key in the keytab is the one that the KDC has: the router gets a ticket for the
//! service, as a client would, and judges it.

use super::provider::{Provider, Tokens};
use crate::wire::sasl::kerberos::KerberosError;

/// What became of a ticket of the router's own for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTried {
    /// The keytab has the key for it.
    Fits,
    /// There is no ticket.
    NoTicket(KerberosError),
    /// There is one, which the keytab has no key for.
    Refused(KerberosError),
}

/// Gets a ticket for `service` as `own`, and judges it. It blocks, for seconds where the KDC does not answer.
pub fn try_key(provider: &dyn Provider, own: &str, service: &str) -> KeyTried {
    let token = provider.initiate(own, service).and_then(|mut context| context.step(&[]));
    let token = match token {
        Ok(stepped) => stepped.token,
        Err(error) => return KeyTried::NoTicket(error),
    };
    let judged =
        provider.accept(Some(service), Tokens::Kerberos).and_then(|mut context| context.step(&token));
    judged.map_or_else(KeyTried::Refused, |_| KeyTried::Fits)
}
