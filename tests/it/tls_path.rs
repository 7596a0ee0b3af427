//! What happens to a connection inside of TLS happens to it as in the clear: ends, halves and resets mean the
//! same, and nobody takes a part for the whole. The other side is the library with its buffers, as other
//! programs use it.

mod coordinator;
mod ends;
mod flood;
mod framed;
mod idle;
mod peers;
