//! The client of a captured connection: sends what it sent then, and collects what it hears.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::coordinators::{DEADLINE, Preamble};
use super::script::Script;
use super::{Cut, is_routed};
use crate::fixtures::Connection;

/// A client and how far it has come.
pub(super) struct Client<'a> {
    /// What it has to say, and to hear.
    pub(super) script: Script<'a>,
    /// Its connection, once it has connected.
    pub(super) wire: Option<Wire>,
    /// Bytes of `c2s` that it sent.
    pub(super) sent: usize,
    /// Bytes of `s2c` that the coordinators sent.
    pub(super) answered: usize,
    /// Bytes of `s2c` that it got.
    pub(super) got: usize,
    /// What it heard and did not look at yet.
    pub(super) heard: Vec<u8>,
    /// The link on which each request arrived, in order; at depth opaque, the one link.
    pub(super) arrived: Vec<usize>,
}

/// A connection to the router. It is read all the time, so that nobody has to wait for this side.
pub(super) struct Wire {
    write: OwnedWriteHalf,
    chunks: UnboundedReceiver<Vec<u8>>,
    reader: JoinHandle<()>,
}

impl<'a> Client<'a> {
    /// A client that has not connected.
    pub(super) fn new(connection: &'a Connection) -> Self {
        let script = Script::new(connection);
        Self { script, wire: None, sent: 0, answered: 0, got: 0, heard: Vec::new(), arrived: Vec::new() }
    }

    /// Connects.
    pub(super) async fn connect(&mut self, router: SocketAddr) {
        let stream = TcpStream::connect(router).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (read, write) = stream.into_split();
        let (sender, chunks) = unbounded_channel();
        self.wire = Some(Wire { write, chunks, reader: tokio::spawn(listen(read, sender)) });
    }

    /// Sends its next bytes, piece by piece, and returns them.
    pub(super) async fn say(&mut self, count: usize, cut: &mut Cut) -> &'a [u8] {
        let bytes = &self.script.connection.c2s[self.sent..self.sent + count];
        self.sent += count;
        for piece in cut.pieces(bytes) {
            self.wire().write.write_all(piece).await.expect("the router takes what its client says");
        }
        bytes
    }

    /// Waits for more bytes; false at the end. Cancel-safe.
    pub(super) async fn hear(&mut self) -> bool {
        let chunk = self.wire().chunks.recv().await;
        self.heard.extend(chunk.iter().flatten());
        chunk.is_some()
    }

    /// The next exchange, if all of its request was sent.
    pub(super) fn complete(&self) -> Option<usize> {
        let next = self.arrived.len();
        self.script.exchanges.get(next).filter(|exchange| exchange.request.end <= self.sent).map(|_| next)
    }

    /// Says that it has nothing more to say.
    pub(super) async fn finish(&mut self) {
        self.wire().write.shutdown().await.expect("the router is there");
    }

    /// Is gone, without a word.
    pub(super) async fn reset(&mut self) {
        let Wire { write, reader, .. } = self.wire.take().expect("it is connected");
        write.as_ref().set_zero_linger().unwrap();
        write.forget();
        reader.abort();
        drop(reader.await);
    }

    /// It hears nothing more, and that it was all.
    pub(super) async fn assert_ended(&mut self) {
        let more = timeout(DEADLINE, self.hear()).await.expect("an end in time");
        assert!(!more, "{} bytes after the last answer", self.heard.len());
        drop(self.wire().write.shutdown().await);
    }

    /// Whether the router keeps its connection when the links behind it end: where calls are routed.
    pub(super) fn outlives_links(&self) -> bool {
        is_routed(self.script.connection.transport) && !self.script.exchanges.is_empty()
    }

    fn wire(&mut self) -> &mut Wire {
        self.wire.as_mut().expect("it is connected")
    }
}

impl<'a> Script<'a> {
    /// What is said on every link before the calls.
    pub(super) fn preamble(&self) -> Preamble<'a> {
        Preamble { greeting: self.greeting, welcome: self.welcome }
    }
}

async fn listen(mut read: OwnedReadHalf, chunks: UnboundedSender<Vec<u8>>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(len @ 1..) = read.read(&mut buffer).await {
        drop(chunks.send(buffer[..len].to_vec()));
    }
}
