//! The part of `HiveServer2`'s Thrift service that the router understands: its methods, where they carry handles, and how
//! a refusal is said in each.

mod method;
pub mod open;
pub mod reply;
pub mod request;

pub use method::{HANDLE, METHODS, STATUS};
