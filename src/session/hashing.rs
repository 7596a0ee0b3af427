//! How the session table hashes guids: in a third of the instructions of the standard library's hash, because
//! a call looks into the table up to six times. The hash is keyed for each map. Only coordinators mint guids,
//! so clients, which may ask for any, cannot fill a bucket with guids of their choice.

use dashmap::DashMap;

use crate::wire::facts::Guid;

/// A map by guid that several threads use.
pub(super) type GuidMap<V> = DashMap<Guid, V, foldhash::quality::RandomState>;
