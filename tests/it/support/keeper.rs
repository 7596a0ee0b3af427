//! A process that never outlives this one, however this one ends.
//!
//! Servers that all tests of a run share live in statics, which are not dropped at the end; and a failed or killed test
//! run drops nothing at all. So a small shell stands between: it holds the reading end of a pipe whose writing end
//! only this process has. When the pipe ends, for whatever reason, it kills the process and all its children, and
//! removes the process's directory.

use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// `set -m` gives each of the two background jobs a process group, so that children of children die as well.
const SCRIPT: &str = r#"
set -m
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
    use std::io::{BufRead, BufReader};

    let folder = tempfile::tempdir().unwrap().keep();
    let endless = ["-c", "sleep 600 & echo $!; wait"].map(str::to_owned);
    let mut keeper = Keeper::start(&folder, Path::new("bash"), &endless, &[]);
    let mut child = String::new();
    BufReader::new(keeper.output()).read_line(&mut child).unwrap();
    let child = Path::new("/proc").join(child.trim());
    assert!(child.join("stat").exists() && folder.exists());
    drop(keeper);
    // An orphan's remains may wait for init to collect them: dead all the same.
    let dead = std::fs::read_to_string(child.join("stat")).map_or(true, |stat| stat.contains(") Z "));
    assert!(dead, "a child of the kept process lives on");
    assert!(!folder.exists());
}
