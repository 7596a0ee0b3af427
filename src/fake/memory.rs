//! A coordinator without sockets, threads and clock hands: bytes go in, replies come out. It knows, executes
//! and says the same as one that is started; when its bytes arrive, how long it takes and how it dies is its
//! user's affair. For simulations of a router, in which nothing may depend on anything but the seed.

use std::io::{self, Cursor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thrift::TransportErrorKind;
use thrift::protocol::{TInputProtocol, TMessageType, TType};

use super::calls::ReceivedCall;
use super::connection::{Desk, Newcomer, input, is_too_long};
use super::coordinator::Settings;
use super::faults::Faults;
use super::ids::Id;
use super::pool::PoolCounts;
use super::sasl::{self, Framing, Incoming};
use super::state::State;
use super::web::Site;
use crate::chance::Chance;
use crate::ids::Service;

/// A coordinator in memory. Of its [`Settings`], ports and times of set-up do not matter. A fetch must not
/// wait (`fetch_timeout` zero), because a wait would hold the thread, and for the same reason Beeswax must
/// not be given statements that take time.
#[derive(Debug)]
pub struct MemoryCoordinator {
    state: Arc<State>,
    settings: Settings,
    incarnation: AtomicU64,
    connections: AtomicU64,
}

/// How a port of a [`MemoryCoordinator`] is used: that is its user's affair, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortUse {
    /// Connections that are served.
    pub in_use: usize,
    /// Connections that wait to be.
    pub queued: usize,
}

/// What came of bytes that a [`Conversation`] heard.
#[derive(Debug)]
pub enum Heard {
    /// It takes more bytes to make a call, or a login.
    NotYet,
    /// The login succeeded, which is to be said in these bytes.
    Login(Vec<u8>),
    /// A call was executed: how it went, and its reply.
    Call(Box<ReceivedCall>, Vec<u8>),
    /// The connection is to be closed after these bytes, of which there may be none.
    Close(Vec<u8>),
}

/// One connection to a [`MemoryCoordinator`]; its end is that of the connection.
pub struct Conversation {
    coordinator: Arc<MemoryCoordinator>,
    service: Service,
    number: u64,
    framing: Framing,
    /// None until the login.
    desk: Option<Desk>,
    heard: Vec<u8>,
}

impl MemoryCoordinator {
    /// One that has no sessions.
    pub fn new(settings: Settings, chance: Chance) -> Arc<Self> {
        let state = Arc::new(State::new(&settings, chance));
        Arc::new(Self { state, settings, incarnation: AtomicU64::new(1), connections: AtomicU64::new(0) })
    }

    /// Of its switches only those for quiescing and health mean something here.
    pub fn faults(&self) -> &Faults {
        &self.state.faults
    }

    /// Sessions and operations are forgotten and the process start time is new. Connections are for its user
    /// to end, before.
    pub fn restart(&self) {
        self.state.forget();
        self.incarnation.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was started.
    pub fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Relaxed)
    }

    /// The ids of all open sessions, Beeswax connections among them.
    pub fn open_sessions(&self) -> Vec<Id> {
        self.state.open_sessions()
    }

    /// How many operations are open.
    pub fn open_operations(&self) -> usize {
        self.state.counts().registered
    }

    /// Whether a session or an operation of this id is open.
    pub fn knows(&self, id: Id) -> bool {
        let tables = self.state.tables();
        tables.sessions.contains_key(&id) || tables.operations.contains_key(&id)
    }

    /// The HTTP answer to a request target of the web port, while its client ports are used like this.
    pub fn page(&self, target: &str, hs2: PortUse, beeswax: PortUse) -> String {
        let counts = |PortUse { in_use, queued }| PoolCounts { in_use, queued, ..PoolCounts::default() };
        let site = Site {
            state: &self.state,
            start_time: format!("2026-01-01 00:00:00.{:06}", self.incarnation()),
            service_threads: self.settings.service_threads,
            hs2: counts(hs2),
            beeswax: counts(beeswax),
        };
        site.answer(target).to_http()
    }

    /// A connection begins.
    pub fn connect(self: &Arc<Self>, service: Service) -> Conversation {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let mut conversation = Conversation {
            coordinator: Arc::clone(self),
            service,
            number,
            framing: Framing::None,
            desk: None,
            heard: Vec::new(),
        };
        if self.settings.users.is_none() {
            conversation.enter(None);
        }
        conversation
    }
}

impl Conversation {
    /// Which connection it is, counted from 1 for each coordinator.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes that were heard and belong to no call yet, or to the next.
    pub fn unheard(&self) -> usize {
        self.heard.len()
    }

    /// Whether it had sessions and all of them are closed: after [`Settings::idle_client_poll`] of silence it
    /// is closed.
    pub fn is_idle(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.state.is_idle(&desk.caller))
    }

    /// Hears bytes, and executes a call if they complete one. With no bytes, one that was there already.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        self.heard.extend_from_slice(bytes);
        if self.desk.is_none() {
            return self.log_in();
        }
        match self.execute() {
            Ok(heard) => heard,
            Err(error) if is_end(&error) || is_too_long(&error) => Heard::NotYet,
            Err(_) => Heard::Close(Vec::new()),
        }
    }

    fn enter(&mut self, user: Option<String>) {
        let newcomer = Newcomer { service: self.service, number: self.number, user };
        let desk = Desk::open(Arc::clone(&self.coordinator.state), newcomer, "localhost:25000".to_owned());
        self.desk = Some(desk);
    }

    fn log_in(&mut self) -> Heard {
        let Some(users) = self.coordinator.settings.users.clone() else { return Heard::Close(Vec::new()) };
        let mut incoming = Incoming::new(Cursor::new(self.heard.clone()));
        let mut said = Vec::new();
        match sasl::accept(&mut incoming, &mut said, &users) {
            Ok(user) => {
                self.forget(&mut incoming);
                self.framing = Framing::Frames;
                self.enter(Some(user));
                Heard::Login(said)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Heard::NotYet,
            Err(_) => Heard::Close(said),
        }
    }

    fn incoming(&self) -> Incoming<Cursor<Vec<u8>>> {
        let mut incoming = Incoming::new(Cursor::new(self.heard.clone()));
        incoming.set_framing(self.framing);
        incoming
    }

    fn execute(&mut self) -> thrift::Result<Heard> {
        let mut whole = input(self.incoming());
        // Nothing may be executed before all of it is there.
        whole.read_message_begin()?;
        whole.skip(TType::Struct)?;
        let mut again = input(self.incoming());
        let message = again.read_message_begin()?;
        let is_call = matches!(message.message_type, TMessageType::Call | TMessageType::OneWay);
        let Some(desk) = self.desk.as_mut().filter(|_| is_call) else { return Ok(Heard::Close(Vec::new())) };
        let number = desk.receive(&message);
        let reply = desk.execute(message, &mut again)?;
        let call = desk.state.call(number);
        self.forget(&mut whole.transport);
        let (Some(reply), Some(call)) = (reply, call) else { return Ok(Heard::Close(Vec::new())) };
        let mut framed = Vec::new();
        sasl::write_message(&mut framed, self.framing, &reply)?;
        Ok(Heard::Call(Box::new(call), framed))
    }

    /// Forgets what was read.
    fn forget(&mut self, read: &mut Incoming<Cursor<Vec<u8>>>) {
        let buffered = read.buffered();
        let asked = usize::try_from(read.stream_mut().position()).unwrap_or(usize::MAX);
        self.heard.drain(..asked.saturating_sub(buffered).min(self.heard.len()));
    }
}

/// Whether the bytes ended before what was read.
fn is_end(error: &thrift::Error) -> bool {
    matches!(error, thrift::Error::Transport(error) if error.kind == TransportErrorKind::EndOfFile)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write;
    use std::rc::Rc;

    use thrift::protocol::{TBinaryInputProtocol, TBinaryOutputProtocol};

    use super::*;
    use crate::idl::impala_service::ImpalaHiveServer2ServiceSyncClient;
    use crate::idl::t_c_l_i_service::{TOpenSessionReq, TProtocolVersion, TTCLIServiceSyncClient as _};

    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a client sends for an `OpenSession`.
    fn open_session() -> Vec<u8> {
        let written = Written::default();
        let input = TBinaryInputProtocol::new(Cursor::new(Vec::new()), true);
        let output = TBinaryOutputProtocol::new(written.clone(), true);
        let version = TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6;
        let mut client = ImpalaHiveServer2ServiceSyncClient::new(input, output);
        assert!(
            client.open_session(TOpenSessionReq::new(version, None, None, None)).is_err(),
            "nobody answers"
        );
        written.0.take()
    }

    #[test]
    fn a_call_is_executed_once_all_of_it_has_come_and_what_follows_waits() {
        let coordinator = MemoryCoordinator::new(Settings::default(), Chance::from_seed(1));
        let mut conversation = coordinator.connect(Service::Hs2);
        let request = open_session();
        let (last, before) = request.split_last().unwrap();
        for byte in before {
            assert!(matches!(conversation.hear(&[*byte]), Heard::NotYet));
        }
        assert!(coordinator.open_sessions().is_empty());
        let Heard::Call(call, reply) = conversation.hear(&[*last, request[0]]) else { panic!("it is whole") };
        assert_eq!((call.method.as_str(), call.executed, conversation.unheard()), ("OpenSession", true, 1));
        assert_eq!(coordinator.open_sessions(), [call.session.unwrap()]);
        assert!(coordinator.knows(call.session.unwrap()) && !reply.is_empty());
        coordinator.restart();
        assert!(coordinator.open_sessions().is_empty());
    }
}
