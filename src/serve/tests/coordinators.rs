//! Coordinators on a network in memory, each of which understands one transport.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::{spawn_local, yield_now};
use tokio_util::sync::CancellationToken;

use super::http;
use crate::chance::Chance;
use crate::fake::memory::{Conversation, Heard, MemoryCoordinator};
use crate::fake::{ReceivedCall, Settings};
use crate::ids::{Service, Transport};
use crate::net::stream::double::{Double, Lan};
use crate::serve::message::coding::Follows;
use crate::serve::message::lines::{self, Lines};

/// A coordinator that can be reached.
pub(super) struct Coordinator {
    pub(super) address: IpAddr,
    pub(super) memory: Arc<MemoryCoordinator>,
    /// The calls that it received, in order.
    calls: Arc<Mutex<Vec<ReceivedCall>>>,
    /// Whether each reply comes in one piece.
    pub(super) says_at_once: Arc<AtomicBool>,
    transport: Transport,
    lan: Lan,
    /// Ends its connections when it is cancelled.
    life: Mutex<CancellationToken>,
}

impl Coordinator {
    /// Starts a coordinator that understands this transport.
    pub(super) fn start(lan: &Lan, number: u8, transport: Transport) -> Self {
        let settings = Settings { name: format!("c{number}"), ..Settings::default() };
        let settings = Settings { fetch_timeout: std::time::Duration::ZERO, ..settings };
        let memory = MemoryCoordinator::new(settings, Chance::from_seed(number.into()));
        let address = Ipv4Addr::new(192, 0, 2, number).into();
        let (calls, says_at_once) = (Arc::default(), Arc::default());
        let (lan, life) = (lan.clone(), Mutex::default());
        let coordinator = Self { address, memory, calls, says_at_once, transport, lan, life };
        coordinator.plug_in();
        coordinator
    }

    /// Accepts connections from now on.
    pub(super) fn plug_in(&self) {
        let (memory, calls, transport) = (Arc::clone(&self.memory), Arc::clone(&self.calls), self.transport);
        let at_once = Arc::clone(&self.says_at_once);
        let life = CancellationToken::new();
        *self.life.lock() = life.clone();
        let (sender, mut accepted) = mpsc::unbounded_channel();
        drop(spawn_local(async move {
            while let Some(stream) = accepted.recv().await {
                let conversation = memory.connect(Service::Hs2);
                let talk =
                    converse(stream, transport, conversation, Arc::clone(&calls), Arc::clone(&at_once));
                drop(spawn_local(life.clone().run_until_cancelled_owned(talk)));
            }
        }));
        // Dialing tasks are outside of the local set that the coordinator's tasks run in.
        self.lan.plug_in(self.address, move |stream| sender.send(stream).unwrap());
    }

    /// Hangs up on every connection from now on, as soon as the first byte has come.
    pub(super) fn hang_up(&self) {
        self.lan.plug_in(self.address, |mut stream| {
            drop(tokio::spawn(async move { stream.read_u8().await }));
        });
    }

    /// Refuses connections from now on.
    pub(super) fn unplug(&self) {
        self.lan.unplug(self.address);
    }

    /// Crashes: forgets everything, cuts its connections, and refuses new ones.
    pub(super) fn lose(&self) {
        self.unplug();
        self.life.lock().cancel();
        self.memory.restart();
    }

    /// Returns the methods of the calls that it received, in order.
    pub(super) fn methods(&self) -> Vec<String> {
        self.calls.lock().iter().map(|call| call.method.clone()).collect()
    }

    /// Returns how many sessions are open there.
    pub(super) fn sessions(&self) -> usize {
        self.memory.open_sessions().len()
    }
}

async fn converse(
    mut stream: Double,
    transport: Transport,
    mut conversation: Conversation,
    calls: Arc<Mutex<Vec<ReceivedCall>>>,
    at_once: Arc<AtomicBool>,
) {
    let (mut raw, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => raw.extend_from_slice(&chunk[..read]),
            _ => return,
        }
        let said = match conversation.hear(&unwrapped(&mut raw, transport)) {
            Heard::NotYet => continue,
            Heard::Login(said) => said,
            Heard::Call(call, said) => {
                calls.lock().push(*call);
                said
            }
            Heard::Close(_) => return,
        };
        let said = match transport {
            Transport::Http => [&b"HTTP/1.1 200 OK\r\n"[..], &wrapped(&said, transport)].concat(),
            _ => wrapped(&said, transport),
        };
        let sent = if at_once.load(Ordering::Relaxed) {
            stream.write_all(&said).await
        } else {
            send(&mut stream, &said).await
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Sends a message in two pieces, so that the end of it comes by itself.
pub(super) async fn send(stream: &mut Double, message: &[u8]) -> io::Result<()> {
    let (front, end) = message.split_at(message.len().saturating_sub(1));
    stream.write_all(front).await?;
    // Whoever reads gets its turn.
    yield_now().await;
    stream.write_all(end).await
}

/// Takes the payload of all whole frames, or of all whole messages in lines, out of what was read.
pub(super) fn unwrapped(raw: &mut Vec<u8>, transport: Transport) -> Vec<u8> {
    let mut payload = Vec::new();
    loop {
        match transport {
            Transport::Unframed => return std::mem::take(raw),
            Transport::Http => match http::body(raw) {
                Some(body) => payload.extend(body),
                None => return payload,
            },
            Transport::Framed | Transport::Sasl => {
                let Some(header) = raw.first_chunk::<4>() else { return payload };
                let end = 4 + u32::from_be_bytes(*header) as usize;
                if raw.len() < end {
                    return payload;
                }
                payload.extend(raw.drain(..end).skip(4));
            }
            Transport::Lines => {
                let Some(end) = raw.windows(2).position(|two| two == b"\n\n") else { return payload };
                let mut message: Vec<u8> = raw.drain(..end + 2).collect();
                let mut lines = Lines::default();
                while !message.is_empty() {
                    let piece = lines.next(&mut message);
                    payload.extend_from_slice(&message[piece.payload]);
                    message.drain(..piece.used);
                }
            }
        }
    }
}

/// Adds the framing to a payload, in two pieces where a message may come in several.
pub(super) fn wrapped(payload: &[u8], transport: Transport) -> Vec<u8> {
    let frame = |payload: &[u8]| [&u32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat();
    let (front, back) = payload.split_at(payload.len() / 2);
    match transport {
        Transport::Unframed => payload.to_vec(),
        Transport::Http => http::message(front, back),
        Transport::Framed => frame(payload),
        Transport::Sasl => [frame(front), frame(back)].concat(),
        Transport::Lines => {
            [lines::encode(front, Follows::More(None)), lines::encode(back, Follows::Nothing)].concat()
        }
    }
}
