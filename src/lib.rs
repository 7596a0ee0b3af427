//! hs2router: a protocol-aware session router for Apache Impala and every server that speaks `HiveServer2` Thrift.
//!
//! The layers, lowest first (`docs/ARCHITECTURE.md` tells the life of a session through them):
//!
//! | layer | what is in it |
//! | --- | --- |
//! | [`ids`], [`clock`], [`error`], [`metrics`] | the vocabulary |
//! | [`cluster`] | coordinators, their load, picks, drain; pure |

pub mod clock;
pub mod cluster;
pub mod ids;
pub mod session;
pub mod wire;
