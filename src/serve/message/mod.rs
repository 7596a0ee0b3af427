//! One message on one connection: what stands around it, the request, the reply, the client's side.

pub(in crate::serve) mod client;
pub(in crate::serve) mod end;
pub(in crate::serve) mod framing;
pub(in crate::serve) mod pace;
pub mod reply;
pub(in crate::serve) mod request;
