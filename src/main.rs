//! The `hs2router` program.

fn main() {}
