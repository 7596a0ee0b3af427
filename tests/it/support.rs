//! What tests share that is not a promise of its own: real servers and real clients.

pub(crate) mod clients;
pub(crate) mod fleet;
pub(crate) mod keeper;
pub(crate) mod router;
pub(crate) mod spark;
pub(crate) mod tools;
