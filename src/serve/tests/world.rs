//! A router's connections between clients and coordinators in memory.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thrift::protocol::{TBinaryInputProtocol, TBinaryOutputProtocol};
use thrift::transport::{ReadHalf, WriteHalf};
use tokio::io::AsyncReadExt as _;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::coordinators::{self, Coordinator, unwrapped, wrapped};
use super::plans::{cluster, fleet_settings, ports, settings};
use crate::chance::Chance;
use crate::cluster::Ports;
use crate::fake::Id;
use crate::idl::impala_service::ImpalaHiveServer2ServiceSyncClient;
use crate::idl::t_c_l_i_service as cli;
use crate::idl::t_c_l_i_service::TTCLIServiceSyncClient as _;
use crate::ids::{Service, Transport};
use crate::metrics::Metrics;
use crate::net::stream::double::{Double, Lan, pair};
use crate::serve::call::conn::{Conn, Introduced};
use crate::serve::call::links::Links;
use crate::serve::call::serve;
use crate::serve::connections::{Known, Listed};
use crate::serve::fleet::Fleet;
use crate::serve::fleet::entrance::Entrance;
use crate::serve::fleet::keyring::Keyring;
use crate::serve::link::login::Login;
use crate::serve::message::client::Client;
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::http::client::HttpPeer;
use crate::serve::shared::Shared;
use crate::serve::threads::workers::Workers;
use crate::session::delegation::Caller;
use crate::session::table::{self, Table};

/// How long a client waits for bytes of a reply, in virtual time.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// Where clients are.
pub(super) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
/// How many bytes of a request are held.
pub(super) const REPLAY_LIMIT: usize = 4 << 10;

/// Runs a test in the local set that the coordinators' tasks need.
pub(super) async fn in_memory(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

/// A fleet and its coordinators.
pub(super) struct World {
    pub(super) coordinators: Vec<Coordinator>,
    pub(super) fleet: Arc<Fleet<Double>>,
    pub(super) shared: Arc<Shared<Double>>,
    /// The transport of the links.
    link: Transport,
}

impl World {
    /// Starts `count` coordinators that understand this transport, and a router in front of them. Sessions
    /// can move.
    pub(super) fn of(count: u8, link: Transport) -> Self {
        let (coordinators, lan) = started(count, link);
        Self::in_front_of(coordinators, lan, link)
    }

    /// The same, where coordinators have a web port, which is not served.
    pub(super) fn with_web(count: u8, link: Transport) -> Self {
        let (coordinators, lan) = started(count, link);
        let ports = Ports { web: Some(25000), ..ports(link) };
        Self::with_ports(coordinators, lan, link, ports)
    }

    /// Puts a router that knows nothing yet in front of coordinators that may have sessions.
    pub(super) fn in_front_of(coordinators: Vec<Coordinator>, lan: Lan, link: Transport) -> Self {
        Self::with_ports(coordinators, lan, link, ports(link))
    }

    fn with_ports(coordinators: Vec<Coordinator>, lan: Lan, link: Transport, ports: Ports) -> Self {
        let metrics = Arc::new(Metrics::new());
        let table = Table::new(table::Settings { capacity: 1_000, detached_for: Duration::from_mins(5) });
        let cluster = cluster(&coordinators, ports);
        let mut fleet = Fleet::new(cluster, table, &metrics, fleet_settings(), Chance::from_seed(1));
        // It needs no ticket of its own.
        fleet.keyring = Keyring::new(Some(Login::Nobody));
        let fleet = Arc::new(fleet);
        let shared = Arc::new(Shared::new(settings(), lan, metrics));
        Self { coordinators, fleet, shared, link }
    }

    /// Connects a client that uses this transport.
    pub(super) async fn connect(&self, transport: Transport) -> TestClient {
        let listed = Listed::alone(self.shared.next_connection());
        let links = Links::anonymous(Arc::clone(&self.fleet), &listed, self.link);
        self.connect_with(transport, links, self.entrance()).await
    }

    /// Connects a client that uses SASL and has proven to the router who it is. The router needs no login.
    pub(super) async fn connect_as(&self, caller: Caller) -> TestClient {
        let listed = Listed::alone(self.shared.next_connection());
        let links = Links::speaking_for(Arc::clone(&self.fleet), &listed, caller, Login::Nobody);
        self.connect_with(Transport::Sasl, links, self.entrance()).await
    }

    pub(super) async fn connect_with(
        &self,
        transport: Transport,
        links: Links<Double>,
        entrance: Entrance<Double>,
    ) -> TestClient {
        let (near, far) = pair(64 << 10);
        let registration = self.shared.connections.register(links.conn(), Known::at_first());
        let (shared, listed) = (Arc::clone(&self.shared), Arc::clone(&registration.listed));
        let ((), assignment) = Workers::here().accept(std::future::ready(())).await;
        let client = match transport {
            Transport::Http => {
                let trusted_headers = Arc::default();
                let peer = HttpPeer { address: ADDRESS, is_trusted_proxy: false, trusted_headers };
                ClientEnd::over_http(Client::new(far, ADDRESS), peer)
            }
            _ => ClientEnd::new(Client::new(far, ADDRESS), transport),
        };
        let introduced = Introduced { shared, entrance: &entrance, client, links, listed, assignment };
        let mut conn = Box::new(Conn::new(introduced));
        let ended = tokio::spawn(async move {
            let _registration = registration;
            serve::serve(&mut conn).await.err().map(|end| end.to_string()).unwrap_or_default()
        });
        TestClient { stream: near, transport, fields: String::new(), ended }
    }

    pub(super) fn entrance(&self) -> Entrance<Double> {
        Entrance::new("test".into(), Arc::clone(&self.fleet), Service::Hs2)
    }

    /// Returns the index of the one coordinator that has sessions.
    pub(super) fn owner(&self) -> usize {
        let owners: Vec<_> = (0..self.coordinators.len()).filter(|at| self.sessions()[*at] > 0).collect();
        assert_eq!(owners.len(), 1, "{:?}", self.sessions());
        owners[0]
    }

    /// Returns the index of the coordinator that has this session.
    pub(super) fn owner_of(&self, session: &cli::TSessionHandle) -> usize {
        let id = Id(session.session_id.guid.as_slice().try_into().unwrap());
        self.coordinators.iter().position(|one| one.memory.knows(id)).unwrap()
    }

    /// Returns how many sessions each coordinator has.
    pub(super) fn sessions(&self) -> Vec<usize> {
        self.coordinators.iter().map(Coordinator::sessions).collect()
    }
}

fn started(count: u8, link: Transport) -> (Vec<Coordinator>, Lan) {
    let lan = Lan::default();
    let coordinators = (1..=count).map(|number| Coordinator::start(&lan, number, link)).collect();
    (coordinators, lan)
}

/// Collects bytes that are written, without sending them.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The generated client, which reads and writes bytes in memory.
pub(super) type Generated = ImpalaHiveServer2ServiceSyncClient<
    TBinaryInputProtocol<ReadHalf<Cursor<Vec<u8>>>>,
    TBinaryOutputProtocol<WriteHalf<Written>>,
>;

fn generated(reply: Vec<u8>) -> (Generated, Written) {
    let written = Written::default();
    let input = TBinaryInputProtocol::new(ReadHalf::new(Cursor::new(reply)), true);
    let output = TBinaryOutputProtocol::new(WriteHalf::new(written.clone()), true);
    (ImpalaHiveServer2ServiceSyncClient::new(input, output), written)
}

/// A client in memory.
pub(super) struct TestClient {
    stream: Double,
    transport: Transport,
    /// Fields that go with each request over HTTP.
    pub(super) fields: String,
    ended: tokio::task::JoinHandle<String>,
}

impl TestClient {
    /// Makes a call with the generated client.
    pub(super) async fn call<T>(
        &mut self,
        call: impl Fn(&mut Generated) -> thrift::Result<T>,
    ) -> thrift::Result<T> {
        self.send(&call).await;
        let (mut raw, mut reply, mut chunk) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
        loop {
            let read = timeout(ANSWER_WITHIN, self.stream.read(&mut chunk)).await.expect("an answer")?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            raw.extend_from_slice(&chunk[..read]);
            reply.extend(unwrapped(&mut raw, self.transport));
            match call(&mut generated(reply.clone()).0) {
                Err(thrift::Error::Transport(error))
                    if error.kind == thrift::TransportErrorKind::EndOfFile => {}
                done => return done,
            }
        }
    }

    /// Sends the request of a call without waiting for the reply.
    pub(super) async fn send<T>(&mut self, call: &impl Fn(&mut Generated) -> thrift::Result<T>) {
        let (mut writer, written) = generated(Vec::new());
        assert!(call(&mut writer).is_err(), "no reply has come yet");
        let request = written.0.lock().clone();
        // The router may close the connection before it has read the whole request.
        let request = self.framed(&request);
        let _sent = coordinators::send(&mut self.stream, &request).await;
    }

    /// A request as it is sent.
    fn framed(&self, message: &[u8]) -> Vec<u8> {
        let message = wrapped(message, self.transport);
        if self.transport == Transport::Http {
            [b"POST /cliservice HTTP/1.1\r\n", self.fields.as_bytes(), &message].concat()
        } else {
            message
        }
    }

    /// Sends a whole message, and returns the first payload that comes back.
    pub(super) async fn raw(&mut self, message: &[u8]) -> Vec<u8> {
        let request = self.framed(message);
        coordinators::send(&mut self.stream, &request).await.unwrap();
        let (mut raw, mut reply, mut chunk) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
        while reply.is_empty() {
            let read =
                timeout(ANSWER_WITHIN, self.stream.read(&mut chunk)).await.expect("an answer").unwrap();
            assert!(read > 0, "the connection has ended");
            raw.extend_from_slice(&chunk[..read]);
            reply.extend(unwrapped(&mut raw, self.transport));
        }
        reply
    }

    /// Sends a whole message over HTTP, and returns the head of the answer.
    pub(super) async fn head(&mut self, message: &[u8]) -> String {
        const END: &[u8] = b"\r\n\r\n";
        let request = self.framed(message);
        coordinators::send(&mut self.stream, &request).await.unwrap();
        let (mut raw, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            if let Some(end) = raw.windows(END.len()).position(|part| part == END) {
                return String::from_utf8(raw.drain(..end + END.len()).collect()).unwrap();
            }
            let read =
                timeout(ANSWER_WITHIN, self.stream.read(&mut chunk)).await.expect("an answer").unwrap();
            assert!(read > 0, "the connection has ended");
            raw.extend_from_slice(&chunk[..read]);
        }
    }

    /// Opens a session.
    pub(super) async fn open(&mut self) -> Result<cli::TSessionHandle, String> {
        self.open_with(&[]).await
    }

    /// Opens a session with this configuration.
    pub(super) async fn open_with(&mut self, pairs: &[(&str, &str)]) -> Result<cli::TSessionHandle, String> {
        let version = cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6;
        let pairs: BTreeMap<_, _> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let request = cli::TOpenSessionReq::new(version, None, None, pairs);
        let opened = self.call(|client| client.open_session(request.clone())).await;
        let opened = opened.map_err(|error| error.to_string())?;
        opened.session_handle.filter(|_| succeeded(&opened.status)).ok_or_else(|| message(&opened.status))
    }

    /// Starts a statement.
    pub(super) async fn execute(
        &mut self,
        session: &cli::TSessionHandle,
        statement: &str,
    ) -> Result<cli::TOperationHandle, String> {
        let (session, statement) = (session.clone(), statement.to_owned());
        let request = cli::TExecuteStatementReq::new(session, statement, None, true, None);
        let started = self.call(|client| client.execute_statement(request.clone())).await;
        let started = started.map_err(|error| error.to_string())?;
        started
            .operation_handle
            .filter(|_| succeeded(&started.status))
            .ok_or_else(|| message(&started.status))
    }

    /// Fetches at most `most` rows; returns how many came.
    pub(super) async fn fetch(
        &mut self,
        operation: &cli::TOperationHandle,
        most: i64,
    ) -> Result<usize, String> {
        let next = cli::TFetchOrientation::FETCH_NEXT;
        let request = cli::TFetchResultsReq::new(operation.clone(), next, most, None);
        let fetched = self.call(|client| client.fetch_results(request.clone())).await;
        let fetched = fetched.map_err(|error| error.to_string())?;
        if !succeeded(&fetched.status) {
            return Err(message(&fetched.status));
        }
        let columns = fetched.results.and_then(|rows| rows.columns).unwrap_or_default();
        Ok(columns.first().map_or(0, rows))
    }

    /// Closes a session.
    pub(super) async fn close(&mut self, session: &cli::TSessionHandle) -> Result<(), String> {
        let request = cli::TCloseSessionReq::new(session.clone());
        let closed = self.call(|client| client.close_session(request.clone())).await;
        let closed = closed.map_err(|error| error.to_string())?;
        if succeeded(&closed.status) { Ok(()) } else { Err(message(&closed.status)) }
    }

    /// Runs a statement to its end and closes its operation.
    pub(super) async fn run(&mut self, session: &cli::TSessionHandle, statement: &str) -> Result<(), String> {
        let operation = self.execute(session, statement).await?;
        let request = cli::TCloseOperationReq::new(operation);
        let closed = self.call(|client| client.close_operation(request.clone())).await;
        closed.map(drop).map_err(|error| error.to_string())
    }

    /// Returns why the connection ended, once it has.
    pub(super) async fn end(self) -> String {
        let Self { stream, ended, .. } = self;
        let end = ended.await.unwrap();
        drop(stream);
        end
    }
}

fn rows(column: &cli::TColumn) -> usize {
    match column {
        cli::TColumn::I32Val(column) => column.values.len(),
        cli::TColumn::I64Val(column) => column.values.len(),
        cli::TColumn::StringVal(column) => column.values.len(),
        other => panic!("another column: {other:?}"),
    }
}

fn succeeded(status: &cli::TStatus) -> bool {
    status.status_code == cli::TStatusCode::SUCCESS_STATUS
}

fn message(status: &cli::TStatus) -> String {
    status.error_message.clone().unwrap_or_default()
}
