//! What ran together, for README's table of what hs2router was tested with.

use std::env;
use std::fs;
use std::path::PathBuf;

use super::clients::Shown;

/// The folder that `tests/run` collects the notes in; without it nothing is noted.
const FOLDER: &str = "HS2ROUTER_RAN";

/// Notes that a client got from servers of this name through the router what it got from one of them
/// directly, if that was more than a refusal.
///
/// `tests/tested_with` knows the names, and makes the table.
///
/// # Panics
///
/// When the note cannot be written.
pub(crate) fn note(shown: &Shown, server: &str) {
    let Shown { client, login, .. } = shown;
    assert!(!client.is_empty(), "{shown:?} does not say what it is of");
    if let Some(folder) = env::var_os(FOLDER).filter(|_| !shown.output.is_empty()) {
        fs::write(PathBuf::from(folder).join(format!("{client} {server} {login}")), "").unwrap();
    }
}
