//! The router's own login at coordinators, by which it speaks for users that it has authenticated itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::net::kerberos::{Busy, Kerberos};
use crate::serve::link::handshake::Handshake;
use crate::serve::link::no_verdict::NoVerdict;
use crate::serve::settings::KerberosPlan;
use crate::wire::http::request::CallHead;
use crate::wire::sasl::kerberos::initiator::{Gssapi, only_token};
use crate::wire::sasl::kerberos::{Context, GssapiError, KerberosError};
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
        let mechanism = self.with_ticket(host, allowed, Gssapi::begin).await?;
        let opening = mechanism.opening();
        let initiator = Some(Initiator::new(mechanism));
        Ok(ByTicket { kerberos: Arc::clone(&self.0.kerberos), opening, initiator })
    }

    /// Gets a ticket for the coordinator at this host, and writes the head of a request over HTTP that has it.
    ///
    /// # Errors
    /// When there is no ticket, or none comes within `allowed`.
    pub(crate) async fn head(&self, host: &str, allowed: Duration) -> Result<CallHead, NotLoggedIn> {
        let head = |context| {
            let head = CallHead::of_router(&only_token(context)?);
            head.ok_or_else(|| KerberosError::new("the ticket does not fit into a request over HTTP"))
        };
        self.with_ticket(host, allowed, head).await
    }

    /// Gets a ticket for the coordinator at this host, and does something with it where that may block.
    async fn with_ticket<T: Send + 'static>(
        &self,
        host: &str,
        allowed: Duration,
        work: impl FnOnce(Box<dyn Context>) -> Result<T, KerberosError> + Send + 'static,
    ) -> Result<T, NotLoggedIn> {
        let (principal, target) = (Arc::clone(&self.0.principal), self.target(host));
        let wanted = target.clone();
        let done =
            self.0.kerberos.initiating(move |provider| provider.initiate(&principal, &wanted).and_then(work));
        match timeout(allowed, done).await {
            Err(_elapsed) => Err(NotLoggedIn::TimedOut { target, within: allowed }),
            Ok(done) => done?.map_err(|cause| NotLoggedIn::NoTicket { target, cause }),
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
        let pushed = self.kerberos.stepping(move || {
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
    use std::sync::mpsc::{Receiver, Sender, channel};

    use parking_lot::Mutex;

    use super::*;
    use crate::net::kerberos::{Provider, Tokens};
    use crate::wire::sasl::kerberos::Stepped;
    use crate::wire::sasl::{Status, encode};

    /// A KDC that says nothing about `slow`, until it is told to, and has a ticket for `good` and nobody else.
    #[derive(Debug)]
    struct Tickets {
        asked: Sender<()>,
        go_on: Mutex<Receiver<()>>,
    }

    impl Provider for Tickets {
        fn accept(
            &self,
            _principal: Option<&str>,
            _tokens: Tokens,
        ) -> Result<Box<dyn Context>, KerberosError> {
            Err(KerberosError::new("No key table entry found"))
        }

        fn initiate(&self, principal: &str, target: &str) -> Result<Box<dyn Context>, KerberosError> {
            match target {
                "impala/good@R" => return Ok(Box::new(Peer)),
                "impala/slow@R" => {
                    self.asked.send(()).unwrap();
                    // Ended by a drop.
                    let _told = self.go_on.lock().recv();
                }
                _ => {}
            }
            Err(KerberosError::new(&format!("{principal} has no ticket for {target}")))
        }

        fn lifetime(&self, _principal: &str) -> Result<Duration, KerberosError> {
            Err(KerberosError::new("no ticket"))
        }
    }

    /// Has a token for every token.
    struct Peer;

    impl Context for Peer {
        fn step(&mut self, _token: &[u8]) -> Result<Stepped, KerberosError> {
            Ok(Stepped { token: b"token".to_vec(), is_established: false })
        }

        fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError> {
            Ok(bytes.to_vec())
        }

        fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError> {
            Ok(token.to_vec())
        }

        fn principal(&mut self) -> Result<String, KerberosError> {
            Ok("router@R".to_owned())
        }
    }

    /// A login, what is told of each question that the KDC does not answer, and what lets it answer when dropped.
    fn login() -> (Arc<RouterLogin>, Receiver<()>, Sender<()>) {
        let (asked, questions) = channel();
        let (answers, go_on) = channel();
        let kdc = Tickets { asked, go_on: Mutex::new(go_on) };
        let kerberos = Arc::new(Kerberos::new(Arc::new(kdc)).unwrap());
        let (principal, coordinator) = ("router@R".into(), "impala/_HOST@R".into());
        (Arc::new(RouterLogin::new(KerberosPlan { kerberos, principal, coordinator })), questions, answers)
    }

    const ALLOWED: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_coordinator_is_called_by_its_host_in_small_letters() {
        let (login, _questions, _answers) = login();
        let failed = login.begin("Impala-1.example.com", ALLOWED).await.err().unwrap();
        assert_eq!(
            failed.to_string(),
            "the router has no ticket for impala/impala-1.example.com@R: router@R has no ticket for \
             impala/impala-1.example.com@R"
        );
    }

    #[tokio::test]
    async fn a_handshake_goes_on_while_the_kdc_answers_nobody() {
        let (login, questions, answers) = login();
        let mut good = login.begin("good", ALLOWED).await.ok().unwrap();
        let waiting: Vec<_> = (0..16)
            .map(|_| {
                let login = Arc::clone(&login);
                tokio::spawn(async move { login.begin("slow", ALLOWED).await.is_err() })
            })
            .collect();
        // Every thread that asks the KDC is at it, and more would be.
        let asked = tokio::task::spawn_blocking(move || questions.iter().take(4).count());
        assert_eq!(asked.await.unwrap(), 4);
        let pushed = timeout(ALLOWED, good.push(&encode(Status::Ok, b"answer"))).await;
        let token = encode(Status::Ok, b"token");
        assert_eq!(pushed.unwrap(), Ok(Answer::Respond(token)));
        drop(answers);
        for one in waiting {
            assert!(one.await.unwrap());
        }
    }
}
