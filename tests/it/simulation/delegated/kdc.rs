//! Kerberos in a simulated world: a ticket is its principal and a number, which the routers believe once.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hs2router::net::kerberos::{Kerberos, Provider, Tokens};
use hs2router::serve::fleet::tickets::Tickets;
use hs2router::serve::settings::KerberosPlan;
use hs2router::session::delegation::Rules;
use hs2router::wire::sasl::kerberos::{Context, KerberosError, Stepped};
use parking_lot::Mutex;

use super::super::router::ByTicket;

/// What the routers are to coordinators.
const OWN: &str = "hs2router@R";

/// What all the world's tickets come from.
#[derive(Debug, Default)]
pub(super) struct Kdc {
    /// The number of the routers' next ticket.
    next: Arc<AtomicU64>,
}

impl Kdc {
    /// A token with a ticket of this principal.
    pub(super) fn token(principal: &str, number: u64) -> Vec<u8> {
        format!("{principal}/{number}").into_bytes()
    }

    /// A router's side of it, which remembers no token yet.
    pub(super) fn by_ticket(&self) -> ByTicket {
        let provider = Keytab { next: Arc::clone(&self.next), seen: Arc::default() };
        let kerberos = Arc::new(Kerberos::at_once(Arc::new(provider)));
        let rules = Arc::new(Rules { realms: ["R".to_owned()].into(), ..Rules::default() });
        let plan = KerberosPlan {
            kerberos: Arc::clone(&kerberos),
            principal: OWN.into(),
            coordinator: "impala/_HOST@R".into(),
        };
        ByTicket { tickets: Arc::new(Tickets { kerberos, principal: None, rules }), plan }
    }
}

#[derive(Debug)]
struct Keytab {
    next: Arc<AtomicU64>,
    seen: Arc<Mutex<HashSet<Vec<u8>>>>,
}

impl Provider for Keytab {
    fn accept(&self, _principal: Option<&str>, _tokens: Tokens) -> Result<Box<dyn Context>, KerberosError> {
        Ok(Box::new(Accepting { seen: Arc::clone(&self.seen), principal: String::new() }))
    }

    fn initiate(&self, principal: &str, _target: &str) -> Result<Box<dyn Context>, KerberosError> {
        Ok(Box::new(Initiating(Kdc::token(principal, self.next.fetch_add(1, Ordering::Relaxed)))))
    }

    fn lifetime(&self, _principal: &str) -> Result<Duration, KerberosError> {
        Ok(Duration::from_hours(10))
    }
}

struct Accepting {
    seen: Arc<Mutex<HashSet<Vec<u8>>>>,
    principal: String,
}

impl Context for Accepting {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, KerberosError> {
        if !self.seen.lock().insert(token.to_vec()) {
            return Err(KerberosError::new("Request is a replay"));
        }
        let text = String::from_utf8_lossy(token);
        let (principal, _number) = text.rsplit_once('/').ok_or_else(|| KerberosError::new("no ticket"))?;
        principal.clone_into(&mut self.principal);
        Ok(Stepped { token: Vec::new(), is_established: true })
    }

    fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok(bytes.to_vec())
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok(token.to_vec())
    }

    fn principal(&mut self) -> Result<String, KerberosError> {
        Ok(self.principal.clone())
    }
}

/// The side of a router towards a coordinator, which gets a token and says no more.
struct Initiating(Vec<u8>);

impl Context for Initiating {
    fn step(&mut self, _token: &[u8]) -> Result<Stepped, KerberosError> {
        Ok(Stepped { token: self.0.clone(), is_established: true })
    }

    fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok(bytes.to_vec())
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok(token.to_vec())
    }

    fn principal(&mut self) -> Result<String, KerberosError> {
        Ok(OWN.to_owned())
    }
}
