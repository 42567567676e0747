//! Transactions over keys.

use bytes::Bytes;
use tamada_model::Stamp;
use tamada_raft::{
    Compare, Delete, Is, KeyValue, Keys, LeaseId, Op, OpReply, Operand, Previous, Put, Range, Revision, Txn, TxnReply,
    What,
};

pub fn range(key: Vec<u8>) -> Range {
    Range::of(Keys::One(key.into()))
}

pub fn look(key: Vec<u8>) -> Op {
    Op::Range(range(key))
}

pub fn put(key: Vec<u8>, value: impl Into<Bytes>) -> Op {
    put_under(0, key, value)
}

pub fn put_under(lease: LeaseId, key: Vec<u8>, value: impl Into<Bytes>) -> Op {
    let (value, lease) = (What::Set(value.into()), What::Set(lease));
    Op::Put(Put { key: key.into(), value, lease, previous: Previous::Unasked })
}

/// The key as it is, under another lease.
pub fn move_under(lease: LeaseId, key: Vec<u8>) -> Op {
    Op::Put(Put { key: key.into(), value: What::Keep, lease: What::Set(lease), previous: Previous::Unasked })
}

pub fn delete(keys: Keys) -> Op {
    Op::Delete(Delete { keys, previous: Previous::Unasked })
}

pub fn is_absent(key: Vec<u8>) -> Compare {
    is_created_at(key, 0)
}

/// The key as it was written then; 0: absent.
pub fn is_at(key: Vec<u8>, revision: Revision) -> Compare {
    equal(key, Operand::Modified(revision))
}

/// The key that was created then, and not one that came after it.
pub fn is_created_at(key: Vec<u8>, revision: Revision) -> Compare {
    equal(key, Operand::Created(revision))
}

pub fn has_value(key: Vec<u8>, value: impl Into<Bytes>) -> Compare {
    equal(key, Operand::Value(value.into()))
}

pub fn is_under(lease: LeaseId, key: Vec<u8>) -> Compare {
    equal(key, Operand::Lease(lease))
}

fn equal(key: Vec<u8>, to: Operand) -> Compare {
    Compare { keys: Keys::One(key.into()), is: Is::Equal, to }
}

pub fn txn(
    when: impl Into<Vec<Compare>>,
    then: impl IntoIterator<Item = Op>,
    otherwise: impl IntoIterator<Item = Op>,
) -> Txn {
    Txn { when: when.into(), then: then.into_iter().collect(), otherwise: otherwise.into_iter().collect() }
}

/// The key that the last operation found, if it was a look and there is one.
pub fn found(reply: TxnReply) -> Option<KeyValue> {
    match reply.replies.into_iter().next_back()? {
        OpReply::Range(found) => found.kvs.into_iter().next(),
        OpReply::Put { .. } | OpReply::Delete { .. } | OpReply::Txn(_) | OpReply::Lease { .. } => None,
    }
}

pub fn stamp(revision: Revision) -> Stamp {
    Stamp::new(revision.to_string())
}

/// The revision of a stamp that this store gave; one of another store never matches.
pub fn revision(stamp: &Stamp) -> Revision {
    stamp.as_str().parse().unwrap_or(Revision::MAX)
}
