//! Processes that the benchmark starts, measures and ends, by their ids.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use hs2router::clock;

/// How long a process may take to listen: long enough for one under callgrind on a busy machine.
const START_TIME: Duration = Duration::from_mins(1);
/// From one look whether it listens, or has ended, to the next.
const LOOK: Duration = Duration::from_millis(5);

/// A process with its children; all are ended with the value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program. What it says goes to `log`; it ends when this process does, where the system can do
    /// that.
    pub(crate) fn start(command: &[String], log: &Path) -> anyhow::Result<Self> {
        let log = fs::File::create(log).with_context(|| log.display().to_string())?;
        Self::spawn(command, log.try_clone()?.into(), log.into(), Stdio::null())
    }

    /// Starts this very program with other arguments, and waits for the line that it says first.
    pub(crate) fn start_self(args: &[String]) -> anyhow::Result<(Self, String)> {
        Self::start_self_under(&[], args)
    }

    /// As [`Self::start_self`], as what another program runs: `wrapper` is that program with its arguments.
    pub(crate) fn start_self_under(wrapper: &[String], args: &[String]) -> anyhow::Result<(Self, String)> {
        let program = std::env::current_exe()?.display().to_string();
        let command = [wrapper, &[program], args].concat();
        let mut process = Self::spawn(&command, Stdio::piped(), Stdio::inherit(), Stdio::piped())?;
        let output = process.child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.is_empty() {
            bail!("{} ended at once", args.join(" "));
        }
        Ok((process, line.trim().to_owned()))
    }

    fn spawn(command: &[String], output: Stdio, errors: Stdio, input: Stdio) -> anyhow::Result<Self> {
        let guarded = Path::new("/usr/bin/setpriv").exists();
        let prefix: &[&str] = if guarded { &["/usr/bin/setpriv", "--pdeathsig", "TERM"] } else { &[] };
        let words: Vec<&str> = prefix.iter().copied().chain(command.iter().map(String::as_str)).collect();
        let (program, args) = words.split_first().context("no program")?;
        let child = Command::new(program).args(args).stdin(input).stdout(output).stderr(errors).spawn();
        Ok(Self { child: child.with_context(|| command.join(" "))? })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("it ended: {status}"),
            None => Ok(()),
        }
    }

    /// Waits until it accepts connections.
    pub(crate) fn await_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = clock::now() + START_TIME;
        while TcpStream::connect(address).is_err() {
            self.check()?;
            if clock::now() > deadline {
                bail!("it does not listen on {address}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Says a line to one that [`Self::start_self`] started.
    pub(crate) fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.child.stdin.as_mut().context("no standard input")?, "{line}")?)
    }

    /// Asks it to end, by SIGTERM.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    /// Ends it as `kill -9` does, and waits until its sockets are closed.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub(crate) fn await_end(&mut self, most: Duration) -> anyhow::Result<()> {
        let deadline = clock::now() + most;
        while self.child.try_wait()?.is_none() {
            if clock::now() > deadline {
                bail!("it does not end within {most:?}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// What it and its children have used.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for id in tree(self.id()) {
            usage.cpu += cpu(id);
            usage.resident_kib += resident_kib(id);
        }
        usage
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its id may be another's by now.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Children first known, then ended: nginx's workers outlive a master that is killed.
        for id in tree(self.id()) {
            let _gone = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// What processes have used since they started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time, of user and kernel.
    pub(crate) cpu: Duration,
    /// Resident memory, in KiB; shared pages count in each process.
    pub(crate) resident_kib: u64,
}

/// The CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    cpu(std::process::id())
}

/// The ids of a process's children, and of theirs.
pub(crate) fn children(id: u32) -> impl Iterator<Item = u32> {
    tree(id).into_iter().skip(1)
}

fn tree(root: u32) -> Vec<u32> {
    let mut ids = vec![root];
    let mut at = 0;
    while let Some(&id) = ids.get(at) {
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        ids.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        at += 1;
    }
    ids
}

/// The scheduler's count in nanoseconds, of all threads that still live; the coarser one (10 ms) of all that
/// ever lived where the kernel does not keep it.
fn cpu(id: u32) -> Duration {
    let mut total = 0;
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        total += text.split(' ').next().and_then(|run| run.parse().ok()).unwrap_or(0);
    }
    let exact = Duration::from_nanos(total);
    let coarse = Duration::from_millis(10 * ticks(id));
    // Threads that ended are in the coarse count alone.
    if coarse > exact + Duration::from_millis(30) { coarse } else { exact }
}

fn ticks(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything.
    let after_name = text.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn resident_kib(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Ends this process when the one that started it has ended: then its standard input does.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let _ended = std::io::stdin().read(&mut [0; 1]);
        std::process::exit(0);
    });
}
