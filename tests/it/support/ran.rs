//! What ran together, for README's table of what hs2router was tested with.

use std::env;
use std::fs;
use std::path::PathBuf;

/// The folder that `tests/run` collects the notes in; without it nothing is noted.
const FOLDER: &str = "HS2ROUTER_RAN";

/// Notes that a client got through the router what it should. Call it once the assertions have held.
///
/// `tests/tested_with` knows the names of clients and servers, and makes the table.
///
/// # Panics
///
/// When the note cannot be written.
pub(crate) fn note(client: &str, server: &str, login: &str) {
    if let Some(folder) = env::var_os(FOLDER) {
        fs::write(PathBuf::from(folder).join(format!("{client} {server} {login}")), "").unwrap();
    }
}
