//! hs2router: a protocol-aware session router for Apache Impala and every server that speaks `HiveServer2`
//! Thrift.
//!
//! The layers, lowest first (`docs/ARCHITECTURE.md` tells the life of a session through them):
//!
//! | layer | what is in it |
//! | --- | --- |
//! | [`ids`], [`clock`], [`chance`], [`metrics`] | the vocabulary |
//! | [`wire`] | bytes to facts: detection, scanner, frames, SASL; no IO, no clock, no chance |
//! | [`cluster`] | coordinators, their load, picks, drain; pure |
//! | [`session`] | decisions about a call, the table of sessions and operations; pure |
//! | [`net`] | sockets: listening, dialing, watching and relaying |
//! | [`serve`] | one client connection from accept to close; background upkeep |
//! | [`control`] | what operators touch: config, log, health and metrics |
//! | [`cli`], [`cmd`] | the program |
//! | [`fake`] | simulated coordinators and a client for the demo and the tests, on the types of [`idl`] |

pub mod chance;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod cmd;
pub mod control;
pub mod fake;
pub mod idl;
pub mod ids;
pub mod metrics;
pub mod net;
pub mod serve;
pub mod session;
pub mod wire;
