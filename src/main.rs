//! The `hs2router` program.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use hs2router::cli::{Cli, Command};
use hs2router::cmd;
use mimalloc::MiMalloc;

/// Calls allocate and free boxes of half a kilobyte and more, hundreds at a time: glibc keeps seven of a size at hand.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match dispatch(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where even standard error is closed.
            drop(writeln!(io::stderr(), "{}", cmd::in_words(&error)));
            cmd::exit_code(&error)
        }
    }
}

fn dispatch(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check(args) => cmd::check::run(args, &mut io::stdout().lock()),
        Command::Completions(args) => Ok(cmd::completions::run(*args, &mut io::stdout().lock())?),
        Command::Doctor(args) => cmd::doctor::run(args, &mut io::stdout().lock()),
        Command::Status(args) => cmd::operator::status(args, &mut io::stdout().lock()),
        Command::Sessions(args) => cmd::operator::sessions(args, &mut io::stdout().lock()),
        Command::Connections(args) => cmd::operator::connections(args, &mut io::stdout().lock()),
        Command::Operations(args) => cmd::operator::operations(args, &mut io::stdout().lock()),
        Command::Waiting(args) => cmd::operator::waiting(args, &mut io::stdout().lock()),
        Command::Config(args) => cmd::operator::config(args, &mut io::stdout().lock()),
        Command::Events(args) => cmd::operator::events(args, &mut io::stdout().lock()),
        Command::History(args) => cmd::operator::history(args, &mut io::stdout().lock()),
        Command::Drain(args) => cmd::operator::verbs::drain(args, &mut io::stdout().lock()),
        Command::Resume(args) => cmd::operator::verbs::resume(args, &mut io::stdout().lock()),
        Command::Eject(args) => cmd::operator::verbs::eject(args, &mut io::stdout().lock()),
        Command::Restore(args) => cmd::operator::verbs::restore(args, &mut io::stdout().lock()),
        Command::Weight(args) => cmd::operator::verbs::weight(args, &mut io::stdout().lock()),
        Command::MoveAll(args) => cmd::operator::moves::move_all(args, &mut io::stdout().lock()),
        Command::Move(args) => cmd::operator::moves::move_one(args, &mut io::stdout().lock()),
        Command::Close(args) => cmd::operator::verbs::close(args, &mut io::stdout().lock()),
        Command::Cut(args) => cmd::operator::verbs::cut(args, &mut io::stdout().lock()),
        Command::Cancel(args) => cmd::operator::verbs::cancel(args, &mut io::stdout().lock()),
        Command::PauseCluster(args) => cmd::operator::cluster::pause(args, &mut io::stdout().lock()),
        Command::ResumeCluster(args) => cmd::operator::cluster::resume(args, &mut io::stdout().lock()),
        Command::Rotation(args) => cmd::operator::verbs::rotation(args, &mut io::stdout().lock()),
        Command::LogLevel(args) => cmd::operator::verbs::log_level(args, &mut io::stdout().lock()),
        Command::Run(args) => cmd::run::run(args),
        Command::Demo(args) => cmd::demo::run(*args, &mut io::stdout().lock()),
    }
}

/// Prints the help or version that was asked for, or what is wrong with the arguments.
fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() { ExitCode::from(cmd::EXIT_USAGE) } else { ExitCode::SUCCESS }
}
