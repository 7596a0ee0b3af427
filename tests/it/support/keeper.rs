//! A process that never outlives this one, however this one ends.
//!
//! Servers that all tests of a run share live in statics, which are not dropped at the end; and a failed or
//! killed test run drops nothing at all. So a small shell stands between: it holds the reading end of a pipe
//! whose writing end only this process has. When the pipe ends, for whatever reason, it kills the process and
//! all its children, and removes the process's directory.

use std::fs;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The state of a listening socket in `/proc/net/tcp` (Linux: `include/net/tcp_states.h`).
const LISTENING: &str = "0A";

/// `set -m` gives each of the two background jobs a process group, so that children of children die as well.
/// A signal to the group of the test run, as from Ctrl-C or `timeout`, reaches the shell too, and makes it
/// end its work, not just itself.
const SCRIPT: &str = r#"
set -m
trap : HUP INT TERM
exec 3<&0
folder=$1
shift
"$@" </dev/null 3<&- 2>&1 &
cat <&3 >/dev/null 2>&1 &
wait -n
kill -KILL -- $(jobs -p | sed 's/^/-/') 2>/dev/null
wait
rm -rf "$folder"
"#;

/// A running process; dropping it kills the process and waits for its end.
pub(crate) struct Keeper {
    shell: Child,
}

impl Keeper {
    /// Starts a program in a directory that belongs to it alone, and that goes with it.
    pub(crate) fn start(
        folder: &Path,
        program: &Path,
        arguments: &[String],
        settings: &[(&str, String)],
    ) -> Self {
        let shell = Command::new("bash")
            .args(["-c", SCRIPT, "keeper"])
            .arg(folder)
            .arg(program)
            .args(arguments)
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash is there");
        Self { shell }
    }

    /// Sends the process a signal.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub(crate) fn signal(&self, signal: &str) {
        let kept = self.kept().expect("it is still there");
        let sent = Command::new("kill").args(["-s", signal, &kept]).status().unwrap();
        assert!(sent.success(), "{signal} was not sent");
    }

    /// A port that the process listens on, once it does.
    pub(crate) fn listening_port(&self) -> Option<u16> {
        self.listening_ports().first().copied()
    }

    /// All ports that the process listens on by now.
    pub(crate) fn listening_ports(&self) -> Vec<u16> {
        let Some(kept) = self.kept() else { return Vec::new() };
        let Ok(files) = fs::read_dir(format!("/proc/{kept}/fd")) else { return Vec::new() };
        let sockets: Vec<String> = files
            .filter_map(|file| Some(fs::read_link(file.ok()?.path()).ok()?.to_str()?.to_owned()))
            .collect();
        let listens = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
            let is_its_own = sockets.contains(&format!("socket:[{inode}]"));
            if *state != LISTENING || !is_its_own {
                return None;
            }
            u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
        };
        let table = |name| fs::read_to_string(format!("/proc/{kept}/net/{name}")).unwrap_or_default();
        let tables = ["tcp", "tcp6"].map(table);
        tables.iter().flat_map(|table| table.lines().skip(1).filter_map(listens)).collect()
    }

    /// The process's id, from when it has started until it has ended.
    fn kept(&self) -> Option<String> {
        let shell = self.shell.id();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok()?;
        // The other one is the job that waits for this process to end.
        let children: Vec<&str> = children.split_whitespace().collect();
        (children.len() == 2).then(|| children[0].to_owned())
    }

    /// What the process prints, errors too; once. It must be read to the end, or the process stands still.
    pub(crate) fn output(&mut self) -> ChildStdout {
        self.shell.stdout.take().expect("the output is taken once")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // SIGKILL cannot be put off, so this wait is short.
        self.shell.wait().expect("the shell is our child");
    }
}

#[test]
fn a_kept_process_and_its_directory_are_gone_with_their_keeper() {
    assert_gone(drop);
}

#[test]
fn a_kept_process_and_its_directory_are_gone_when_the_group_of_the_test_run_is_interrupted() {
    for signal in ["HUP", "INT", "TERM"] {
        assert_gone(|mut keeper| {
            let shell = keeper.shell.id().to_string();
            assert!(Command::new("kill").args(["-s", signal, &shell]).status().unwrap().success());
            keeper.shell.wait().unwrap();
        });
    }
}

/// However a keeper ends, nothing is left.
#[cfg(test)]
fn assert_gone(end: impl FnOnce(Keeper)) {
    use std::io::{BufRead, BufReader, Read};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    let folder = tempfile::tempdir().unwrap().keep();
    let endless = ["-c", "sleep 600 & echo started; wait"].map(str::to_owned);
    let mut keeper = Keeper::start(&folder, Path::new("bash"), &endless, &[]);
    let mut output = BufReader::new(keeper.output());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    assert!(folder.exists());
    end(keeper);
    assert!(!folder.exists());
    // The output ends when the last process that could write to it is dead: the child of the kept process,
    // too.
    let (ended, end) = channel();
    std::thread::spawn(move || ended.send(output.read_to_end(&mut Vec::new()).is_ok()));
    assert_eq!(end.recv_timeout(Duration::from_mins(1)), Ok(true), "a child of the kept process lives on");
}
