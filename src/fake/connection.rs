//! One client connection, on a thread of its own for its whole life (Impala: `TAcceptQueueServer.cpp`).

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use thrift::TConfiguration;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TInputProtocol, TMessageIdentifier, TMessageType,
    TOutputProtocol, TStoredInputProtocol, TType,
};
use thrift::server::TProcessor;
use thrift::{ApplicationError, ApplicationErrorKind, ProtocolErrorKind, TransportErrorKind};

use super::beeswax::{self, Beeswax};
use super::calls::ReceivedCall;
use super::control::Control;
use super::coordinator::Settings;
use super::faults::Fault;
use super::hs2::{self, Hs2};
use super::http;
use super::sasl::{self, Framing, Incoming};
use super::sending::{GARBAGE, Next, Outlet};
use super::state::{Caller, State, Who};
use crate::idl::impala_service::{ImpalaHiveServer2ServiceSyncProcessor, ImpalaServiceSyncProcessor};
use crate::ids::Service;

/// The longest string that is read, in bytes. Impala accepts 2 GiB. The thrift crate allocates the declared
/// length, and noise on all connections of a demo must not add up to gigabytes.
const STRING_LIMIT: usize = 4 << 20;
/// The most elements of a list or map that are read, for the same reason.
const CONTAINER_LIMIT: usize = 64 << 10;
/// How many characters of a method's name are remembered.
const NAME_LIMIT: usize = 100;

/// The reading side of a connection's socket: slow if a fault says so, and patient within a message.
pub(super) struct Paced {
    stream: TcpStream,
    state: Arc<State>,
    /// Within a message a read timeout is ignored.
    patient: bool,
}

impl Paced {
    pub(super) fn new(stream: TcpStream, state: Arc<State>) -> Self {
        Self { stream, state, patient: false }
    }
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let pause = self.state.faults.read_pause();
            let limit = if pause.is_some() { 1.min(buffer.len()) } else { buffer.len() };
            std::thread::sleep(pause.unwrap_or_default());
            match self.stream.read(buffer.get_mut(..limit).unwrap_or_default()) {
                Err(error) if self.patient && is_timeout(&error) => {}
                other => return other,
            }
        }
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Collects a reply before it is sent.
#[derive(Clone, Default)]
struct Reply(Rc<RefCell<Vec<u8>>>);

impl Reply {
    fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Reply {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection with its service thread.
pub(super) struct Connection {
    pub(super) state: Arc<State>,
    pub(super) control: Arc<Control>,
    pub(super) service: Service,
    pub(super) number: u64,
    pub(super) user: Option<String>,
    pub(super) stream: TcpStream,
    pub(super) incoming: Incoming<Paced>,
    pub(super) framing: Framing,
    pub(super) settings: Arc<Settings>,
    /// `host:port` of the web pages.
    pub(super) web: String,
}

/// A connection between two calls, ready for the next.
struct Server {
    outlet: Outlet,
    framing: Framing,
    input: TBinaryInputProtocol<Incoming<Paced>>,
    desk: Desk,
}

/// Executes the calls of one connection.
pub(super) struct Desk {
    pub(super) state: Arc<State>,
    pub(super) caller: Rc<Caller>,
    reply: Reply,
    output: TBinaryOutputProtocol<Reply>,
    processor: Box<dyn TProcessor>,
    methods: &'static [&'static str],
}

/// What a caller is made of.
pub(super) struct Newcomer {
    pub(super) service: Service,
    /// The number of the connection.
    pub(super) number: u64,
    /// The authenticated name, if the port authenticates.
    pub(super) user: Option<String>,
}

/// Reads messages from a connection, with bounds.
pub(super) fn input<R: Read>(incoming: Incoming<R>) -> TBinaryInputProtocol<Incoming<R>> {
    let limits = TConfiguration::builder()
        .max_string_size(Some(STRING_LIMIT))
        .max_container_size(Some(CONTAINER_LIMIT))
        .build();
    // Old-style headers are accepted too (Impala: `strict_read = false`).
    TBinaryInputProtocol::with_config(incoming, false, limits.unwrap_or_default())
}

impl Connection {
    /// Serves calls until either side ends.
    pub(super) fn serve(self) {
        if self.service == Service::Hs2Http {
            return http::serve(self);
        }
        let newcomer = Newcomer { service: self.service, number: self.number, user: self.user };
        let mut server = Server {
            outlet: Outlet { control: self.control, stream: self.stream },
            framing: self.framing,
            input: input(self.incoming),
            desk: Desk::open(self.state, newcomer, self.web),
        };
        while server.wait() && matches!(server.call(), Ok(Next::Call)) {}
    }
}

impl Desk {
    /// Begins a connection, and with it its Beeswax session.
    pub(super) fn open(state: Arc<State>, newcomer: Newcomer, web: String) -> Self {
        let caller = Rc::new(Caller {
            service: newcomer.service,
            connection: newcomer.number,
            who: RefCell::new(Who { user: newcomer.user, ..Who::default() }),
            call: Cell::new(0),
            reached: Cell::new(false),
            had_session: Cell::new(false),
        });
        let (of_handler, of_caller) = (Arc::clone(&state), Rc::clone(&caller));
        let (processor, methods): (Box<dyn TProcessor>, &'static [_]) = match newcomer.service {
            Service::Beeswax => {
                let handler = Beeswax { state: of_handler, caller: of_caller, web };
                (Box::new(ImpalaServiceSyncProcessor::new(handler)), &beeswax::METHODS)
            }
            Service::Hs2 | Service::Hs2Http => {
                let handler = Hs2 { state: of_handler, caller: of_caller, web };
                (Box::new(ImpalaHiveServer2ServiceSyncProcessor::new(handler)), &hs2::METHODS)
            }
        };
        let reply = Reply::default();
        state.connect(&caller);
        let output = TBinaryOutputProtocol::new(reply.clone(), true);
        Self { state, caller, reply, output, processor, methods }
    }

    /// Records that a call has come; returns its number in the log.
    pub(super) fn receive(&self, message: &TMessageIdentifier) -> u64 {
        let number = self.state.received(ReceivedCall {
            service: self.caller.service,
            method: message.name.chars().take(NAME_LIMIT).collect(),
            session: None,
            operation: None,
            connection: self.caller.connection,
            user: self.caller.user(),
            do_as: self.caller.do_as(),
            head: self.caller.who.borrow().head.clone(),
            executed: false,
        });
        self.caller.call.set(number);
        number
    }

    /// Reads the arguments, executes the call and returns the reply. `None` if the arguments could not be
    /// read; such a call gets no reply (Impala: `TAcceptQueueServer.cpp` `Task::run`).
    pub(super) fn execute(
        &mut self,
        message: TMessageIdentifier,
        input: &mut dyn TInputProtocol,
    ) -> thrift::Result<Option<Vec<u8>>> {
        if self.methods.contains(&message.name.as_str()) && self.state.manner.knows(&message.name) {
            self.caller.reached.set(false);
            let mut stored = TStoredInputProtocol::new(input, message);
            self.processor.process(&mut stored, &mut self.output)?;
            if !self.caller.reached.get() {
                return Ok(None);
            }
        } else {
            self.unknown(&message, input)?;
        }
        Ok(Some(self.reply.take()))
    }

    fn unknown(
        &mut self,
        message: &TMessageIdentifier,
        input: &mut dyn TInputProtocol,
    ) -> thrift::Result<()> {
        input.skip(TType::Struct)?;
        let text = format!("Invalid method name: '{}'", message.name);
        let error = ApplicationError::new(ApplicationErrorKind::UnknownMethod, text);
        let head =
            TMessageIdentifier::new(message.name.clone(), TMessageType::Exception, message.sequence_number);
        self.output.write_message_begin(&head)?;
        thrift::Error::write_application_error_to_out_protocol(&error, &mut self.output)?;
        self.output.write_message_end()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.state.disconnect(self.caller.connection);
    }
}

impl Server {
    /// Waits for the next call. A connection ends if it is idle for long after all its sessions were closed
    /// (Impala: `--idle_client_poll_period_s`).
    fn wait(&mut self) -> bool {
        self.input.transport.stream_mut().patient = false;
        loop {
            match self.input.transport.wait() {
                Ok(more) => {
                    self.input.transport.stream_mut().patient = true;
                    return more;
                }
                Err(error) if is_timeout(&error) && !self.desk.state.is_idle(&self.desk.caller) => {}
                Err(_) => return false,
            }
        }
    }

    /// Reads, executes and answers one call. On an error the connection is closed without a reply, as impalad
    /// does.
    fn call(&mut self) -> thrift::Result<Next> {
        let message = match self.input.read_message_begin() {
            Err(error) if is_too_long(&error) => {
                // This is the method name of an old-style header. Impala waits for up to 2 GiB of it
                // (`--thrift_external_rpc_max_message_size`), and so for any greeting that looks like such a
                // header.
                self.input.transport.discard();
                return Ok(Next::Close);
            }
            message => message?,
        };
        if !matches!(message.message_type, TMessageType::Call | TMessageType::OneWay) {
            return Ok(Next::Close);
        }
        self.desk.receive(&message);
        let fault = self.desk.state.faults.take(&message.name);
        if !self.outlet.lets_in(fault) {
            self.input.skip(TType::Struct)?;
            return Ok(Next::Close);
        }
        let Some(reply) = self.desk.execute(message, &mut self.input)? else { return Ok(Next::Close) };
        let mut framed = Vec::new();
        if fault == Some(Fault::Garbage) {
            framed.extend_from_slice(&GARBAGE);
        } else {
            sasl::write_message(&mut framed, self.framing, &reply)?;
        }
        let next = self.outlet.send(&framed, fault)?;
        if next == Next::Linger {
            self.input.transport.discard();
        }
        Ok(next)
    }
}

/// Whether a declared length was longer than is read here.
pub(super) fn is_too_long(error: &thrift::Error) -> bool {
    matches!(error, thrift::Error::Protocol(error) if error.kind == ProtocolErrorKind::SizeLimit)
}

/// Whether the bytes ended before what was read.
pub(super) fn is_end(error: &thrift::Error) -> bool {
    matches!(error, thrift::Error::Transport(error) if error.kind == TransportErrorKind::EndOfFile)
}

/// How long a read waits for a byte before it checks whether the connection is still wanted.
pub(super) fn set_idle_poll(stream: &TcpStream, period: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(period.max(Duration::from_millis(1))))
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::super::coordinator::Coordinator;
    use super::*;

    #[test]
    fn a_declared_length_is_waited_for_and_takes_no_memory() {
        let coordinator = Coordinator::start(Settings::default()).unwrap();
        let mut stream = TcpStream::connect(coordinator.hs2()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // The length of a method name in an old-style header; the name does not follow.
        stream.write_all(&(1_u32 << 30).to_be_bytes()).unwrap();
        assert!(is_timeout(&stream.read(&mut [0; 1]).unwrap_err()), "it is waited for");
        stream.shutdown(Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "not for longer than its client is there");
    }
}
