//! The state of one coordinator: sessions, operations and the query log.

mod caller;
mod page;
mod tables;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

pub(super) use self::caller::{Caller, Who};
use super::calls::{CallLog, ReceivedCall};
use super::coordinator::Settings;
use super::expiry::Idleness;
use super::faults::Faults;
use super::http::Ledger;
use super::ids::{Id, Secret, identifier};
use super::manner::Manner;
use super::operation::Operation;
use super::options;
use super::profile::Record;
use super::refusal::{Refusal, Words};
use super::web::Counts;
use crate::chance::Chance;
use crate::clock;
use crate::idl::t_c_l_i_service::THandleIdentifier;
use crate::ids::Service;

/// The option that names the user for whom a session works (Impala: `impala-hs2-server.cc`
/// `IMPALA_DOAS_USER`).
const DOAS_USER: &str = "impala.doas.user";
/// The user of an unauthenticated client without a name (Impala: `--anonymous_user_name`).
pub(super) const ANONYMOUS: &str = "anonymous";

/// What an `OpenSession` asks for.
pub(super) struct Opening {
    pub(super) user: Option<String>,
    pub(super) protocol: i32,
    pub(super) configuration: BTreeMap<String, String>,
}

/// A session that was just opened.
pub(super) struct Opened {
    pub(super) id: Id,
    pub(super) secret: Secret,
    pub(super) options: BTreeMap<String, String>,
}

/// One session (Impala: `impala-server.h` `SessionState`).
#[derive(Debug)]
pub(super) struct Session {
    service: Service,
    pub(super) secret: Secret,
    /// Empty until a Beeswax connection without authentication runs its first statement.
    pub(super) connected_user: String,
    doas_user: Option<String>,
    pub(super) database: String,
    /// Options that were set, in upper case.
    pub(super) options: BTreeMap<String, String>,
    pub(super) protocol: i32,
    connections: BTreeSet<u64>,
    disconnected_at: Option<Instant>,
    pub(super) idleness: Idleness,
}

impl Session {
    pub(super) fn effective_user(&self) -> &str {
        self.doas_user.as_deref().unwrap_or(&self.connected_user)
    }
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) sessions: BTreeMap<Id, Session>,
    pub(super) operations: BTreeMap<Id, Operation>,
    pub(super) log: VecDeque<Record>,
    pub(super) total: u64,
    /// The sessions that end with their connections: Beeswax sessions, and with some servers HS2 sessions.
    bound: BTreeMap<u64, Id>,
    /// When the time of the first session without a connection is over.
    sweep_at: Option<Instant>,
    pub(super) words: Words,
}

/// The state that all connections of a coordinator share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) faults: Faults,
    pub(super) fetch_timeout: Duration,
    pub(super) disconnected_session_timeout: Duration,
    pub(super) trusted_header: Option<String>,
    pub(super) manner: Manner,
    tables: Mutex<Tables>,
    /// Notified when something changes that a waiting fetch depends on.
    pub(super) changed: Condvar,
    calls: Mutex<CallLog>,
    /// What connections over HTTP share.
    pub(super) http: Ledger,
    /// The source of ids and secrets.
    pub(super) chance: Chance,
    /// How often the page of sessions was asked for.
    pub(super) session_pages: AtomicU64,
}

impl State {
    pub(super) fn new(settings: &Settings, chance: Chance) -> Self {
        Self {
            name: settings.name.clone(),
            faults: Faults::default(),
            fetch_timeout: settings.fetch_timeout,
            disconnected_session_timeout: settings.disconnected_session_timeout,
            trusted_header: settings.trusted_header.clone(),
            manner: settings.manner,
            tables: Mutex::new(Tables {
                words: settings.manner.operation_words(settings.words),
                ..Tables::default()
            }),
            changed: Condvar::new(),
            calls: Mutex::default(),
            http: Ledger::new(&chance),
            chance,
            session_pages: AtomicU64::new(0),
        }
    }

    /// The tables, without the sessions whose time is over.
    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        let mut tables = self.tables.lock();
        // Checking every session at every call would make thousands of sessions slow.
        if let Some(at) = tables.sweep_at
            && clock::now() >= at
        {
            tables.sweep(clock::now(), self.disconnected_session_timeout);
            self.changed.notify_all();
        }
        tables
    }

    /// Forgets everything, as a restart does.
    pub(super) fn forget(&self) {
        let words = self.tables.lock().words;
        *self.tables.lock() = Tables { words, ..Tables::default() };
        self.http.renew(&self.chance);
        self.changed.notify_all();
    }

    /// Expires every HS2 session, as `--idle_session_timeout` does: it stays, and every call in it is
    /// refused.
    pub(super) fn expire_sessions(&self) {
        for session in self.tables.lock().sessions.values_mut() {
            session.idleness.expire();
        }
    }

    pub(super) fn open_sessions(&self) -> Vec<Id> {
        self.tables().sessions.keys().copied().collect()
    }

    pub(super) fn counts(&self) -> Counts {
        let tables = self.tables();
        let of = |service| tables.sessions.values().filter(|session| session.service == service).count();
        Counts {
            hs2_sessions: of(Service::Hs2),
            beeswax_sessions: of(Service::Beeswax),
            registered: tables.operations.len(),
            executing: tables.executing(),
            total: tables.total,
        }
    }

    /// Refuses new work during a graceful shutdown (Impala: `impala-server.cc` `CheckNotShuttingDown`).
    pub(super) fn check_not_quiescing(&self) -> Result<(), Refusal> {
        if !self.faults.is_quiescing() {
            return Ok(());
        }
        let tables = self.tables();
        Err(Refusal::ShuttingDown { registered: tables.operations.len(), executing: tables.executing() })
    }

    /// Refuses a session during a graceful shutdown, or when the limit of sessions is reached.
    pub(super) fn check_opens(
        &self,
        caller: &Caller,
        configuration: Option<&BTreeMap<String, String>>,
    ) -> Result<(), Refusal> {
        self.check_not_quiescing().map_err(|refusal| self.manner.refuses_session(refusal))?;
        let is_doas = |key: &String| key.eq_ignore_ascii_case(DOAS_USER);
        if caller.do_as().is_some() && configuration.is_some_and(|keys| keys.keys().any(is_doas)) {
            return Err(Refusal::TwoDelegates);
        }
        let named = configuration.into_iter().flatten().find(|(key, _)| is_doas(key));
        if let Some(delegate) = caller.do_as().or_else(|| named.map(|(_, user)| user.clone()))
            && self.faults.delegates_nobody()
        {
            return Err(Refusal::NotDelegated { user: caller.user().unwrap_or_default(), delegate });
        }
        match self.faults.session_limit() {
            Some(limit) if self.open_sessions().len() >= limit => Err(Refusal::AddressLimit { limit }),
            _ => Ok(()),
        }
    }

    /// Refuses an operation during a graceful shutdown.
    pub(super) fn check_runs(&self) -> Result<(), Refusal> {
        self.check_not_quiescing().map_err(|refusal| self.manner.refuses_operation(refusal))
    }

    pub(super) fn received(&self, call: ReceivedCall) -> u64 {
        self.calls.lock().push(call)
    }

    /// A call by its number.
    pub(super) fn call(&self, number: u64) -> Option<ReceivedCall> {
        self.calls.lock().entry(number).cloned()
    }

    pub(super) fn calls(&self) -> Vec<ReceivedCall> {
        self.calls.lock().to_vec()
    }

    /// Notes that the current call is being executed from here on.
    pub(super) fn enter(&self, caller: &Caller) {
        caller.reached.set(true);
        self.note(caller, |call| call.executed = true);
    }

    /// Adds details about the current call.
    pub(super) fn note(&self, caller: &Caller, tell: impl FnOnce(&mut ReceivedCall)) {
        if let Some(call) = self.calls.lock().entry(caller.call.get()) {
            tell(call);
            caller.had_session.set(caller.had_session.get() || call.session.is_some());
        }
    }

    /// Notes a new connection; a Beeswax connection is a session from its first moment (Impala:
    /// `impala-server.cc` `ConnectionStart`).
    pub(super) fn connect(&self, caller: &Caller) {
        if caller.service != Service::Beeswax {
            return;
        }
        let (id, secret) = self.chance.draw(|rng| (Id::random(rng), Secret::random(rng)));
        let session = Session {
            service: Service::Beeswax,
            secret,
            connected_user: caller.user().unwrap_or_default(),
            doas_user: None,
            database: "default".to_owned(),
            options: BTreeMap::new(),
            protocol: 0,
            connections: BTreeSet::from([caller.connection]),
            disconnected_at: None,
            idleness: Idleness::new(),
        };
        let mut tables = self.tables();
        drop(tables.sessions.insert(id, session));
        tables.bound.insert(caller.connection, id);
    }

    /// Notes the end of a connection. Its Beeswax session ends with it; an HS2 session without any connection
    /// starts its disconnected timeout (Impala: `impala-server.cc` `ConnectionEnd`).
    pub(super) fn disconnect(&self, connection: u64) {
        let mut tables = self.tables();
        if let Some(id) = tables.bound.remove(&connection) {
            tables.close_session(id);
            self.changed.notify_all();
        }
        let now = clock::now();
        let mut left = false;
        for session in tables.sessions.values_mut() {
            if session.connections.remove(&connection) && session.connections.is_empty() {
                session.disconnected_at = Some(now);
                left = true;
            }
        }
        if left && tables.sweep_at.is_none() {
            tables.sweep_at = now.checked_add(self.disconnected_session_timeout);
        }
    }

    /// Whether this connection has had sessions, all of which are closed; it may then be closed when it is
    /// idle (Impala: `impala-server.cc` `IsIdleConnection`).
    pub(super) fn is_idle(&self, caller: &Caller) -> bool {
        let tables = self.tables();
        let of_this = |session: &&Session| session.connections.contains(&caller.connection);
        caller.had_session.get()
            && !tables.sessions.values().filter(of_this).any(|session| !session.idleness.is_over())
    }

    /// Opens an HS2 session (Impala: `impala-hs2-server.cc` `OpenSession`).
    pub(super) fn open_session(&self, caller: &Caller, opening: Opening) -> Opened {
        let (id, secret) = self.chance.draw(|rng| (Id::random(rng), Secret::random(rng)));
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let mut session = Session {
            service: Service::Hs2,
            secret,
            // An authenticated name always wins over the request's.
            connected_user: named(caller.user())
                .or_else(|| named(opening.user))
                .unwrap_or_else(|| ANONYMOUS.to_owned()),
            doas_user: caller.do_as(),
            database: "default".to_owned(),
            options: BTreeMap::new(),
            protocol: opening.protocol,
            connections: BTreeSet::from([caller.connection]),
            disconnected_at: None,
            idleness: Idleness::new(),
        };
        for (key, value) in opening.configuration {
            let key = key.to_ascii_lowercase();
            match key.as_str() {
                DOAS_USER => session.doas_user = named(Some(value)),
                // Impala does not check here whether it exists.
                "use:database" => session.database = value,
                key => {
                    let option = key.strip_prefix("set:hiveconf:").unwrap_or(key);
                    // Keys that are not options are silently ignored.
                    if options::is_known(option) {
                        session.options.insert(option.to_ascii_uppercase(), value);
                        session.note_set(option);
                    }
                }
            }
        }
        let opened = Opened { id, secret, options: options::effective(&session.options) };
        let mut tables = self.tables();
        drop(tables.sessions.insert(id, session));
        // A connection over HTTP ends no session (Hive, Spark: `ThriftHttpCLIService`).
        if self.manner.ends_with_connection() && caller.service == Service::Hs2 {
            tables.bound.insert(caller.connection, id);
        }
        drop(tables);
        self.note(caller, |call| call.session = Some(id));
        opened
    }

    /// Closes a session and its operations (Impala: `impala-hs2-server.cc` `CloseSession`).
    pub(super) fn close_session(&self, caller: &Caller, handle: &THandleIdentifier) -> Result<(), Refusal> {
        let mut tables = self.tables();
        let id = match tables.check_session(caller, handle) {
            Err(Refusal::SessionExpired { .. }) => identifier(handle),
            other => other.map_err(|refusal| self.manner.words(refusal, true)),
        }?;
        self.note(caller, |call| call.session = Some(id));
        tables.close_session(id);
        // Nothing ends with a connection that has closed any session (Hive, Spark: `ThriftCLIService`
        // `CloseSession`).
        tables.bound.remove(&caller.connection);
        self.changed.notify_all();
        Ok(())
    }

    /// Does something with the session of a handle, after Impala's checks.
    pub(super) fn with_session<T>(
        &self,
        caller: &Caller,
        handle: &THandleIdentifier,
        act: impl FnOnce(Id, &mut Session) -> T,
    ) -> Result<T, Refusal> {
        let mut tables = self.tables();
        let found = tables.check_session(caller, handle);
        let id = found.map_err(|refusal| self.manner.words(refusal, false))?;
        self.note(caller, |call| call.session = Some(id));
        tables.sessions.get_mut(&id).map(|session| act(id, session)).ok_or(Refusal::UnknownSession(id))
    }

    /// Does something with the session that a Beeswax connection is.
    pub(super) fn with_own_session<T>(
        &self,
        caller: &Caller,
        act: impl FnOnce(Id, &mut Session) -> T,
    ) -> Result<T, Refusal> {
        let mut tables = self.tables();
        let id = tables.own_session(caller).ok_or(Refusal::UnknownSession(Id([0; 16])))?;
        self.note(caller, |call| call.session = Some(id));
        tables.sessions.get_mut(&id).map(|session| act(id, session)).ok_or(Refusal::UnknownSession(id))
    }
}
