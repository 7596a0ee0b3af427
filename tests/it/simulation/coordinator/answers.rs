//! How a simulated coordinator answers: to a login, to a call, and on its web port.

use std::rc::Rc;

use hs2router::fake::Id;
use hs2router::fake::memory::{Conversation, Heard};
use hs2router::ids::Service;
use hs2router::net::stream::{Seen, Stream as _};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::super::http::{self, Form};
use super::super::journal::between;
use super::super::network::{LEAST_WINDOW, SimStream};
use super::super::tls::Line;
use super::{Mishap, NONSENSE, SimCoordinator};

impl SimCoordinator {
    /// Hears a login out; false if it fails.
    pub(super) async fn log_in(&self, conversation: &mut Conversation, stream: &mut Line) -> bool {
        let (mut raw, mut buffer) = (Vec::new(), vec![0; 8192]);
        loop {
            let read = match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => read,
                _ => return false,
            };
            raw.extend_from_slice(&buffer[..read]);
            let said = match conversation.hear(&buffer[..read]) {
                Heard::NotYet => continue,
                Heard::Login(said) => Ok(said),
                Heard::Close(said) => Err(said),
                Heard::Call(..) => return false,
            };
            self.journal.login(self.index, &raw);
            sleep(self.draw(|rng| between(rng, 0, 3))).await;
            let is_in = said.is_ok();
            return stream.say(&said.unwrap_or_else(|said| said)).await.is_ok() && is_in;
        }
    }

    /// Answers a call, which may have opened a session, after a while; false when the connection is to be
    /// closed.
    pub(super) async fn answer(&self, stream: &mut Line, mut reply: Vec<u8>, opened: Option<Id>) -> bool {
        let slow = u64::try_from(self.slow.get().as_millis()).unwrap_or(0);
        sleep(self.draw(|rng| between(rng, 0, slow))).await;
        if stream.look() == Seen::Bytes {
            self.journal.violation(format_args!("c{} was asked before it had answered", self.index));
        }
        let mishap = self.mishap();
        if mishap != Mishap::None {
            self.journal.say(format_args!("c{} {mishap:?}", self.index));
        }
        if let Some(session) = opened.filter(|_| mishap.leaves_reply()) {
            let read = stream.socket().read_by_other(stream.sealed(reply.len()));
            let journal = Rc::clone(&self.journal);
            spawn_local(async move {
                read.await;
                journal.opened(session);
            });
        }
        // At once with the reply: what comes after the link has gone back cannot be told from the next reply.
        let fits = reply.len() * 2 <= LEAST_WINDOW;
        let mut later = Vec::new();
        match mishap {
            Mishap::DropAfter => return false,
            Mishap::CutReply => reply.truncate(self.draw(|rng| rng.random_range(0..reply.len()))),
            Mishap::Stray if fits => {
                later = reply.split_off(self.draw(|rng| rng.random_range(1..reply.len())));
                let whole = [reply.as_slice(), &later].concat();
                reply.splice(0..0, whole);
            }
            Mishap::Junk if fits => {
                let bytes = self.draw(|rng| rng.random_range(1..40));
                reply.extend((0..bytes).map(|_| self.draw(StdRng::random::<u8>)));
            }
            Mishap::Nonsense => reply = NONSENSE.to_vec(),
            Mishap::OtherCall => Self::answer_another(&mut reply),
            _ => {}
        }
        if stream.say(&reply).await.is_err() || mishap == Mishap::CutReply {
            return false;
        }
        if !later.is_empty() {
            sleep(self.draw(|rng| between(rng, 1, 10))).await;
            if stream.look() == Seen::Bytes {
                let index = self.index;
                self.journal.violation(format_args!("c{index} was asked before it had said all"));
            }
            return stream.say(&later).await.is_ok();
        }
        if mishap == Mishap::HalfClose {
            let _shut = stream.shutdown().await;
        }
        let pause = self.draw(|rng| between(rng, 50, 1_000));
        if mishap == Mishap::LateStray && timeout(pause, stream.socket().readable()).await.is_err() {
            stream.say_unasked(&reply);
        }
        true
    }

    /// Notes a password that came over HTTP.
    pub(super) fn note_shown(&self, raw: &[u8]) {
        if let Some(shown) = http::shown(raw) {
            self.journal.login(self.index, &shown);
        }
    }

    /// Gives an answer one of the forms that HTTP allows; whether the connection ends with it.
    pub(super) fn shape(&self, service: Service, reply: Vec<u8>) -> (Vec<u8>, bool) {
        if service != Service::Hs2Http {
            return (reply, false);
        }
        self.draw(|rng| {
            let form = Form::draw(rng, self.may_end);
            (form.shape(reply, rng), form.ends())
        })
    }

    /// Changes the sequence id, which comes after version and name.
    pub(super) fn answer_another(reply: &mut [u8]) {
        const VERSION: [u8; 4] = [0x80, 1, 0, 2];
        let version = reply.windows(VERSION.len()).position(|window| window == VERSION);
        let name = version.unwrap_or_default() + VERSION.len();
        let length = reply.get(name..name + 4).map_or(0, |length| usize::from(length[3]));
        if let Some(last) = reply.get_mut(name + 4 + length + 3) {
            *last ^= 0x15;
        }
    }

    pub(super) async fn show(self: Rc<Self>, stream: SimStream) {
        let Ok(mut stream) = Line::accept(stream, self.web_tls.as_ref()).await else { return };
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        }
        let request = String::from_utf8_lossy(&request);
        let target = request.split(' ').nth(1).unwrap_or("/");
        self.journal.say(format_args!("c{} shows {target}", self.index));
        let page = self.memory.page(target, self.ports.each_ref().map(|port| port.usage()));
        let _sent = stream.say(page.as_bytes()).await;
        let _shut = stream.shutdown().await;
        // Until the other side has read it and closes: to close now would be a reset for what it may still
        // send.
        let _ended = stream.read(&mut buffer).await;
    }
}
