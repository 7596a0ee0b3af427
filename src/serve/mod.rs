//! A client connection from its first byte to its last. From the bottom to the top; each folder uses only
//! those above it in this list.

pub mod background;
mod call;
pub mod client;
pub mod connections;
pub mod fleet;
mod link;
pub mod message;
pub mod settings;
pub mod shared;
pub mod threads;

#[cfg(test)]
mod tests;
