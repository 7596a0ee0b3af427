//! Bytes to facts: what a connection speaks, where a message ends, which handle it carries. No IO, no clock,
//! no chance.

pub mod beeswax;
pub mod detect;
pub mod dialogue;
pub mod facts;
pub mod frame;
pub mod hello;
pub mod hs2;
pub mod http;
pub mod method;
pub mod proxy;
pub mod rewrite;
pub mod sasl;
pub mod scan;
mod text;
pub mod thrift;
pub mod verdict;
pub mod watch;
pub mod write;

#[cfg(test)]
mod tree;
