//! Clients that connect, open a session, run a statement and stay, all at once.

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hs2router::clock;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::idl::t_c_l_i_service::TSessionHandle;

/// Threads that have those who stayed run one more statement.
const ASKERS: usize = 64;
/// Of a client's thread: there are thousands.
const STACK: usize = 256 << 10;

/// A client that stays.
pub(crate) struct Guest {
    pub(crate) client: Hs2Client,
    pub(crate) session: TSessionHandle,
    login: Login,
}

impl Guest {
    /// Connects and opens a session; every later answer is waited for as long as `patience`.
    pub(crate) fn arrive(at: SocketAddr, login: Login, patience: Duration) -> anyhow::Result<Self> {
        let mut client = Hs2Client::connect(at, &login)?;
        client.stream().set_read_timeout(Some(patience))?;
        let session = client.open(&[])?;
        Ok(Self { client, session, login })
    }

    /// Runs a statement, whose answer must be this client's.
    pub(crate) fn ask(&mut self) -> anyhow::Result<()> {
        let (statement, expected) = match &self.login {
            Login::NoSasl | Login::Http(_) => ("select 'me'", "me"),
            Login::Plain { user, .. } | Login::Kerberos { user } => ("select user()", user.as_str()),
        };
        let rows = self.client.query(&self.session, statement)?;
        ensure!(rows == [[expected]], "{rows:?} instead of {expected}");
        Ok(())
    }
}

/// All that came.
pub(crate) struct Crowd {
    /// Those that were served in time.
    pub(crate) guests: Vec<Guest>,
    /// What the others were told.
    pub(crate) errors: Vec<String>,
    /// How many were told nothing.
    pub(crate) hanging: usize,
    /// How long the last of those that were served waited.
    pub(crate) slowest: Duration,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// All of them come at once; who is not served after `patience` hangs.
    pub(crate) fn gather(at: SocketAddr, logins: Vec<Login>, patience: Duration) -> anyhow::Result<Self> {
        let (begun, count) = (clock::now(), logins.len());
        let (tell, told) = channel();
        let come = |login: Login| {
            let tell = tell.clone();
            let run = move || {
                let guest = Guest::arrive(at, login, patience).and_then(|mut guest| {
                    guest.ask()?;
                    Ok(guest)
                });
                // Nobody listens to those that come too late.
                drop(tell.send((guest, clock::now())));
            };
            thread::Builder::new().stack_size(STACK).spawn(run)
        };
        let threads = logins.into_iter().map(come).collect::<Result<Vec<_>, _>>().context("a thread")?;
        let (mut guests, mut errors, mut slowest) = (Vec::new(), Vec::new(), Duration::ZERO);
        while guests.len() + errors.len() < count
            && let Some(left) = (begun + patience).checked_duration_since(clock::now())
            && let Ok((guest, at)) = told.recv_timeout(left)
        {
            match guest {
                Ok(guest) => {
                    slowest = slowest.max(at - begun);
                    guests.push(guest);
                }
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        let hanging = count - guests.len() - errors.len();
        Ok(Self { guests, errors, hanging, slowest, threads })
    }

    /// Those that stayed run one more statement each: how many were answered, and what the others were told.
    pub(crate) fn ask_all(&mut self) -> (usize, Vec<String>) {
        let share = self.guests.len().div_ceil(ASKERS).max(1);
        let errors: Vec<String> = thread::scope(|scope| {
            let ask = |guests: &mut [Guest]| {
                let asked = guests.iter_mut().map(Guest::ask);
                asked.filter_map(|answer| answer.err().map(|error| format!("{error:#}"))).collect::<Vec<_>>()
            };
            let threads: Vec<_> =
                self.guests.chunks_mut(share).map(|guests| scope.spawn(move || ask(guests))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("it asks")).collect()
        });
        (self.guests.len() - errors.len(), errors)
    }

    /// Waits for those that hang; what they wait for must have ended.
    pub(crate) fn leave(self) {
        drop(self.guests);
        for thread in self.threads {
            thread.join().expect("a client ends");
        }
    }
}
