//! Real clients get the same through the router as from a server directly: rows, errors and what their
//! sessions remember.

mod by_ticket;
mod go_on_hive;
mod go_on_impala;
mod old_shell;
pub(crate) mod on_impala;
pub(crate) mod on_spark;
pub(crate) mod over_http;
mod passed_through;
