//! One message on one connection: what stands around it, the request, the reply, and the two ends between which a call goes.

pub(in crate::serve) mod client;
pub(in crate::serve) mod client_end;
pub mod coding;
pub(in crate::serve) mod end;
#[cfg(test)]
pub(crate) mod lines;
pub mod link_end;
pub(in crate::serve) mod pace;
pub mod reply;
pub(in crate::serve) mod request;
