//! A coordinator without sockets, threads and clock hands: bytes go in, replies come out. It knows, executes
//! and says the same as one that is started; when its bytes arrive, how long it takes and how it dies is its
//! user's affair. For simulations of a router, in which nothing may depend on anything but the seed.

use std::io::{self, Cursor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thrift::protocol::{TInputProtocol, TMessageType, TType};

use super::calls::ReceivedCall;
use super::connection::{Desk, Newcomer, input, is_end, is_too_long};
use super::coordinator::{Logins, Settings};
use super::faults::Faults;
use super::http::{HttpCounts, Step, Talk};
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
    /// The client was let in, which is to be said in these bytes: after a login, or over HTTP before the body
    /// of a request that waits for that.
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
    /// Only over HTTP.
    talk: Option<Talk>,
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

    /// What came by HTTP so far.
    pub fn http_counts(&self) -> HttpCounts {
        self.state.http.counts()
    }

    /// How often it was started.
    pub fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Relaxed)
    }

    /// The ids of all open sessions, Beeswax connections among them.
    pub fn open_sessions(&self) -> Vec<Id> {
        self.state.open_sessions()
    }

    /// The effective user of each open session, in the order of their ids.
    pub fn effective_users(&self) -> Vec<String> {
        self.state.tables().sessions.values().map(|session| session.effective_user().to_owned()).collect()
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

    /// The HTTP answer to a request target of the web port, while its client ports are used like this: those
    /// of HS2, Beeswax, and HS2 over HTTP.
    pub fn page(&self, target: &str, [hs2, beeswax, hs2_http]: [PortUse; 3]) -> String {
        let counts = |PortUse { in_use, queued }| PoolCounts { in_use, queued, ..PoolCounts::default() };
        let site = Site {
            state: &self.state,
            start_time: format!("2026-01-01 00:00:00.{:06}", self.incarnation()),
            service_threads: self.settings.service_threads,
            hs2: counts(hs2),
            beeswax: counts(beeswax),
            hs2_http: counts(hs2_http),
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
            talk: None,
            heard: Vec::new(),
        };
        // Over HTTP each request is authenticated by itself.
        if self.settings.users.is_none() || service == Service::Hs2Http {
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
        self.talk.as_ref().map_or(self.heard.len(), Talk::unheard)
    }

    /// Whether it had sessions and all of them are closed: after [`Settings::idle_client_poll`] of silence it
    /// is closed.
    pub fn is_idle(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.state.is_idle(&desk.caller))
    }

    /// Hears bytes, and executes a call if they complete one. With no bytes, one that was there already.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        if let Some(talk) = &mut self.talk {
            let mut said = Vec::new();
            return match talk.hear(bytes, &mut said) {
                Step::NotYet if said.is_empty() => Heard::NotYet,
                Step::NotYet => Heard::Login(said),
                Step::Call(message) => self.execute_whole(&message, said).unwrap_or(Heard::Close(Vec::new())),
                Step::Close => Heard::Close(said),
            };
        }
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
        if self.service == Service::Hs2Http {
            self.talk = Some(Talk::new(&self.coordinator.settings, &desk));
        }
        self.desk = Some(desk);
    }

    fn log_in(&mut self) -> Heard {
        let passwords = self.coordinator.settings.checker();
        if passwords.is_none() {
            return Heard::Close(Vec::new());
        }
        // A negotiation of several rounds would be heard from its beginning each time.
        let logins = Logins { passwords, tickets: false };
        let mut incoming = Incoming::new(Cursor::new(self.heard.clone()));
        let mut said = Vec::new();
        match sasl::accept(&mut incoming, &mut said, &logins) {
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
        let Some((call, reply)) = self.answer(&mut input(self.incoming()))? else {
            return Ok(Heard::Close(Vec::new()));
        };
        self.forget(&mut whole.transport);
        let mut framed = Vec::new();
        sasl::write_message(&mut framed, self.framing, &reply)?;
        Ok(Heard::Call(call, framed))
    }

    /// Executes a message that came over HTTP; the reply follows what is `said` already.
    fn execute_whole(&mut self, message: &[u8], mut said: Vec<u8>) -> thrift::Result<Heard> {
        let answer = self.answer(&mut input(Incoming::new(Cursor::new(message))))?;
        let (Some((call, reply)), Some(talk)) = (answer, &mut self.talk) else {
            return Ok(Heard::Close(said));
        };
        said.extend(talk.reply(&reply));
        Ok(Heard::Call(call, said))
    }

    /// Executes a call; `None` if there is nothing to answer.
    fn answer(
        &mut self,
        input: &mut dyn TInputProtocol,
    ) -> thrift::Result<Option<(Box<ReceivedCall>, Vec<u8>)>> {
        let message = input.read_message_begin()?;
        let is_call = matches!(message.message_type, TMessageType::Call | TMessageType::OneWay);
        let Some(desk) = self.desk.as_mut().filter(|_| is_call) else { return Ok(None) };
        let number = desk.receive(&message);
        let reply = desk.execute(message, input)?;
        let call = desk.state.call(number).map(Box::new);
        Ok(call.zip(reply))
    }

    /// Forgets what was read.
    fn forget(&mut self, read: &mut Incoming<Cursor<Vec<u8>>>) {
        let buffered = read.buffered();
        let asked = usize::try_from(read.stream_mut().position()).unwrap_or(usize::MAX);
        self.heard.drain(..asked.saturating_sub(buffered).min(self.heard.len()));
    }
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

    #[test]
    fn over_http_a_call_is_executed_once_its_body_is_whole_in_whatever_pieces_it_comes() {
        let body = open_session();
        let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        let (front, back) = body.split_at(7);
        let chunks = [chunk(front), chunk(back), b"0\r\n\r\n".to_vec()].concat();
        let length = format!("Content-Length: {}", body.len());
        for (field, body) in [(length.as_str(), &body), ("Transfer-Encoding: chunked", &chunks)] {
            let request = [format!("POST / HTTP/1.1\r\n{field}\r\n\r\n").as_bytes(), body].concat();
            for size in 1..request.len() {
                let coordinator = MemoryCoordinator::new(Settings::default(), Chance::from_seed(1));
                let mut conversation = coordinator.connect(Service::Hs2Http);
                let mut pieces = request.chunks(size).peekable();
                while let Some(piece) = pieces.next() {
                    match (conversation.hear(piece), pieces.peek()) {
                        (Heard::NotYet, Some(_)) => {}
                        (Heard::Call(call, reply), None) => {
                            assert_eq!((call.method.as_str(), call.executed), ("OpenSession", true));
                            assert!(reply.starts_with(b"HTTP/1.1 200 OK\r\n"));
                        }
                        (heard, _) => panic!("{heard:?} of {size} bytes at once"),
                    }
                }
                assert_eq!(conversation.unheard(), 0);
                drop(conversation);
                assert_eq!(coordinator.open_sessions().len(), 1, "it outlives its connection");
            }
        }
    }

    #[test]
    fn over_http_a_client_that_waits_with_its_body_is_told_to_go_on() {
        let coordinator = MemoryCoordinator::new(Settings::default(), Chance::from_seed(1));
        let mut conversation = coordinator.connect(Service::Hs2Http);
        let head = b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 9\r\n\r\n";
        let Heard::Login(said) = conversation.hear(head) else { panic!("it waits") };
        assert_eq!(said, b"HTTP/1.1 100 Continue\r\n\r\n");
        assert!(matches!(conversation.hear(&[0xff; 7]), Heard::NotYet));
        assert!(matches!(conversation.hear(&[0xff; 2]), Heard::Close(said) if said.is_empty()));
    }
}
