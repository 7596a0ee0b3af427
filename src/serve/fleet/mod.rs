//! A cluster's state.

pub(in crate::serve) mod candidates;
pub(in crate::serve) mod dialing;
pub(in crate::serve) mod keyring;
pub(in crate::serve) mod links;
pub(in crate::serve) mod lookups;
pub(in crate::serve) mod member;
pub(in crate::serve) mod moves;
pub(in crate::serve) mod restarted;
pub(in crate::serve) mod seek;
pub mod shared;
pub(in crate::serve) mod whereabouts;
