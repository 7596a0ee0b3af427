//! One call after the other.

pub(in crate::serve) mod attached;
pub(in crate::serve) mod braking;
pub(in crate::serve) mod conn;
pub(in crate::serve) mod counting;
pub(in crate::serve) mod exchange;
pub(in crate::serve) mod expired;
pub(in crate::serve) mod forward;
pub(in crate::serve) mod incoming;
pub(in crate::serve) mod keepalive;
pub(in crate::serve) mod leftovers;
pub(in crate::serve) mod linking;
pub(in crate::serve) mod locate;
pub(in crate::serve) mod moving;
pub(in crate::serve) mod open;
pub(in crate::serve) mod open_on;
pub(in crate::serve) mod outcome;
pub(in crate::serve) mod refuse;
pub(in crate::serve) mod restarted;
pub(in crate::serve) mod sending;
pub(in crate::serve) mod serve;
pub(in crate::serve) mod tried;
