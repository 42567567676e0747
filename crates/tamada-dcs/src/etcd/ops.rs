//! Transactions over keys.

use tamada_etcd::messages::{
    Compare, CompareTarget, DeleteRangeRequest, Expected, KeyValue, Operation, Outcome, PutRequest, RangeRequest,
    RequestOp, TxnRequest, TxnResponse,
};
use tamada_model::Stamp;

use super::lease::LeaseId;

pub fn range(key: Vec<u8>) -> RangeRequest {
    RangeRequest { key, ..RangeRequest::default() }
}

pub fn look(key: Vec<u8>) -> Operation {
    Operation::Range(range(key))
}

pub fn put(key: Vec<u8>, value: impl Into<Vec<u8>>) -> Operation {
    Operation::Put(PutRequest { key, value: value.into(), ..PutRequest::default() })
}

pub fn put_under(lease: LeaseId, key: Vec<u8>, value: impl Into<Vec<u8>>) -> Operation {
    Operation::Put(PutRequest { key, value: value.into(), lease: lease.0, ..PutRequest::default() })
}

pub fn delete(key: Vec<u8>) -> Operation {
    Operation::DeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() })
}

pub fn is_absent(key: Vec<u8>) -> Compare {
    is_created_at(key, 0)
}

pub fn is_at(key: Vec<u8>, revision: i64) -> Compare {
    compare(key, CompareTarget::Mod, Expected::ModRevision(revision))
}

/// The key that was created then, and not one that came after it.
pub fn is_created_at(key: Vec<u8>, revision: i64) -> Compare {
    compare(key, CompareTarget::Create, Expected::CreateRevision(revision))
}

pub fn has_value(key: Vec<u8>, value: impl Into<Vec<u8>>) -> Compare {
    compare(key, CompareTarget::Value, Expected::Value(value.into()))
}

pub fn is_under(lease: LeaseId, key: Vec<u8>) -> Compare {
    compare(key, CompareTarget::Lease, Expected::Lease(lease.0))
}

fn compare(key: Vec<u8>, target: CompareTarget, expected: Expected) -> Compare {
    Compare { target: target.into(), key, expected: Some(expected), ..Compare::default() }
}

pub fn txn(
    compare: impl Into<Vec<Compare>>,
    then: impl IntoIterator<Item = Operation>,
    otherwise: impl IntoIterator<Item = Operation>,
) -> TxnRequest {
    let request = |operation| RequestOp { request: Some(operation) };
    TxnRequest {
        compare: compare.into(),
        success: then.into_iter().map(request).collect(),
        failure: otherwise.into_iter().map(request).collect(),
    }
}

/// What the last operation of the branch that was taken did; nested transactions included.
#[derive(Debug)]
pub enum Taken {
    Put,
    Deleted,
    Found(KeyValue),
    FoundNothing,
}

pub fn taken(answer: &TxnResponse) -> Taken {
    match answer.responses.last().and_then(|response| response.response.as_ref()) {
        Some(Outcome::Put(_)) => Taken::Put,
        Some(Outcome::DeleteRange(_)) => Taken::Deleted,
        Some(Outcome::Range(found)) => found.kvs.first().cloned().map_or(Taken::FoundNothing, Taken::Found),
        Some(Outcome::Txn(nested)) => taken(nested),
        None => Taken::FoundNothing,
    }
}

pub fn stamp(revision: i64) -> Stamp {
    Stamp::new(revision.to_string())
}

/// The revision of a stamp that this store gave; one of another store never matches.
pub fn revision(stamp: &Stamp) -> i64 {
    stamp.as_str().parse().unwrap_or(-1)
}
