//! A simulated client: one connection of a user who shares sessions between connections. It calls what real
//! clients call, in an order that its seed draws, and knows for each answer whether it may be so.

mod judge;
mod statements;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use hs2router::idl::impala_service::{self as impala, TImpalaHiveServer2ServiceSyncClient as _};
use hs2router::idl::t_c_l_i_service::{self as cli, TTCLIServiceSyncClient as _};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::http::Keeping;
use super::journal::{Journal, between};
use super::network::SimNetwork;
use super::setup::Setup;
use super::talk::{Entry, Hs2, NoResult, Service, Talk};
use super::tls::Clients;

/// The calls of one connection at most, and the connections that a client makes one after the other.
const CALLS: std::ops::Range<u32> = 5..30;
const CONNECTIONS: u32 = 3;
/// Calls that are made without waiting for the reply of one before the next.
const AT_ONCE: usize = 3;
/// Databases that every coordinator has.
const DATABASES: [&str; 3] = ["default", "demo", "functional"];
/// The answer to a call on a session or operation is one of these.
const GONE: [&str; 3] = ["Invalid session id", "Invalid or unknown query handle", "Query id"];
/// The answer to a Beeswax query that ended with its link, whose user was its connection.
const NOT_YOURS: &str = "User does not have access to query";
/// What the router says in a coordinator's place begins so.
const ROUTERS_WORDS: &str = "hs2router (";
const SHUTTING_DOWN: &str = "Server is being shut down:";
/// What it says where all threads are in use, in whose place nobody can have any.
const NO_ROOM: &str = "all service threads are in use";

/// The open session of a user, and its operations that nobody uses at this moment.
#[derive(Clone)]
struct Session {
    handle: cli::TSessionHandle,
    operations: Vec<Operation>,
    database: Database,
}

/// The database of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Database {
    /// None while it is not known: somebody is about to change it.
    name: Option<&'static str>,
    /// How often somebody wanted to change it.
    changes: u32,
    /// Changes of which it is not known what came of them: they may still come.
    under_way: u32,
}

/// A statement that was executed.
#[derive(Clone)]
struct Operation {
    handle: cli::TOperationHandle,
    session: cli::TSessionHandle,
    /// Its only cell, or none: then it has numbered rows.
    text: Option<String>,
    fetched: i64,
    rows: i64,
}

/// A user and their sessions.
pub(crate) struct User {
    /// Name and password, where coordinators want them.
    pub(crate) login: Option<(String, String)>,
    sessions: RefCell<Vec<Session>>,
}

impl User {
    /// Without sessions.
    pub(crate) fn new(login: Option<(String, String)>) -> Rc<Self> {
        Rc::new(Self { login, sessions: RefCell::default() })
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.login.as_ref().map(|(name, _)| name.as_str())
    }
}

/// What all clients of a world have in common.
pub(crate) struct World {
    pub(crate) journal: Rc<Journal>,
    /// All users, to be spied on.
    pub(crate) users: Vec<Rc<User>>,
    /// What it is like: in calm weather every call succeeds, if there is room.
    pub(crate) setup: Setup,
    /// What clients that come with TLS use.
    pub(crate) tls: Option<TlsConnector>,
}

/// One client: a host on which a user works.
pub(crate) struct SimClient {
    pub(crate) name: String,
    pub(crate) user: Rc<User>,
    pub(crate) network: SimNetwork,
    pub(crate) world: Rc<World>,
    pub(crate) rng: RefCell<StdRng>,
    /// Whether its own connections were tampered with, so that their end says nothing of the router.
    pub(crate) disturbed: Cell<bool>,
    /// Whether it speaks Beeswax.
    pub(crate) beeswax: bool,
    /// Whether it speaks HS2 over HTTP.
    pub(crate) http: bool,
    /// Sessions that were used on its connection.
    pub(crate) attached: RefCell<BTreeSet<[u8; 16]>>,
}

/// Whether the connection goes on.
pub(super) type Goes = Result<(), ()>;

impl SimClient {
    /// Connects, calls, leaves; more than once.
    pub(crate) async fn run(self: Rc<Self>) {
        for _ in 0..self.draw(|rng| rng.random_range(1..=CONNECTIONS)) {
            sleep(self.draw(|rng| between(rng, 0, 20_000))).await;
            self.try_wrong_password().await;
            if self.beeswax {
                self.connect_by_beeswax().await;
            } else {
                self.connect_once().await;
            }
        }
        self.say("is done");
    }

    pub(super) fn draw<T>(&self, from: impl FnOnce(&mut StdRng) -> T) -> T {
        from(&mut self.rng.borrow_mut())
    }

    pub(super) fn say(&self, what: &str) {
        self.world.journal.say(format_args!("{}: {what}", self.name));
    }

    pub(super) fn violation(&self, what: &str) {
        self.world.journal.violation(format_args!("{}: {what}", self.name));
    }

    async fn try_wrong_password(&self) {
        let Some((name, _)) = self.user.login.as_ref().filter(|_| self.draw(|rng| rng.random_bool(0.2)))
        else {
            return;
        };
        let wrong = self.world.journal.wrong_password();
        let http = self.keeping();
        let entry = Entry { login: Some((name, &wrong)), counts: true, tls: self.tls(), http };
        match Talk::<Hs2>::enter(&self.network, entry).await {
            Ok(talk) if http.is_some() => self.ask_with_wrong_password(talk).await,
            Ok(_) => self.violation("came in with a wrong password"),
            Err(no_login) => {
                self.say(&format!("wrong password: {no_login}"));
                if matches!(no_login, NoResult::Hung) {
                    self.violation("hung while it logged in");
                }
            }
        }
    }

    /// Over HTTP a password is judged with a call.
    async fn ask_with_wrong_password(&self, mut talk: Talk<Hs2>) {
        self.disturbed.set(false);
        let opened = talk.call(|service| service.open_session(opening(None))).await;
        match opened {
            Ok(reply) if reply.status.status_code != cli::TStatusCode::ERROR_STATUS => {
                self.violation("opened a session with a wrong password");
            }
            Ok(reply) => {
                let text = reply.status.error_message.unwrap_or_default();
                self.say(&format!("wrong password: {}", text.trim()));
                if self.world.setup.is_calm() {
                    self.violation(&format!("was not told that its password is wrong: {}", text.trim()));
                }
            }
            Err(NoResult::Status { status: 401, .. }) => self.say("wrong password: 401"),
            Err(no_result) => {
                let _ends = self.judge("OpenSession", Err::<(cli::TStatus, ()), _>(no_result), None);
            }
        }
    }

    /// How it uses its next connections, if it speaks HTTP.
    fn keeping(&self) -> Option<Keeping> {
        self.http.then(|| self.draw(Keeping::draw))
    }

    /// What its next connection uses for TLS, if it comes with that.
    fn tls(&self) -> Option<&TlsConnector> {
        let is_clear =
            self.world.setup.encryption.clients == Clients::Both && self.draw(|rng| rng.random_bool(0.5));
        self.world.tls.as_ref().filter(|_| !is_clear)
    }

    /// Connects and logs in.
    pub(super) async fn come_in<S: Service>(&self) -> Option<Talk<S>> {
        let login = self.user.login.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
        self.disturbed.set(false);
        self.attached.borrow_mut().clear();
        let counts = self.draw(|rng| rng.random_bool(0.5));
        let http = self.keeping().filter(|_| !self.beeswax);
        let entry = Entry { login, counts, tls: self.tls(), http };
        let no_login = match Talk::enter(&self.network, entry).await {
            Ok(talk) => return Some(talk),
            Err(no_login) => no_login,
        };
        self.say(&format!("no login: {no_login}"));
        let is_full = matches!(&no_login, NoResult::LoginRefused(text) if self.may_be_full(text));
        if (self.world.setup.is_calm() && !is_full) || matches!(no_login, NoResult::Hung) {
            self.violation(&format!("did not come in: {no_login}"));
        }
        None
    }

    async fn connect_once(&self) {
        let Some(mut talk) = self.come_in::<Hs2>().await else { return };
        for _ in 0..self.draw(|rng| rng.random_range(CALLS)) {
            if self.one_thing(&mut talk).await.is_err() {
                return;
            }
            if !talk.is_kept() {
                self.attached.borrow_mut().clear();
            }
            self.pause().await;
        }
        let (asks, abruptly) = self.draw(|rng| (rng.random_bool(0.2), rng.random_bool(0.3)));
        let session = self.some_session();
        match session.filter(|_| asks) {
            Some(session) => {
                self.say("leaves in the middle of a call");
                talk.ask_and_leave(|service| ping(service, &session), abruptly).await;
            }
            None => talk.leave(abruptly),
        }
    }

    /// Nothing for a while, or not even that.
    pub(super) async fn pause(&self) {
        if self.draw(|rng| rng.random_bool(0.7)) {
            sleep(self.draw(|rng| between(rng, 0, 2_000))).await;
        } else if self.draw(|rng| rng.random_bool(if self.world.setup.cuts.is_some() { 0.4 } else { 0.05 })) {
            sleep(self.draw(|rng| between(rng, 20_000, 90_000))).await;
        }
    }

    async fn one_thing(&self, talk: &mut Talk<Hs2>) -> Goes {
        match self.draw(|rng| rng.random_range(0..100)) {
            0..12 => self.open(talk).await,
            12..30 => self.execute(talk).await,
            30..36 => self.use_database(talk).await,
            36..42 => self.ask_database(talk).await,
            42..46 => self.fetch_at_once(talk).await,
            46..62 => self.fetch(talk).await,
            62..70 => self.poll(talk).await,
            70..80 => self.close_operation(talk).await,
            80..83 => self.cancel(talk).await,
            83..90 => self.ask_session(talk).await,
            90..94 => self.intrude(talk).await,
            _ => self.close_session(talk).await,
        }
    }

    async fn open(&self, talk: &mut Talk<Hs2>) -> Goes {
        let tag = self.world.journal.tag(self.user.name());
        let opened = talk.call(|service| service.open_session(opening(Some(&tag))));
        let opened = opened.await.map(|reply| (reply.status, reply.session_handle));
        if let Some(Some(handle)) = self.judge("OpenSession", opened, None)? {
            let database = Database { name: Some(DATABASES[0]), changes: 0, under_way: 0 };
            self.attached.borrow_mut().insert(guid(&handle));
            self.user.sessions.borrow_mut().push(Session { handle, operations: Vec::new(), database });
        }
        Ok(())
    }

    async fn ask_session(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(session) = self.some_session() else { return self.open(talk).await };
        let pings = self.draw(|rng| rng.random_bool(0.5));
        let asked = talk.call(|service| {
            if pings {
                return ping(service, &session);
            }
            let what = cli::TGetInfoType::CLI_SERVER_NAME;
            Ok(service.get_info(cli::TGetInfoReq::new(session.clone(), what))?.status)
        });
        let asked = asked.await.map(|status| (status, ()));
        self.judge("GetInfo", asked, Some(&session)).map(drop)
    }

    async fn close_session(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(session) = self.take_session() else { return Ok(()) };
        self.world.journal.closes(guid(&session.handle));
        let closed = talk
            .call(|service| service.close_session(cli::TCloseSessionReq::new(session.handle.clone())))
            .await
            .map(|reply| (reply.status, ()));
        self.judge("CloseSession", closed, None).map(drop)
    }

    /// Asks for what is somebody else's: with a secret that is not right, or under another name.
    async fn intrude(&self, talk: &mut Talk<Hs2>) -> Goes {
        let user = self.draw(|rng| rng.random_range(0..self.world.users.len()));
        let user = Rc::clone(&self.world.users[user]);
        let is_own = user.name() == self.user.name();
        let session = user.sessions.borrow().first().map(|session| session.handle.clone());
        let Some(mut session) = session else { return Ok(()) };
        if is_own || self.draw(|rng| rng.random_bool(0.5)) {
            session.session_id.secret[0] ^= 0x55;
        }
        self.world.journal.intrudes(guid(&session), self.user.name());
        match talk.call(|service| ping(service, &session)).await {
            Ok(status) if status.status_code == cli::TStatusCode::SUCCESS_STATUS => {
                self.violation("was let into the session of somebody else");
                Ok(())
            }
            Ok(status) => {
                self.say(&format!("was kept out: {}", status.error_message.unwrap_or_default().trim()));
                Ok(())
            }
            Err(no_result) => {
                self.judge("intrusion", Err::<(cli::TStatus, ()), _>(no_result), None).map(drop)
            }
        }
    }

    fn some_session(&self) -> Option<cli::TSessionHandle> {
        let sessions = self.user.sessions.borrow();
        let count = sessions.len();
        (count > 0).then(|| sessions[self.draw(|rng| rng.random_range(0..count))].handle.clone())
    }

    fn take_session(&self) -> Option<Session> {
        let mut sessions = self.user.sessions.borrow_mut();
        let count = sessions.len();
        (count > 0).then(|| sessions.swap_remove(self.draw(|rng| rng.random_range(0..count))))
    }

    /// Out of the session while it is used: two fetches at a time would share the rows between them.
    fn take_operation(&self) -> Option<Operation> {
        let mut sessions = self.user.sessions.borrow_mut();
        let places: Vec<(usize, usize)> = sessions
            .iter()
            .enumerate()
            .flat_map(|(at, session)| (0..session.operations.len()).map(move |operation| (at, operation)))
            .collect();
        let count = places.len();
        let (session, operation) = *places.get(self.draw(|rng| rng.random_range(0..count.max(1))))?;
        Some(sessions[session].operations.swap_remove(operation))
    }

    fn give_back(&self, operation: Operation) {
        let mut sessions = self.user.sessions.borrow_mut();
        let session = sessions.iter_mut().find(|session| session.handle == operation.session);
        if let Some(session) = session {
            session.operations.push(operation);
        }
    }
}

/// A request to open a session, which this can be known again by.
fn opening(tag: Option<&str>) -> cli::TOpenSessionReq {
    cli::TOpenSessionReq {
        client_protocol: cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6,
        username: None,
        password: None,
        configuration: tag.map(|tag| [("client_identifier".to_owned(), tag.to_owned())].into()),
    }
}

fn guid(session: &cli::TSessionHandle) -> [u8; 16] {
    session.session_id.guid.clone().try_into().unwrap()
}

fn ping(service: &mut Hs2, session: &cli::TSessionHandle) -> thrift::Result<cli::TStatus> {
    Ok(service.ping_impala_h_s2_service(impala::TPingImpalaHS2ServiceReq::new(session.clone()))?.status)
}
