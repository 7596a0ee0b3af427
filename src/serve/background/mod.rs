//! What is done beside the connections.

pub mod draining;
pub mod membership;
pub(in crate::serve) mod probing;
pub(in crate::serve) mod reaping;
pub mod upkeep;
pub mod watching;
