//! Counting a process's system calls with strace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hs2router::clock;

use crate::process;
use crate::report::Syscalls;

/// How long strace may take to attach to every thread.
const ATTACH: Duration = Duration::from_secs(10);

fn summary(directory: &Path) -> PathBuf {
    directory.join("strace.txt")
}

/// Begins to count; returns when every thread is traced.
pub(crate) fn start(id: u32, directory: &Path) -> anyhow::Result<Child> {
    let ids: Vec<u32> = std::iter::once(id).chain(process::children(id)).collect();
    let mut command = Command::new("strace");
    command.args(["-q", "-f", "-c", "-o"]).arg(summary(directory));
    for id in &ids {
        command.args(["-p", &id.to_string()]);
    }
    let child = command.stderr(Stdio::null()).spawn().context("strace")?;
    let deadline = clock::now() + ATTACH;
    while !ids.iter().all(|&id| is_traced(id)) {
        ensure!(clock::now() < deadline, "strace does not attach");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(child)
}

/// Whether all threads of a process are traced.
fn is_traced(id: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let mut statuses = tasks.map(|task| fs::read_to_string(task.path().join("status")).unwrap_or_default());
    statuses.all(|status| !status.contains("TracerPid:\t0\n"))
}

/// Ends the counting; strace then writes its summary.
pub(crate) fn stop(trace: Option<&mut Child>) {
    if let Some(trace) = trace {
        let _gone = Command::new("kill").args(["-INT", &trace.id().to_string()]).status();
        let _reaped = trace.wait();
    }
}

/// The summary of a count over so many calls or sessions.
pub(crate) fn read(trace: Option<Child>, directory: &Path, done: u64) -> anyhow::Result<Syscalls> {
    trace.context("nothing was counted")?;
    let text = fs::read_to_string(summary(directory))?;
    let mut names: Vec<(String, f64)> = text.lines().filter_map(line).collect();
    for (_, count) in &mut names {
        *count /= done as f64;
    }
    names.sort_by(|a, b| b.1.total_cmp(&a.1));
    let each = names.iter().map(|(_, count)| count).sum();
    names.retain(|(_, count)| *count >= 0.01);
    Ok(Syscalls { each, names })
}

/// `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn line(text: &str) -> Option<(String, f64)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (Some(count), Some(name)) = (words.get(3), words.last()) else { return None };
    let counted = *name != "total" && words[0].parse::<f64>().is_ok();
    counted.then(|| Some(((*name).to_owned(), count.parse().ok()?)))?
}
