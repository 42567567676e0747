//! The keys as they are, in the order of their names.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::txn::{Change, KeyValue, Keys, Part, Range, RangeReply};

/// What a key costs beside its name and value: its numbers, and its places in the tree and in its lease.
const KEY_OVERHEAD: u64 = 200;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Table {
    keys: BTreeMap<Bytes, KeyValue>,
    bytes: u64,
}

impl Table {
    pub fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.keys.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = &KeyValue> {
        self.keys.values()
    }

    /// What all keys together are counted as.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn set(&mut self, kv: KeyValue) {
        self.bytes += weight(&kv);
        if let Some(before) = self.keys.insert(kv.key.clone(), kv) {
            self.bytes -= weight(&before);
        }
    }

    pub fn remove(&mut self, key: &[u8]) {
        if let Some(before) = self.keys.remove(key) {
            self.bytes -= weight(&before);
        }
    }

    pub fn within(&self, keys: &Keys) -> impl Iterator<Item = &KeyValue> {
        self.keys.range::<[u8], _>(bounds(keys)).map(|(_, kv)| kv)
    }

    /// The keys as they were before these changes, which come newest first.
    pub fn before<'a>(
        &'a self,
        keys: &Keys,
        newest_first: impl Iterator<Item = &'a Change>,
    ) -> BTreeMap<&'a Bytes, &'a KeyValue> {
        let mut then: BTreeMap<&Bytes, &KeyValue> = self.within(keys).map(|kv| (&kv.key, kv)).collect();
        for change in newest_first.filter(|change| keys.contain(&change.now.key)) {
            match &change.previous {
                Some(previous) => then.insert(&previous.key, previous),
                None => then.remove(&change.now.key),
            };
        }
        then
    }
}

/// What a key is counted as, in the store and in an answer.
pub(super) fn weight(kv: &KeyValue) -> u64 {
    KEY_OVERHEAD + kv.key.len() as u64 + kv.value.len() as u64
}

/// An end before its beginning makes an empty range, which the tree would not take.
fn bounds(keys: &Keys) -> (Bound<&[u8]>, Bound<&[u8]>) {
    match keys {
        Keys::One(key) => (Bound::Included(key), Bound::Included(key)),
        Keys::Between(from, to) => (Bound::Included(from), Bound::Excluded(to.max(from))),
        Keys::From(from) => (Bound::Included(from), Bound::Unbounded),
    }
}

/// What a range answers, of the keys that were found in it.
pub(super) fn reply<'a>(range: &Range, found: impl Iterator<Item = &'a KeyValue>) -> RangeReply {
    let most = if range.limit == 0 { u64::MAX } else { range.limit };
    let mut reply = RangeReply::default();
    for kv in found {
        if reply.count < most {
            reply.kvs.extend(part(kv, range.part));
        }
        reply.count += 1;
    }
    reply
}

fn part(kv: &KeyValue, part: Part) -> Option<KeyValue> {
    match part {
        Part::Whole => Some(kv.clone()),
        Part::KeysOnly => Some(KeyValue { value: Bytes::new(), ..kv.clone() }),
        Part::CountOnly => None,
    }
}
