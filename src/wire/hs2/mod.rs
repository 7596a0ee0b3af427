//! The part of `HiveServer2`'s Thrift service that the router understands: its methods, where they carry
//! handles, and how each reports an error.

pub(super) mod method;
pub mod open;
pub mod reply;
pub mod request;

pub use method::{
    CANCEL_OPERATION, CLOSE_OPERATION, CLOSE_SESSION, GET_INFO, GET_OPERATION_STATUS, GET_TYPE_INFO, METHODS,
    OPEN_SESSION, PING,
};
