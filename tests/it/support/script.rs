//! Coordinators that do what a test tells them, connection by connection or call by call, and remember what
//! they got.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::message::{EXCEPTION, Message, STRING, Value, handle};
use super::ports::fill;
use super::router::eventually;
use super::talk::Talk;
use hs2router::fake::sasl::{Framing, START};

/// The password that no coordinator accepts.
pub(crate) const WRONG: &str = "canary-wrong-password";

/// How impalad refuses new work while it shuts down.
pub(crate) const SHUTTING_DOWN: &str = "Server is being shut down: shutdown grace period left: 1m. ";

/// What a coordinator does about a call, or about credentials.
pub(crate) enum Act {
    /// Answers as a sound coordinator would.
    Ordinary,
    /// Answers with this.
    Reply(Message),
    /// Writes these bytes, as they are, and goes on.
    Bytes(Vec<u8>),
    /// Writes these bytes, as they are, and closes.
    Last(Vec<u8>),
    /// Writes the first bytes of a sound coordinator's answer, as many as this makes of their number, and
    /// closes.
    Part(fn(usize) -> usize),
    /// Begins a reply that has no end, as long as the other side takes it. For connections without frames.
    Endless,
    /// Closes without a word.
    Close,
    /// Never answers, and waits for the other side to leave.
    Silence,
}

/// A call that came.
pub(crate) struct Call {
    pub(crate) message: Message,
    /// Of all calls of this coordinator, counted from 0.
    pub(crate) place: usize,
    /// Whether messages are framed on its connection.
    pub(crate) framing: Framing,
}

impl Call {
    /// These bytes of a message as they would go over its connection.
    pub(crate) fn wrap(&self, message: &[u8]) -> Vec<u8> {
        self.framing.wrap(message)
    }
}

/// What a coordinator remembers.
#[derive(Debug, Default)]
struct Memory {
    /// Distinguishes its handles from those of others.
    mark: u8,
    stop: AtomicBool,
    /// Connections are left in the queue.
    paused: AtomicBool,
    /// The next request is read in part only.
    breaks: AtomicBool,
    /// Connections that came, served or not.
    waiting: AtomicUsize,
    accepted: AtomicUsize,
    open: AtomicUsize,
    minted: AtomicU32,
    calls: Mutex<Vec<Message>>,
    credentials: AtomicUsize,
    /// By their places.
    streams: Mutex<BTreeMap<usize, TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A listener whose connections are handled by a closure, each on a thread; it stops when the value is
/// dropped.
#[derive(Debug)]
pub(crate) struct Script {
    address: SocketAddr,
    memory: Arc<Memory>,
    queue: Option<TcpListener>,
    accepting: Option<JoinHandle<()>>,
}

impl Script {
    /// Handles each connection by `serve`, which gets its place, counted from 0.
    pub(crate) fn raw(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::start(move |stream, place, _| serve(stream, place))
    }

    /// A coordinator in any framing, SASL PLAIN included, that does about each call what `act` says.
    pub(crate) fn calls(act: impl Fn(&Call) -> Act + Send + Sync + 'static) -> Self {
        Self::both(|_| Act::Ordinary, act)
    }

    /// A sound coordinator but for what `act` says to do about the response to PLAIN.
    pub(crate) fn logins(act: impl Fn(&[u8]) -> Act + Send + Sync + 'static) -> Self {
        Self::both(act, |_| Act::Ordinary)
    }

    /// A coordinator that does this about each response to PLAIN and that about each call.
    pub(crate) fn both(
        login: impl Fn(&[u8]) -> Act + Send + Sync + 'static,
        call: impl Fn(&Call) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |stream, _, memory| {
            // How the connection ended is for the other side to see.
            let _ended = converse(stream, memory, &login, &call);
        })
    }

    /// A sound coordinator.
    pub(crate) fn sound() -> Self {
        Self::calls(|_| Act::Ordinary)
    }

    /// A coordinator whose rows have no end, and which talks without end to those that it does not understand
    /// either.
    pub(crate) fn endless() -> Self {
        Self::calls(|call| if call.message.name == "FetchResults" { Act::Endless } else { Act::Ordinary })
    }

    fn start(serve: impl Fn(TcpStream, usize, &Memory) + Send + Sync + 'static) -> Self {
        static MARKS: AtomicU8 = AtomicU8::new(1);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, queue) = (listener.local_addr().unwrap(), listener.try_clone().unwrap());
        let mark = MARKS.fetch_add(1, Ordering::Relaxed);
        let memory = Arc::new(Memory { mark, ..Memory::default() });
        let (serve, shared) = (Arc::new(serve), Arc::clone(&memory));
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.waiting.fetch_add(1, Ordering::SeqCst);
                while shared.paused.load(Ordering::SeqCst) && !shared.stop.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(2));
                }
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                // In this order: whoever sees the second sees the first.
                shared.open.fetch_add(1, Ordering::SeqCst);
                let place = shared.accepted.fetch_add(1, Ordering::SeqCst);
                shared.streams.lock().unwrap().insert(place, stream.try_clone().unwrap());
                let (serve, memory) = (Arc::clone(&serve), Arc::clone(&shared));
                let thread = std::thread::spawn(move || {
                    let ends = stream.try_clone().unwrap();
                    serve(stream, place, &memory);
                    // What is kept to cut it holds the connection open: it has to be told, or to go for a
                    // reset.
                    if socket2::SockRef::from(&ends).linger().unwrap().is_some() {
                        memory.streams.lock().unwrap().remove(&place);
                    } else {
                        let _ended = ends.shutdown(Shutdown::Both);
                    }
                    drop(ends);
                    memory.open.fetch_sub(1, Ordering::SeqCst);
                });
                shared.threads.lock().unwrap().push(thread);
            }
        });
        Self { address, memory, queue: Some(queue), accepting: Some(accepting) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.memory.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.memory.open.load(Ordering::SeqCst)
    }

    /// How often credentials came.
    pub(crate) fn credentials(&self) -> usize {
        self.memory.credentials.load(Ordering::SeqCst)
    }

    /// Ends all its connections.
    pub(crate) fn cut(&self) {
        for stream in self.memory.streams.lock().unwrap().values() {
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends its next connection by a reset in the middle of the next request, of which it keeps nothing.
    pub(crate) fn break_next_request(&self) {
        self.memory.breaks.store(true, Ordering::SeqCst);
    }

    /// Has no thread for new connections from now on: they are accepted by the kernel and wait.
    pub(crate) fn pause(&self) {
        self.memory.paused.store(true, Ordering::SeqCst);
    }

    /// Serves those that wait.
    pub(crate) fn resume(&self) {
        self.memory.paused.store(false, Ordering::SeqCst);
    }

    /// Connections that came, be it that they wait.
    pub(crate) fn came(&self) -> usize {
        self.memory.waiting.load(Ordering::SeqCst)
    }

    /// As [`Self::pause`], with no place in the queue either: to dial it takes as long as the dialing side
    /// allows. Returns what fills the queue.
    pub(crate) fn hang(&self) -> Vec<TcpStream> {
        let came = self.came();
        self.pause();
        let held = TcpStream::connect(self.address).unwrap();
        assert!(eventually(|| self.came() > came), "nobody took it from the queue");
        socket2::SockRef::from(self.queue.as_ref().unwrap()).listen(0).unwrap();
        let mut filling = fill(self.address);
        filling.push(held);
        filling
    }

    /// Ends all its connections and listens no more.
    pub(crate) fn leave(&mut self) {
        self.memory.stop.store(true, Ordering::SeqCst);
        self.queue = None;
        // Once only: after that the port may be somebody else's.
        if let Some(accepting) = self.accepting.take() {
            let _woken = TcpStream::connect_timeout(&self.address, Duration::from_millis(50));
            let _ended = accepting.join();
        }
        self.cut();
    }

    /// The calls that came, in order.
    pub(crate) fn got(&self) -> Vec<Message> {
        self.memory.calls.lock().unwrap().clone()
    }

    /// How many calls of a method came.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.memory.calls.lock().unwrap().iter().filter(|call| call.name == method).count()
    }

    /// Whether it minted this handle.
    pub(crate) fn minted(&self, handle: &Value) -> bool {
        matches!(handle.at(&[1, 1]), Some(Value::Bytes(guid)) if guid.first() == Some(&self.memory.mark))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.leave();
        let threads = std::mem::take(&mut *self.memory.threads.lock().unwrap());
        for thread in threads {
            let _ended = thread.join();
        }
    }
}

fn converse(
    stream: TcpStream,
    memory: &Memory,
    login: &impl Fn(&[u8]) -> Act,
    act: &impl Fn(&Call) -> Act,
) -> io::Result<()> {
    let mut first = [0];
    stream.set_read_timeout(None)?;
    if stream.peek(&mut first)? == 0 {
        return Ok(());
    }
    let mut talk = Talk::over(stream, if first == [0x80] { Framing::None } else { Framing::Frames });
    // A client may idle for as long as a test lasts.
    talk.stream.set_read_timeout(None)?;
    if first == [START] && !log_in(&mut talk, memory, login)? {
        return Ok(());
    }
    loop {
        if talk.stream.peek(&mut first)? > 0 && memory.breaks.swap(false, Ordering::SeqCst) {
            talk.stream.read_exact(&mut [0; 10])?;
            talk.reset();
            return Ok(());
        }
        let message = talk.hear()?;
        let place = {
            let mut calls = memory.calls.lock().unwrap();
            calls.push(message.clone());
            calls.len() - 1
        };
        let call = Call { message, place, framing: talk.framing() };
        match act(&call) {
            Act::Ordinary => talk.say(&ordinary(&call.message, memory)),
            Act::Reply(reply) => talk.say(&reply),
            Act::Bytes(bytes) => talk.send(&bytes),
            Act::Last(bytes) => {
                talk.send(&bytes);
                return Ok(());
            }
            Act::Part(of) => {
                let bytes = call.wrap(&ordinary(&call.message, memory).encode());
                talk.send(&bytes[..of(bytes.len())]);
                return Ok(());
            }
            Act::Endless => return endless(&mut talk, &call.message),
            Act::Close => return Ok(()),
            Act::Silence => return talk.stream.read(&mut [0]).map(drop),
        }
    }
}

/// The coordinator's side of a login; whether the connection goes on.
fn log_in(talk: &mut Talk, memory: &Memory, act: &impl Fn(&[u8]) -> Act) -> io::Result<bool> {
    let Some(response) = talk.response()? else { return Ok(false) };
    memory.credentials.fetch_add(1, Ordering::SeqCst);
    match act(&response) {
        Act::Ordinary => Ok(talk.judge(response.rsplit(|byte| *byte == 0).next() != Some(WRONG.as_bytes()))),
        Act::Last(bytes) => {
            talk.send(&bytes);
            Ok(false)
        }
        Act::Silence => talk.stream.read(&mut [0]).map(|_| false),
        Act::Close => Ok(false),
        Act::Reply(_) | Act::Bytes(_) | Act::Part(_) | Act::Endless => {
            unreachable!("no login is answered so")
        }
    }
}

/// A success, with a string of two gigabytes that goes on and on.
fn endless(talk: &mut Talk, call: &Message) -> io::Result<()> {
    static ROWS: [u8; 1 << 16] = [b'x'; 1 << 16];
    let rows = Value::Raw(STRING, i32::MAX.to_be_bytes().to_vec());
    let mut head = call.done(vec![(3, rows)]).encode();
    // The stop bytes of two structs belong behind the string.
    head.truncate(head.len() - 2);
    talk.stream.write_all(&head)?;
    loop {
        talk.stream.write_all(&ROWS)?;
    }
}

/// What a sound coordinator answers; enough of it for the router.
fn ordinary(call: &Message, memory: &Memory) -> Message {
    let mint = || {
        let mut guid = [0; 16];
        guid[0] = memory.mark;
        guid[1..5].copy_from_slice(&memory.minted.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        guid
    };
    match call.name.as_str() {
        "OpenSession" => call.done(vec![(2, Value::I32(5)), (3, handle(mint(), *b"secret-of-a-sess"))]),
        "ExecuteStatement" => {
            let Value::Struct(mut fields) = handle(mint(), *b"secret-of-a-sess") else { unreachable!() };
            fields.extend([(2, Value::I32(0)), (3, Value::Bool(true))]);
            call.done(vec![(2, Value::Struct(fields))])
        }
        "GetOperationStatus" => call.done(vec![(2, Value::I32(1))]),
        "FetchResults" => call.done(vec![(2, Value::Bool(false))]),
        "GetLog" => call.done(vec![(2, Value::text("log"))]),
        "CloseSession" | "CloseOperation" | "CancelOperation" | "PingImpalaHS2Service" | "GetInfo" => {
            call.done(vec![])
        }
        "query" => {
            let guid = mint();
            let word = |at| u64::from_le_bytes(guid[at..at + 8].try_into().unwrap());
            let id = Value::text(&format!("{:016x}:{:016x}", word(0), word(8)));
            call.reply(vec![(0, Value::Struct(vec![(1, id.clone()), (2, id)]))])
        }
        "get_state" => call.reply(vec![(0, Value::I32(2))]),
        "get_log" => call.reply(vec![(0, Value::text("log"))]),
        "close" | "PingImpalaService" => call.reply(vec![]),
        name => {
            let words = Value::text(&format!("Invalid method name: '{name}'"));
            Message { kind: EXCEPTION, ..call.reply(vec![(1, words), (2, Value::I32(1))]) }
        }
    }
}
