//! What is done beside the connections.

pub mod draining;
pub(in crate::serve) mod probing;
pub(in crate::serve) mod reaping;
pub mod upkeep;
pub mod watching;
