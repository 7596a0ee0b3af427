//! `hs2router completions`: a script that a shell reads.

use std::io::{self, Write};

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};

/// Writes the script.
///
/// # Errors
/// When `out` cannot be written to.
pub fn run(args: CompletionsArgs, out: &mut impl Write) -> io::Result<()> {
    // The generator panics when a write fails (a closed pipe), so it writes into a buffer.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hs2router", &mut script);
    out.write_all(&script)
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_subcommands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut script = Vec::new();
            run(CompletionsArgs { shell }, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("completions") && script.contains("check"), "{shell}");
        }
    }
}
