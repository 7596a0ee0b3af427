//! Go's client (gohive) gets the same through the router as from a server directly.

mod on_hive;
mod on_impala;
