//! Two coordinators that say what their script says: they take links, answer the SASL negotiation on each,
//! and collect what arrives.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use hs2router::fake::sasl::{Deframer, Framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::Cut;

/// How long anything may take that the router has to do.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// What a link must begin with, and what is answered to that.
#[derive(Clone, Copy, Default)]
pub(super) struct Preamble<'a> {
    /// The client's negotiation.
    pub(super) greeting: &'a [u8],
    /// The server's.
    pub(super) welcome: &'a [u8],
}

/// A link that a coordinator was given.
pub(super) struct Link {
    /// Which coordinator, 0 or 1.
    pub(super) coordinator: usize,
    /// The client connection whose turn it was when it came.
    pub(super) connection: usize,
    /// The way back to the router.
    write: OwnedWriteHalf,
    /// What arrived and was not looked at yet.
    received: Vec<u8>,
    /// Whether frames are on it: after a negotiation.
    framed: bool,
    /// Whether the router has closed it.
    ended: bool,
}

/// Something that happened to a coordinator.
enum Event {
    Linked { coordinator: usize, stream: TcpStream },
    Arrived { link: usize, bytes: Vec<u8> },
    Ended { link: usize },
}

/// Where the coordinators listen, before anybody serves there.
pub(super) fn bind() -> ([TcpListener; 2], [SocketAddr; 2]) {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [0, 1].map(|place: usize| sockets[place].local_addr().unwrap());
    (sockets, addresses)
}

/// Both coordinators with all their links.
pub(super) struct Coordinators {
    events: UnboundedReceiver<Event>,
    sender: UnboundedSender<Event>,
    /// In the order in which they came.
    pub(super) links: Vec<Link>,
    /// Whose turn it is: a link that comes now is for this client connection.
    pub(super) turn: usize,
}

impl Coordinators {
    /// Begins to accept.
    pub(super) fn serve(sockets: [TcpListener; 2]) -> Self {
        let (sender, events) = unbounded_channel();
        for (coordinator, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true).unwrap();
            let socket = tokio::net::TcpListener::from_std(socket).unwrap();
            let sender = sender.clone();
            drop(tokio::spawn(async move {
                while let Ok((stream, _)) = socket.accept().await {
                    drop(sender.send(Event::Linked { coordinator, stream }));
                }
            }));
        }
        Self { events, sender, links: Vec::new(), turn: 0 }
    }

    /// Waits for the next thing to happen and takes note of it; negotiations are answered. Cancel-safe up to
    /// the answer, which is a few bytes into an empty socket.
    pub(super) async fn next(&mut self, preamble: Preamble<'_>, cut: &mut Cut) {
        match self.events.recv().await.expect("the sender is kept") {
            Event::Linked { coordinator, stream } => {
                stream.set_nodelay(true).unwrap();
                let (read, write) = stream.into_split();
                drop(tokio::spawn(listen(self.links.len(), read, self.sender.clone())));
                let (connection, received) = (self.turn, Vec::new());
                self.links.push(Link {
                    coordinator,
                    connection,
                    write,
                    received,
                    framed: false,
                    ended: false,
                });
            }
            Event::Arrived { link, bytes } => {
                let link = &mut self.links[link];
                link.received.extend(bytes);
                let greeting = preamble.greeting.len();
                if greeting > 0 && !link.framed && link.received.len() >= greeting {
                    let rest = link.received.split_off(greeting);
                    assert!(link.received == preamble.greeting, "the negotiation is the client's own");
                    link.received = rest;
                    link.framed = true;
                    link.say(preamble.welcome, cut).await.expect("the router waits for the answer");
                }
            }
            Event::Ended { link } => self.links[link].ended = true,
        }
    }

    /// Waits until this many bytes of payload lie on one link and takes them from it.
    pub(super) async fn message(
        &mut self,
        len: usize,
        preamble: Preamble<'_>,
        cut: &mut Cut,
    ) -> (usize, Vec<u8>) {
        loop {
            let ready = |link: &Link| {
                (!link.framed && len <= link.received.len()) || link.framed && link.payload().len() >= len
            };
            // Before its negotiation is over, a link has no payload.
            let negotiated = |link: &Link| link.framed || preamble.greeting.is_empty();
            if let Some(place) = self.links.iter().position(|link| negotiated(link) && ready(link)) {
                let link = &mut self.links[place];
                let payload = if link.framed { link.payload() } else { link.received.clone() };
                link.received.clear();
                self.assert_empty();
                return (place, payload);
            }
            let waited = timeout(DEADLINE, self.next(preamble, cut)).await;
            assert!(waited.is_ok(), "no request of {len} bytes arrived; there is {:?}", self.lengths());
        }
    }

    /// Waits until the router has closed all links of a client connection.
    pub(super) async fn closed(&mut self, connection: usize) {
        while self.links.iter().any(|link| link.connection == connection && !link.ended) {
            let waited = timeout(DEADLINE, self.next(Preamble::default(), &mut Cut::Whole)).await;
            assert!(waited.is_ok(), "the router keeps the links of a connection that ended");
        }
        self.assert_empty();
    }

    /// Nothing may lie anywhere that was not asked for.
    pub(super) fn assert_empty(&self) {
        assert!(
            self.links.iter().all(|link| link.received.is_empty()),
            "too much arrived: {:?}",
            self.lengths()
        );
    }

    /// How much lies unread: (coordinator, bytes) of each link.
    fn lengths(&self) -> Vec<(usize, usize)> {
        self.links.iter().map(|link| (link.coordinator, link.received.len())).collect()
    }
}

impl Link {
    /// Sends bytes to the router, piece by piece.
    ///
    /// # Errors
    /// When the router has closed the link.
    pub(super) async fn say(&mut self, bytes: &[u8], cut: &mut Cut) -> io::Result<()> {
        for piece in cut.pieces(bytes) {
            self.write.write_all(piece).await?;
        }
        Ok(())
    }

    /// Closes the coordinator's side.
    pub(super) async fn finish(&mut self) {
        // The router may have closed its side already.
        drop(self.write.shutdown().await);
    }

    /// The payload of all frames that are complete, if nothing else has come.
    fn payload(&self) -> Vec<u8> {
        let (mut payload, mut deframer) = (Vec::new(), Deframer::new(Framing::Frames));
        deframer.push(&self.received, |piece| {
            assert!(!piece.is_empty(), "a frame without payload, which impalad takes for an end");
            payload.extend_from_slice(piece);
        });
        if deframer.at_boundary() { payload } else { Vec::new() }
    }
}

async fn listen(link: usize, mut read: OwnedReadHalf, events: UnboundedSender<Event>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let event = match read.read(&mut buffer).await {
            Ok(0) | Err(_) => Event::Ended { link },
            Ok(len) => Event::Arrived { link, bytes: buffer[..len].to_vec() },
        };
        let ended = matches!(event, Event::Ended { .. });
        drop(events.send(event));
        if ended {
            return;
        }
    }
}
