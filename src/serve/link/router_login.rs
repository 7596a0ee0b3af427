//! The router's own login at coordinators, by which it speaks for users that it has authenticated itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::net::kerberos::{Busy, Kerberos};
use crate::serve::link::handshake::Handshake;
use crate::serve::link::no_verdict::NoVerdict;
use crate::serve::settings::KerberosPlan;
use crate::wire::sasl::kerberos::initiator::Gssapi;
use crate::wire::sasl::kerberos::{GssapiError, KerberosError};
use crate::wire::sasl::mechanism::Mechanism as _;
use crate::wire::sasl::{Answer, Initiator, SaslError};

/// What stands for a coordinator's host in the name of its service.
const HOST: &str = "_HOST";

/// The router's own login at the coordinators of a fleet.
#[derive(Debug)]
pub(crate) struct RouterLogin(KerberosPlan);

/// Why the router could not log in as itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotLoggedIn {
    /// The router has no ticket for the coordinator, and gets none.
    #[error("the router has no ticket for {target}: {cause}")]
    NoTicket {
        /// The coordinator's principal.
        target: String,
        /// What Kerberos says.
        cause: KerberosError,
    },
    /// No ticket came in time.
    #[error("the KDC gave the router no ticket for {target} within {within:?} (handshake_timeout)")]
    TimedOut {
        /// The coordinator's principal.
        target: String,
        /// `handshake_timeout`.
        within: Duration,
    },
    /// Too many tickets are fetched already.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The coordinator refused the router's ticket.
    #[error("it refused the router's own ticket: {text}")]
    Refused {
        /// The coordinator's words.
        text: String,
    },
    /// The coordinator gave no verdict on the router's ticket.
    #[error("the router's own login: {0}")]
    NoVerdict(NoVerdict),
}

impl RouterLogin {
    /// The login that this plan is for.
    pub(crate) fn new(plan: KerberosPlan) -> Self {
        Self(plan)
    }

    /// The principal of the coordinator at this host.
    fn target(&self, host: &str) -> String {
        self.0.coordinator.replace(HOST, &host.to_lowercase())
    }

    /// Gets a ticket for the coordinator at this host, and begins a handshake with it.
    ///
    /// # Errors
    /// When there is no ticket, or none comes within `allowed`.
    pub(crate) async fn begin(&self, host: &str, allowed: Duration) -> Result<ByTicket, NotLoggedIn> {
        let (principal, target) = (Arc::clone(&self.0.principal), self.target(host));
        let wanted = target.clone();
        let kerberos = &self.0.kerberos;
        let begun = kerberos
            .initiating(move |provider| provider.initiate(&principal, &wanted).and_then(Gssapi::begin));
        match timeout(allowed, begun).await {
            Err(_elapsed) => Err(NotLoggedIn::TimedOut { target, within: allowed }),
            Ok(begun) => {
                let mechanism = begun?.map_err(|cause| NotLoggedIn::NoTicket { target, cause })?;
                let opening = mechanism.opening();
                let initiator = Some(Initiator::new(mechanism));
                Ok(ByTicket { kerberos: Arc::clone(kerberos), opening, initiator })
            }
        }
    }
}

/// A handshake by ticket. Each of its steps runs on a thread of its own.
pub(crate) struct ByTicket {
    kerberos: Arc<Kerberos>,
    opening: Zeroizing<Vec<u8>>,
    /// Taken while a step is under way, and gone if that was given up.
    initiator: Option<Initiator<Gssapi>>,
}

impl Handshake for ByTicket {
    fn opening(&self) -> Zeroizing<Vec<u8>> {
        self.opening.clone()
    }

    async fn push(&mut self, chunk: &[u8]) -> Result<Answer, SaslError> {
        let busy = || Answer::GaveUp(GssapiError::Kerberos(KerberosError::new(&Busy.to_string())));
        let Some(mut initiator) = self.initiator.take() else { return Ok(busy()) };
        let chunk = chunk.to_vec();
        let pushed = self.kerberos.initiating(move |_| {
            let taken = initiator.push(&chunk);
            (initiator, taken)
        });
        let Ok((initiator, taken)) = pushed.await else { return Ok(busy()) };
        self.initiator = Some(initiator);
        taken.map(|taken| taken.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::kerberos::Provider;
    use crate::wire::sasl::kerberos::Context;

    /// Has no keys.
    #[derive(Debug)]
    struct Nobody;

    impl Provider for Nobody {
        fn accept(&self, _principal: Option<&str>) -> Result<Box<dyn Context>, KerberosError> {
            Err(KerberosError::new("No key table entry found"))
        }

        fn initiate(&self, principal: &str, target: &str) -> Result<Box<dyn Context>, KerberosError> {
            Err(KerberosError::new(&format!("{principal} has no ticket for {target}")))
        }

        fn lifetime(&self, _principal: &str) -> Result<Duration, KerberosError> {
            Err(KerberosError::new("no ticket"))
        }
    }

    #[tokio::test]
    async fn a_coordinator_is_called_by_its_host_in_small_letters() {
        let kerberos = Arc::new(Kerberos::new(Arc::new(Nobody)).unwrap());
        let (principal, coordinator) = ("router@R".into(), "impala/_HOST@R".into());
        let login = RouterLogin::new(KerberosPlan { kerberos, principal, coordinator });
        let failed = login.begin("Impala-1.example.com", Duration::from_secs(10)).await.err().unwrap();
        assert_eq!(
            failed.to_string(),
            "the router has no ticket for impala/impala-1.example.com@R: router@R has no ticket for \
             impala/impala-1.example.com@R"
        );
    }
}
