//! What a request asks of the store. The request was checked before.

use bytes::Bytes;
use tamada_raft::{Compare, Delete, Is, Op, Operand, Previous, Put, Range, Txn, What};

use super::{keys, shape};
use crate::errors::{Error, KEY_NOT_FOUND, UNKNOWN_COMPARISON};
use crate::messages::{
    self, CompareResult, CompareTarget, DeleteRangeRequest, Expected, Operation, PutRequest, RangeRequest, RequestOp,
    TxnRequest,
};

pub fn range(request: &RangeRequest) -> Range {
    Range {
        keys: keys(&request.key, &request.range_end),
        at: u64::try_from(request.revision).ok().filter(|revision| *revision != 0),
        limit: shape::limit(request),
        part: shape::part(request),
    }
}

pub fn put(request: &PutRequest) -> Put {
    let value = || Bytes::copy_from_slice(&request.value);
    Put {
        key: Bytes::copy_from_slice(&request.key),
        value: if request.ignore_value { What::Keep } else { What::Set(value()) },
        lease: if request.ignore_lease { What::Keep } else { What::Set(request.lease) },
        previous: previous(request.prev_kv),
    }
}

pub fn delete(request: &DeleteRangeRequest) -> Delete {
    Delete { keys: keys(&request.key, &request.range_end), previous: previous(request.prev_kv) }
}

pub fn txn(request: &TxnRequest) -> Result<Txn, Error> {
    Ok(Txn {
        when: request.compare.iter().map(compare).collect::<Result<_, _>>()?,
        then: request.success.iter().map(op).collect::<Result<_, _>>()?,
        otherwise: request.failure.iter().map(op).collect::<Result<_, _>>()?,
    })
}

/// One operation by itself.
pub fn alone(op: Op) -> Txn {
    Txn { when: Vec::new(), then: vec![op], otherwise: Vec::new() }
}

fn op(op: &RequestOp) -> Result<Op, Error> {
    Ok(match op.request.as_ref().ok_or(KEY_NOT_FOUND)? {
        Operation::Range(request) => Op::Range(range(request)),
        Operation::Put(request) => Op::Put(put(request)),
        Operation::DeleteRange(request) => Op::Delete(delete(request)),
        Operation::Txn(request) => Op::Txn(txn(request)?),
    })
}

fn compare(compare: &messages::Compare) -> Result<Compare, Error> {
    let is = match CompareResult::try_from(compare.result).map_err(|_| UNKNOWN_COMPARISON)? {
        CompareResult::Equal => Is::Equal,
        CompareResult::NotEqual => Is::NotEqual,
        CompareResult::Greater => Is::Greater,
        CompareResult::Less => Is::Less,
    };
    let target = CompareTarget::try_from(compare.target).map_err(|_| UNKNOWN_COMPARISON)?;
    let (is, to) = against(is, target, compare.expected.as_ref());
    Ok(Compare { keys: keys(&compare.key, &compare.range_end), is, to })
}

/// `target` says what is compared. Where the value given is one for another target, etcd compares with zero, or with
/// an empty value.
fn against(is: Is, target: CompareTarget, expected: Option<&Expected>) -> (Is, Operand) {
    let number = match (target, expected) {
        (CompareTarget::Version, Some(Expected::Version(number)))
        | (CompareTarget::Create, Some(Expected::CreateRevision(number)))
        | (CompareTarget::Mod, Some(Expected::ModRevision(number)))
        | (CompareTarget::Lease, Some(Expected::Lease(number))) => *number,
        _ => 0,
    };
    let (is_to_natural, natural) = natural(is, number);
    match target {
        CompareTarget::Version => (is_to_natural, Operand::Version(natural)),
        CompareTarget::Create => (is_to_natural, Operand::Created(natural)),
        CompareTarget::Mod => (is_to_natural, Operand::Modified(natural)),
        CompareTarget::Lease => (is, Operand::Lease(number)),
        CompareTarget::Value => (is, Operand::Value(value(expected))),
    }
}

fn value(expected: Option<&Expected>) -> Bytes {
    match expected {
        Some(Expected::Value(value)) => Bytes::copy_from_slice(value),
        Some(Expected::Version(_) | Expected::CreateRevision(_) | Expected::ModRevision(_) | Expected::Lease(_))
        | None => Bytes::new(),
    }
}

/// The same comparison with a number that a key can have. Every one of them is greater than a negative number, and
/// none is the largest.
fn natural(is: Is, number: i64) -> (Is, u64) {
    match (u64::try_from(number), is) {
        (Ok(number), is) => (is, number),
        (Err(_), Is::Greater | Is::NotEqual) => (Is::NotEqual, u64::MAX),
        (Err(_), Is::Less | Is::Equal) => (Is::Equal, u64::MAX),
    }
}

fn previous(asked: bool) -> Previous {
    if asked { Previous::Asked } else { Previous::Unasked }
}

#[cfg(test)]
mod tests {
    use tamada_raft::Keys;

    use super::*;

    fn comparing(result: CompareResult, target: CompareTarget, expected: Expected) -> Compare {
        let message = messages::Compare {
            result: result.into(),
            target: target.into(),
            key: b"a".to_vec(),
            expected: Some(expected),
            range_end: Vec::new(),
        };
        compare(&message).expect("a known comparison")
    }

    fn on_a(is: Is, to: Operand) -> Compare {
        Compare { keys: Keys::One(Bytes::from_static(b"a")), is, to }
    }

    #[test]
    fn a_comparison_is_what_its_target_says() {
        let seen = comparing(CompareResult::Greater, CompareTarget::Mod, Expected::ModRevision(5));
        assert_eq!(seen, on_a(Is::Greater, Operand::Modified(5)));
        let seen = comparing(CompareResult::Equal, CompareTarget::Create, Expected::ModRevision(5));
        assert_eq!(seen, on_a(Is::Equal, Operand::Created(0)));
        let seen = comparing(CompareResult::NotEqual, CompareTarget::Value, Expected::Value(b"v".to_vec()));
        assert_eq!(seen, on_a(Is::NotEqual, Operand::Value(Bytes::from_static(b"v"))));
    }

    #[test]
    fn every_key_is_above_a_negative_number() {
        let always = on_a(Is::NotEqual, Operand::Version(u64::MAX));
        let never = on_a(Is::Equal, Operand::Version(u64::MAX));
        let against = |result| comparing(result, CompareTarget::Version, Expected::Version(-1));
        assert_eq!(against(CompareResult::Greater), always);
        assert_eq!(against(CompareResult::NotEqual), always);
        assert_eq!(against(CompareResult::Equal), never);
        assert_eq!(against(CompareResult::Less), never);
    }

    #[test]
    fn a_range_end_of_a_zero_byte_is_the_end_of_all_keys() {
        let a = Bytes::from_static(b"a");
        assert_eq!(keys(b"a", b""), Keys::One(a.clone()));
        assert_eq!(keys(b"a", b"\0"), Keys::From(a.clone()));
        assert_eq!(keys(b"a", b"b"), Keys::Between(a, Bytes::from_static(b"b")));
    }

    #[test]
    fn what_a_put_ignores_is_kept() {
        let request = PutRequest { key: b"a".to_vec(), ignore_value: true, lease: 3, ..PutRequest::default() };
        let put = put(&request);
        assert_eq!((put.value, put.lease), (What::Keep, What::Set(3)));
    }
}
