//! One message on one connection: what stands around it, the request, the reply, and the two ends between which a call goes.

pub(crate) mod client;
pub(crate) mod client_end;
pub mod coding;
pub(crate) mod end;
#[cfg(test)]
pub(crate) mod lines;
pub mod link_end;
pub(crate) mod pace;
pub mod reply;
pub(crate) mod request;
