//! Counting a process's system calls with strace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::report::Syscalls;

/// How long strace gets to attach to every thread.
const ATTACH: Duration = Duration::from_millis(300);

fn summary(directory: &Path) -> PathBuf {
    directory.join("strace.txt")
}

/// Begins to count; what is called while strace attaches is missed.
pub(crate) fn start(id: u32, directory: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new("strace");
    command.args(["-q", "-f", "-c", "-o"]).arg(summary(directory));
    let ids: Vec<String> = std::iter::once(id).chain(crate::process::children(id)).map(|id| id.to_string()).collect();
    for id in ids {
        command.args(["-p", &id]);
    }
    let child = command.stderr(Stdio::null()).spawn().context("strace")?;
    std::thread::sleep(ATTACH);
    Ok(child)
}

/// Ends the counting; strace then writes its summary.
pub(crate) fn stop(trace: Option<&mut Child>) {
    if let Some(trace) = trace {
        let _gone = Command::new("kill").args(["-INT", &trace.id().to_string()]).status();
        let _reaped = trace.wait();
    }
}

/// The summary of a count over so many calls.
pub(crate) fn read(trace: Option<Child>, directory: &Path, calls: u64) -> anyhow::Result<Syscalls> {
    trace.context("nothing was counted")?;
    let text = std::fs::read_to_string(summary(directory))?;
    let mut names: Vec<(String, f64)> = text.lines().filter_map(line).collect();
    for (_, count) in &mut names {
        *count /= calls as f64;
    }
    names.sort_by(|a, b| b.1.total_cmp(&a.1));
    let per_call = names.iter().map(|(_, count)| count).sum();
    names.retain(|(_, count)| *count >= 0.01);
    Ok(Syscalls { per_call, names })
}

/// `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn line(text: &str) -> Option<(String, f64)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (Some(count), Some(name)) = (words.get(3), words.last()) else { return None };
    let counted = *name != "total" && words[0].parse::<f64>().is_ok();
    counted.then(|| Some(((*name).to_owned(), count.parse().ok()?)))?
}
