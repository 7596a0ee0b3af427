//! What an HS2 or Beeswax server does, as one list of checks that every kind of server must pass: the
//! simulated coordinator, Spark's Thrift Server, both of them behind the router, and any server that the
//! environment names. `README.md` says how to run it against a server of one's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "this is a test without the test attribute: one binary, its own list of checks"
)]

mod check;
mod checks;
mod driver;
mod harness;
#[expect(dead_code, reason = "other tests say and look at more")]
#[path = "../kit/message.rs"]
mod message;
mod statements;
mod support;
#[expect(dead_code, reason = "other tests say more")]
#[path = "../kit/talk.rs"]
mod talk;
mod target;
mod wire;

fn main() -> std::process::ExitCode {
    harness::run(&checks::all(), &target::all())
}
