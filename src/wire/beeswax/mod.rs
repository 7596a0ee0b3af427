//! The part of the Beeswax service (Impala's `ImpalaService`) that the router understands: its methods, where
//! they carry query ids, and how each reports an error.

pub(super) mod method;
pub mod reply;
pub mod request;

pub use method::METHODS;
