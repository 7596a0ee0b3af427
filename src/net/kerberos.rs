//! Kerberos, which is done by the system's library (MIT krb5). Its calls block on files and on the network, so
//! they run on threads of their own, of which there are a few.
//!
//! The library takes the keytabs from the environment, which no thread may change while others run. So the
//! process begins itself anew with them ([`environment`]), and there is one keytab for all listeners and one for
//! all clusters.

pub mod keytab;
#[cfg(feature = "kerberos")]
mod mit;
mod pool;
mod provider;
mod try_key;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::pool::Busy;
use self::pool::Pool;
pub use self::provider::{Provider, Tokens};
pub use self::try_key::{KeyTried, try_key};
use crate::wire::sasl::kerberos::KerberosError;

/// How many tickets of clients are judged at a time. That takes a fraction of a millisecond.
const ACCEPT_THREADS: usize = 2;
/// How far they step back behind calls that are under way, when everybody wants to log in at once.
const ACCEPT_NICENESS: i32 = 10;
/// How many of the router's own tickets are fetched at a time. The KDC may take seconds.
const INITIATE_THREADS: usize = 4;
/// How many steps of the router's own handshakes are made at a time, once there is a ticket. That takes a fraction of
/// a millisecond, so none waits for the KDC, which others need: the coordinator would seem not to answer.
const STEP_THREADS: usize = 2;
/// How many calls may wait for a thread. Each holds at most one token.
const QUEUE: usize = 1024;

/// The variable that is set in a process that was begun anew.
const BEGUN_ANEW: &str = "HS2ROUTER_KERBEROS";

/// The variables that say where tokens are remembered that were shown before, or that none are. The first one that is
/// set holds (MIT krb5: `rc_base.c` `k5_rc_default`).
const MEMORY_OF_TOKENS: [&str; 2] = ["KRB5RCACHENAME", "KRB5RCACHETYPE"];

/// What to do where a build lacks Kerberos.
pub const NOT_BUILT_IN: &str = "this build of hs2router has no Kerberos, which needs a library in C; build it with \
    `cargo build --release --features kerberos` (Debian: libkrb5-dev, libclang-dev), or remove [listener.kerberos] \
    and [cluster.kerberos] to have GSSAPI passed through";

/// Whether this build has Kerberos.
pub const IS_BUILT_IN: bool = cfg!(feature = "kerberos");

/// Where keys are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keytabs {
    /// The keys of the service that clients ask a ticket for.
    pub listeners: Option<PathBuf>,
    /// The key of the router's own principal.
    pub clusters: Option<PathBuf>,
}

/// The variables with which the process has to begin anew, for the library to find the keytabs; `None` if it
/// has done so. `inherited` are those that the process has now.
pub fn environment(
    keytabs: &Keytabs,
    inherited: impl Fn(&str) -> Option<OsString>,
) -> Option<Vec<(&'static str, OsString)>> {
    if inherited(BEGUN_ANEW).is_some() {
        return None;
    }
    let file = |path: &PathBuf| {
        let mut name = OsString::from("FILE:");
        name.push(path);
        name
    };
    let acceptor = keytabs.listeners.as_ref().map(|path| ("KRB5_KTNAME", file(path)));
    // With a keytab for clients, the library fetches and renews the tickets by itself.
    let initiator = keytabs.clusters.as_ref().map(|path| ("KRB5_CLIENT_KTNAME", file(path)));
    let always = [("KRB5CCNAME", OsString::from("MEMORY:hs2router")), (BEGUN_ANEW, OsString::from("1"))];
    // The first one that is set holds.
    let set = MEMORY_OF_TOKENS.into_iter().find_map(inherited);
    let is_off = set.is_some_and(|value| value.as_encoded_bytes().starts_with(b"none"));
    // A shell in which somebody once tried something must not have the router take a token twice. krb5.conf may.
    let remembers = is_off.then(|| (MEMORY_OF_TOKENS[0], "dfl:".into()));
    Some(acceptor.into_iter().chain(initiator).chain(always).chain(remembers).collect())
}

/// Kerberos, with the threads on which it runs.
#[derive(Debug)]
pub struct Kerberos {
    provider: Arc<dyn Provider>,
    accepting: Pool,
    initiating: Pool,
    stepping: Pool,
}

impl Kerberos {
    /// Kerberos of the system's library; `None` if this build lacks it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn of_system() -> std::io::Result<Option<Self>> {
        #[cfg(feature = "kerberos")]
        return Self::new(Arc::new(mit::Mit)).map(Some);
        #[cfg(not(feature = "kerberos"))]
        Ok(None)
    }

    /// Kerberos that something else does.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(provider: Arc<dyn Provider>) -> std::io::Result<Self> {
        let accepting = Pool::start("tickets", ACCEPT_NICENESS, ACCEPT_THREADS, QUEUE)?;
        let initiating = Pool::start("own tickets", 0, INITIATE_THREADS, QUEUE)?;
        let stepping = Pool::start("own steps", 0, STEP_THREADS, QUEUE)?;
        Ok(Self { provider, accepting, initiating, stepping })
    }

    /// Kerberos that something else does, which never blocks: it is done at once, on no other thread, so that nothing
    /// depends on how fast threads are.
    pub fn at_once(provider: Arc<dyn Provider>) -> Self {
        Self { provider, accepting: Pool::none(), initiating: Pool::none(), stepping: Pool::none() }
    }

    /// Whether tickets for this principal, or for any, can be judged. Blocks.
    ///
    /// # Errors
    /// As [`Provider::accept`].
    pub fn check_keytab(&self, principal: Option<&str>) -> Result<(), KerberosError> {
        self.provider.accept(principal, Tokens::Kerberos).map(drop)
    }

    /// Runs something that judges tickets of clients.
    ///
    /// # Errors
    /// When too much waits for that already.
    pub async fn accepting<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Provider) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let provider = Arc::clone(&self.provider);
        self.accepting.run(move || work(&*provider)).await
    }

    /// Runs something that needs a ticket of the router's own.
    ///
    /// # Errors
    /// When too much waits for that already.
    pub async fn initiating<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Provider) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let provider = Arc::clone(&self.provider);
        self.initiating.run(move || work(&*provider)).await
    }

    /// Runs a step of a handshake of the router's own, for which there is a ticket.
    ///
    /// # Errors
    /// When too much waits for that already.
    pub async fn stepping<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        self.stepping.run(work).await
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_process_begins_anew_with_the_keytabs_that_there_are() {
        let keytabs = Keytabs { listeners: Some("/etc/a.keytab".into()), clusters: None };
        let found = environment(&keytabs, |_| None).unwrap();
        let of = |name: &str| found.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        assert_eq!(of("KRB5_KTNAME"), Some("FILE:/etc/a.keytab".into()));
        assert_eq!(of("KRB5_CLIENT_KTNAME"), None);
        assert_eq!(of("KRB5CCNAME"), Some("MEMORY:hs2router".into()), "tickets are in no file");
        assert_eq!(of("KRB5RCACHENAME"), None, "the library's own way, or that of krb5.conf");
        assert!(of(BEGUN_ANEW).is_some());
        assert_eq!(environment(&keytabs, |name| (name == BEGUN_ANEW).then(|| "1".into())), None, "once");
    }

    #[test]
    fn tokens_are_remembered_whatever_was_inherited() {
        for (name, value, expected) in [
            ("KRB5RCACHENAME", "none:", Some("dfl:")),
            ("KRB5RCACHETYPE", "none", Some("dfl:")),
            ("KRB5RCACHENAME", "file2:/var/tmp/mine", None),
        ] {
            let inherited = |wanted: &str| (wanted == name).then(|| value.into());
            let found = environment(&Keytabs::default(), inherited).unwrap();
            let found = found.iter().find(|(known, _)| *known == "KRB5RCACHENAME").map(|(_, value)| value);
            assert_eq!(found.map(|value| value.to_str().unwrap()), expected, "{name}={value}");
        }
    }
}
