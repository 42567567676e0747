//! The leases: their lengths, their last renewals, and the keys that end with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::txn::LeaseId;

/// What a lease costs, so that a store cannot be filled with leases either.
const LEASE_OVERHEAD: u64 = 200;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Leases {
    leases: BTreeMap<LeaseId, Lease>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub ttl: Duration,
    /// The log index of the entry that granted or renewed it last.
    pub renewed: u64,
    pub keys: BTreeSet<Bytes>,
}

impl Lease {
    pub fn new(ttl: Duration, renewed: u64) -> Self {
        Self { ttl, renewed, keys: BTreeSet::new() }
    }
}

impl Leases {
    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub fn has(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.leases.iter().map(|(id, lease)| (*id, lease))
    }

    /// What all leases together are counted as.
    pub fn bytes(&self) -> u64 {
        self.leases.len() as u64 * LEASE_OVERHEAD
    }

    pub fn insert(&mut self, id: LeaseId, lease: Lease) {
        self.leases.insert(id, lease);
    }

    pub fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        self.leases.remove(&id)
    }

    /// From this log index on it runs anew. Answers its length, and the index it ran from.
    pub fn renew(&mut self, id: LeaseId, index: u64) -> Option<(Duration, u64)> {
        let lease = self.leases.get_mut(&id)?;
        Some((lease.ttl, std::mem::replace(&mut lease.renewed, index)))
    }

    pub fn attach(&mut self, id: LeaseId, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.insert(key.clone());
        }
    }

    pub fn detach(&mut self, id: LeaseId, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    /// An id that is not in use, the same on every voter: for what is `nth` of the entry at this index of the log.
    ///
    /// Not simply the log index: a store that was founded anew begins at a low index again, and somebody who still
    /// believes in a lease of the old store must not find a namesake in the new one. So the number of the cluster is
    /// stirred in, and an id practically never comes twice.
    pub fn unused_id(&self, cluster: u64, index: u64, nth: u64) -> LeaseId {
        let mut stirred = stir(stir(cluster) ^ index) ^ nth;
        loop {
            stirred = stir(stirred);
            let id = (stirred >> 1).cast_signed();
            if id != 0 && !self.has(id) {
                return id;
            }
        }
    }
}

/// Spreads neighbouring numbers over all 64 bits, without two of them meeting (the finalizer of splitmix64, after its
/// step).
fn stir(number: u64) -> u64 {
    let stepped = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let once = (stepped ^ (stepped >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ (twice >> 31)
}
