//! What a reader of a table must know of the run that it comes from.

use std::process::Command;

/// Date, command and machine of a run of this bench, a line each.
pub(crate) fn lines(bench: &str) -> Vec<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    vec![
        format!("date: {}", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        format!("command: cargo bench --bench {bench} -- {}", args.join(" ")),
        format!(
            "machine: {} cores,{}, {}",
            cores(),
            model.trim_start_matches(['\t', ':']),
            said("uname", &["-sr"])
        ),
    ]
}

/// Threads that run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What a program says; nothing if it is not there.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
