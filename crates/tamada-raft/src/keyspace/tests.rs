//! One rule after the other.

use super::*;
use crate::txn::{Op, Previous, Put, What};

fn put(key: &str, value: &str) -> Op {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    Op::Put(Put { key, value: What::Set(value), lease: What::Set(0), previous: Previous::Unasked })
}

#[test]
fn a_transaction_makes_one_revision() {
    let mut space = Keyspace::default();
    let txn = Txn { then: vec![put("a", "1"), put("b", "2")], ..Txn::default() };
    assert_eq!(space.apply(1, &Command::Txn(txn)).outcome.revision, 2);
    let again = Keyspace::from_snapshot(&space.to_snapshot());
    assert_eq!(again, Ok(space));
}
