//! HTTP/1.1 between the router and both sides. The library hyper reads and writes it; each exchange has an
//! object of hyper's own, which lives no longer than the exchange, so an idle connection holds no buffer.

pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod cookies;
mod desk;
mod inbound;
pub(crate) mod link;
mod outbound;
