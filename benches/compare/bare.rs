//! The floor under the floor: a relay straight on epoll that reads nothing, with a thread for each core. Of a
//! request and its reply it does two reads and two writes, in one buffer a thread, and next to nothing
//! besides: what it costs is what the kernel costs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener as Listener, TcpStream as Blocking};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

/// Bytes that one read takes at most: as many as the router's.
const BUFFER: usize = 256 << 10;
const WAKE: Token = Token(usize::MAX);

/// A client's connection and its coordinator's.
type Two = [TcpStream; 2];

/// What was read from each of the two and not written to the other yet, and whether it has finished.
struct Pair {
    two: Two,
    held: [Vec<u8>; 2],
    finished: [bool; 2],
}

/// Runs until standard input ends, with so many threads; tells its address on standard output.
pub(crate) fn run(targets: &[SocketAddr], threads: usize) -> anyhow::Result<()> {
    crate::process::end_with_parent();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let workers = (0..threads).map(|_| start()).collect::<anyhow::Result<Vec<_>>>()?;
    for ((worker, waker), target) in workers.iter().cycle().zip(targets.iter().cycle()) {
        let (client, _) = listener.accept()?;
        worker.send([client, Blocking::connect(target)?])?;
        waker.wake()?;
    }
    Ok(())
}

fn start() -> anyhow::Result<(Sender<[Blocking; 2]>, Arc<Waker>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let (give, given) = channel();
    thread::spawn(move || relay(poll, &given).expect("the kernel's events"));
    Ok((give, waker))
}

fn relay(mut poll: Poll, given: &Receiver<[Blocking; 2]>) -> anyhow::Result<()> {
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; BUFFER]);
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            // Whoever traces it begins.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == WAKE {
                for two in given.try_iter() {
                    let place = pairs.iter().position(Option::is_none).unwrap_or(pairs.len());
                    pairs.resize_with(pairs.len().max(place + 1), || None);
                    pairs[place] = Some(Pair::new(two, place, &poll)?);
                }
                continue;
            }
            let (place, side) = (event.token().0 / 2, event.token().0 % 2);
            let Some(pair) = &mut pairs[place] else { continue };
            let mut lives = !event.is_error();
            if event.is_writable() && !pair.held[1 - side].is_empty() {
                // The other side may have more than was read of it.
                lives &= pair.flush(1 - side) && pair.pass(1 - side, &mut buffer, true);
            }
            if event.is_readable() {
                lives &= pair.pass(side, &mut buffer, event.is_read_closed());
            }
            if !lives || pair.finished == [true; 2] {
                pairs[place] = None;
            }
        }
    }
}

impl Pair {
    fn new(two: [Blocking; 2], place: usize, poll: &Poll) -> anyhow::Result<Self> {
        for stream in &two {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
        }
        let mut two = two.map(TcpStream::from_std);
        for (side, stream) in two.iter_mut().enumerate() {
            poll.registry().register(
                stream,
                Token(2 * place + side),
                Interest::READABLE | Interest::WRITABLE,
            )?;
        }
        Ok(Self { two, held: Default::default(), finished: [false; 2] })
    }

    /// Passes on what one side has; false if either is lost. A short read is the last one, unless the end is
    /// to come.
    fn pass(&mut self, from: usize, buffer: &mut [u8], ends: bool) -> bool {
        while self.held[from].is_empty() && !self.finished[from] {
            match self.two[from].read(buffer) {
                Ok(0) => {
                    self.finished[from] = true;
                    let _gone = self.two[1 - from].shutdown(Shutdown::Write);
                }
                Ok(count) => {
                    if !self.write(from, &buffer[..count]) {
                        return false;
                    }
                    if count < buffer.len() && !ends {
                        return true;
                    }
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// Writes to the other side, and holds what it does not take.
    fn write(&mut self, from: usize, bytes: &[u8]) -> bool {
        match self.two[1 - from].write(bytes) {
            Ok(count) => self.held[from].extend_from_slice(&bytes[count..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.held[from].extend_from_slice(bytes),
            Err(_) => return false,
        }
        true
    }

    /// Writes what was held of one side.
    fn flush(&mut self, from: usize) -> bool {
        let held = std::mem::take(&mut self.held[from]);
        self.write(from, &held)
    }
}
