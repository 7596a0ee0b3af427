//! What operators touch: the config, the log, and the port with health and metrics.

pub mod admin;
pub mod config;
pub mod log;
pub mod reload;
pub mod router;
