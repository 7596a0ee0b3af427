//! What tests share that is not a promise of its own: real servers and real clients.

pub(crate) mod certificates;
pub(crate) mod clients;
pub(crate) mod curl;
pub(crate) mod elsewhere;
pub(crate) mod fleet;
pub(crate) mod front;
pub(crate) mod go;
pub(crate) mod haproxy;
pub(crate) mod hive;
pub(crate) mod jdbc;
pub(crate) mod keeper;
pub(crate) mod logs;
#[path = "../kit/message.rs"]
pub(crate) mod message;
pub(crate) mod openssl;
pub(crate) mod ports;
pub(crate) mod program;
pub(crate) mod ran;
pub(crate) mod relay;
pub(crate) mod router;
pub(crate) mod script;
pub(crate) mod slapd;
pub(crate) mod spark;
#[path = "../kit/talk.rs"]
pub(crate) mod talk;
pub(crate) mod tools;
