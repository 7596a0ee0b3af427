//! How the session table hashes guids. Coordinators mint guids, but clients can ask for any, so the hash is keyed by chance: who
//! does not know the key cannot choose guids that share a bucket. `foldhash` takes a third of the instructions of the standard
//! library's hash, and a call looks into the table up to six times.

use dashmap::DashMap;

use crate::wire::facts::Guid;

/// A map by guid that several threads use.
pub(super) type GuidMap<V> = DashMap<Guid, V, foldhash::quality::RandomState>;
