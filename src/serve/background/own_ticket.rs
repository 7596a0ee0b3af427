//! Looks whether the router has a ticket of its own, without which it can speak for no user, and has it renewed
//! before somebody needs it.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::serve::settings::KerberosPlan;

/// The time from one look to the next.
const INTERVAL: Duration = Duration::from_mins(1);

/// The time within which a look must tell something. The library itself tries each KDC for some seconds.
const ANSWER_TIME: Duration = Duration::from_mins(1);

/// The router's own ticket for the coordinators of a cluster.
#[derive(Debug)]
pub struct OwnTicket {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// Whose ticket it is, and who fetches it.
    pub plan: KerberosPlan,
    /// When it expires, in seconds since 1970.
    pub expires: Gauge,
}

impl OwnTicket {
    /// Looks until the end, and logs when there is none any more, and when there is one again.
    pub async fn watch(self, end: CancellationToken) {
        let mut lacks = false;
        let looking = async {
            loop {
                lacks = self.look(lacks).await;
                sleep(INTERVAL).await;
            }
        };
        end.run_until_cancelled(looking).await.unwrap_or(());
    }

    /// Looks once; returns whether there is no ticket. `lacked` says whether there was none the last time.
    async fn look(&self, lacked: bool) -> bool {
        let principal = Arc::clone(&self.plan.principal);
        let looked = self.plan.kerberos.initiating(move |provider| provider.lifetime(&principal));
        let (cluster, principal) = (&self.cluster, &self.plan.principal);
        match timeout(ANSWER_TIME, looked).await {
            Err(_elapsed) => {
                if !lacked {
                    tracing::warn!(%cluster, %principal, within = ?ANSWER_TIME, "the KDC says nothing about the router's own ticket");
                }
                true
            }
            // Others fetch tickets meanwhile, and tell if they do not get any.
            Ok(Err(_busy)) => lacked,
            Ok(Ok(Ok(left))) => {
                let now = clock::time_of_day().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.expires.set(i64::try_from((now + left).as_secs()).unwrap_or(i64::MAX));
                if lacked {
                    tracing::info!(%cluster, %principal, ?left, "the router has a ticket of its own again");
                }
                false
            }
            Ok(Ok(Err(cause))) => {
                if !lacked {
                    tracing::warn!(%cluster, %principal, %cause, "the router has no ticket of its own");
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, channel};

    use parking_lot::Mutex;

    use super::*;
    use crate::net::kerberos::{Kerberos, Provider, Tokens};
    use crate::wire::sasl::kerberos::{Context, KerberosError};

    /// Has a ticket or not, by a switch.
    #[derive(Debug, Default)]
    struct Switch(AtomicBool);

    impl Provider for Switch {
        fn accept(
            &self,
            _principal: Option<&str>,
            _tokens: Tokens,
        ) -> Result<Box<dyn Context>, KerberosError> {
            Err(KerberosError::new("not asked for"))
        }

        fn initiate(&self, _principal: &str, _target: &str) -> Result<Box<dyn Context>, KerberosError> {
            Err(KerberosError::new("not asked for"))
        }

        fn lifetime(&self, principal: &str) -> Result<Duration, KerberosError> {
            assert_eq!(principal, "router@R");
            let has_one = self.0.load(Ordering::Relaxed);
            if has_one {
                Ok(Duration::from_hours(1))
            } else {
                Err(KerberosError::new("Cannot contact any KDC"))
            }
        }
    }

    /// Says nothing before the other end is dropped.
    #[derive(Debug)]
    struct Silent(Mutex<Receiver<()>>);

    impl Provider for Silent {
        fn accept(
            &self,
            _principal: Option<&str>,
            _tokens: Tokens,
        ) -> Result<Box<dyn Context>, KerberosError> {
            Err(KerberosError::new("not asked for"))
        }

        fn initiate(&self, _principal: &str, _target: &str) -> Result<Box<dyn Context>, KerberosError> {
            Err(KerberosError::new("not asked for"))
        }

        fn lifetime(&self, _principal: &str) -> Result<Duration, KerberosError> {
            let _told = self.0.lock().recv();
            Err(KerberosError::new("Cannot contact any KDC"))
        }
    }

    fn ticket_of(provider: Arc<dyn Provider>) -> OwnTicket {
        let kerberos = Arc::new(Kerberos::new(provider).unwrap());
        let (principal, coordinator) = ("router@R".into(), "impala/_HOST@R".into());
        let plan = KerberosPlan { kerberos, principal, coordinator };
        OwnTicket { cluster: "impala".into(), plan, expires: Gauge::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kdc_that_says_nothing_is_not_waited_for_without_end() {
        let (end, silent) = channel();
        let ticket = ticket_of(Arc::new(Silent(Mutex::new(silent))));
        assert!(ticket.look(false).await, "there may be none");
        drop(end);
    }

    #[tokio::test]
    async fn its_expiry_is_shown_once_there_is_one() {
        let switch = Arc::new(Switch::default());
        let ticket = ticket_of(Arc::clone(&switch) as Arc<dyn Provider>);
        assert!(ticket.look(false).await);
        assert_eq!(ticket.expires.get(), 0);
        switch.0.store(true, Ordering::Relaxed);
        assert!(!ticket.look(true).await);
        let now = clock::time_of_day().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let left = u64::try_from(ticket.expires.get()).unwrap() - now;
        assert!((3590..=3600).contains(&left), "{left}");
    }
}
