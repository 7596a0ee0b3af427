//! Tasks beside the connections.

pub mod certificates;
pub mod deputy;
pub mod draining;
pub mod membership;
pub mod orders;
pub mod own_login;
pub mod own_ticket;
pub(crate) mod probing;
pub(crate) mod reaping;
pub mod upkeep;
pub mod watching;
