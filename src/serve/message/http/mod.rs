//! HTTP/1.1 between the router and both sides. An ordinary exchange, with bodies of known lengths, costs little
//! more than frames do. The library hyper reads and writes all others; each of them has an object of hyper's own,
//! which lives no longer than the exchange, so an idle connection holds no buffer.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod client;
mod client_exchange;
pub(crate) mod cookies;
mod desk;
mod inbound;
mod known;
pub(crate) mod link;
mod link_exchange;
mod outbound;
