//! HTTP/1.1 as far as calls of HS2 need it: heads of requests, judged before a parser sees them, what of them
//! goes on to a coordinator, and what of a coordinator's answer goes back.

pub mod head;
