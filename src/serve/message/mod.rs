//! One message on one connection: its framing, the request, the reply, and the two ends of a call.

mod arrival;
pub(crate) mod client;
pub(crate) mod client_end;
pub mod coding;
pub(crate) mod end;
pub(crate) mod http;
#[cfg(test)]
pub(crate) mod lines;
pub mod link_end;
pub(crate) mod pace;
pub(crate) mod parcel;
pub mod reply;
pub(crate) mod request;
