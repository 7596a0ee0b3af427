//! What operators touch: the config, the log, the history, and the port with health and metrics.

pub mod admin;
mod cluster_tls;
pub mod config;
pub mod history;
pub mod log;
pub mod reload;
pub mod rotation;
pub mod router;
pub mod verbs;
pub mod view;
