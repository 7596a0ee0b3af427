//! How the session table hashes guids: with few instructions, and so that nobody outside can tell which guids share
//! a bucket.
//!
//! Coordinators mint guids, but clients can ask for any. So the hash depends on keys that each map draws for itself:
//! it is a member, chosen by chance, of a strongly universal family (Dietzfelbinger, "Universal hashing and k-wise
//! independent random variables via integer arithmetic without primes", 1996). The hashes of any two guids are
//! independent and uniform over all 64 bits, so guids that were chosen without knowing the keys collide no more often
//! than random ones. The keys never leave the process, and neither do hashes.

use std::hash::{BuildHasher, Hasher, RandomState};

use dashmap::DashMap;

use crate::wire::facts::{Guid, HANDLE_PART_BYTES};

/// A map by guid that several threads use.
pub(super) type GuidMap<V> = DashMap<Guid, V, GuidHashing>;

/// A member of the family.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuidHashing {
    offset: u128,
    /// For each half of a guid.
    factors: [u128; 2],
}

impl Default for GuidHashing {
    /// With keys of its own, which come from the system's chance.
    fn default() -> Self {
        let chance = RandomState::new();
        let draw =
            |place: u64| u128::from(chance.hash_one(place)) << 64 | u128::from(chance.hash_one(!place));
        Self { offset: draw(0), factors: [draw(1), draw(2)] }
    }
}

impl GuidHashing {
    /// The upper half of a sum of 128 bits is the family's. A bijection then mixes it, because guids at equal
    /// distances would otherwise have hashes at equal distances.
    fn hash(&self, guid: Guid) -> u64 {
        let guid = u128::from_le_bytes(guid);
        let [lower, upper] = self.factors;
        let sum = self.offset.wrapping_add(lower.wrapping_mul(guid & u128::from(u64::MAX)));
        let sum = sum.wrapping_add(upper.wrapping_mul(guid >> 64)) >> 64;
        let hash = sum as u64;
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ (hash >> 32)
    }
}

impl BuildHasher for GuidHashing {
    type Hasher = GuidHasher;

    fn build_hasher(&self) -> GuidHasher {
        GuidHasher { hashing: *self, hash: 0 }
    }
}

/// Hashes one guid.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuidHasher {
    hashing: GuidHashing,
    hash: u64,
}

impl Hasher for GuidHasher {
    fn write(&mut self, bytes: &[u8]) {
        // A guid is one block.
        for part in bytes.chunks(HANDLE_PART_BYTES) {
            let mut block = [0; HANDLE_PART_BYTES];
            block.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.hash = self.hash.rotate_left(1) ^ self.hashing.hash(block);
        }
    }

    /// All guids have the same length, which therefore says nothing.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const BUCKETS: usize = 256;
    /// As a table takes a shard, and a shard its bucket: from the upper bits, and from the lowest.
    const BUCKETS_OF: [fn(u64) -> u64; 2] = [|hash| hash << 7 >> 56, |hash| hash & 0xff];

    fn hashing(seed: u64) -> GuidHashing {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut draw = || u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
        GuidHashing { offset: draw(), factors: [draw(), draw()] }
    }

    /// How many are in the fullest bucket, where `mean` are in each on average.
    fn fullest(hashing: GuidHashing, guids: &[Guid], bucket: fn(u64) -> u64) -> usize {
        let mut held = vec![0; BUCKETS];
        for guid in guids {
            held[usize::try_from(bucket(hashing.hash_one(guid))).unwrap()] += 1;
        }
        held.into_iter().max().unwrap()
    }

    fn guids(count: u128, of: impl Fn(u128) -> u128) -> Vec<Guid> {
        (0..count).map(|number| of(number).to_le_bytes()).collect()
    }

    #[test]
    fn guids_spread_evenly_whatever_they_have_in_common() {
        let sets = [
            guids(4096, |number| number),
            guids(4096, |number| number << 64),
            guids(4096, |number| number << 116),
            guids(4096, u128::reverse_bits),
            guids(4096, |number| number | number << 64),
        ];
        for (place, set) in sets.iter().enumerate() {
            for bucket in BUCKETS_OF {
                // 16 on average; of random ones, the fullest of 256 has some 29.
                let fullest = fullest(hashing(7), set, bucket);
                assert!(fullest <= 40, "{fullest} of set {place} in one bucket");
            }
        }
    }

    #[test]
    fn guids_that_share_a_bucket_under_some_keys_do_not_under_others() {
        for bucket in BUCKETS_OF {
            let mut chosen = guids(1 << 16, |number| number.wrapping_mul(0x1234_5678_9abc_def1));
            chosen.retain(|guid| bucket(hashing(7).hash_one(guid)) == 0);
            assert!(chosen.len() > 128, "{} share a bucket", chosen.len());
            let fullest = fullest(hashing(8), &chosen, bucket);
            assert!(fullest <= 12, "{fullest} of {} still share one", chosen.len());
        }
    }

    #[test]
    fn every_map_has_keys_of_its_own() {
        let hashes: HashSet<u64> = (0..64).map(|_| GuidHashing::default().hash_one([7; 16])).collect();
        assert_eq!(hashes.len(), 64);
    }

    #[test]
    fn every_bit_of_a_guid_counts() {
        let hashes: HashSet<u64> =
            (0..128).map(|bit| hashing(7).hash_one((1_u128 << bit).to_le_bytes())).collect();
        assert_eq!(hashes.len(), 128);
    }
}
