//! hs2router: a protocol-aware session router for Apache Impala and every server that speaks `HiveServer2` Thrift.
//!
//! The layers, lowest first (`docs/ARCHITECTURE.md` tells the life of a session through them):
//!
//! | layer | what is in it |
//! | --- | --- |
//! | [`ids`], [`clock`] | the vocabulary |
//! | [`wire`] | bytes to facts: detection, scanner, frames, SASL; no IO, no clock, no chance |
//! | [`cluster`] | coordinators, their load, picks, drain; pure |
//! | [`session`] | decisions about a call, the table of sessions and operations; pure |

pub mod clock;
pub mod cluster;
pub mod ids;
pub mod session;
pub mod wire;
