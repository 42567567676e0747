//! Which branch a transaction takes.

use std::cmp::Ordering;

use super::table::Table;
use crate::txn::{Compare, Is, KeyValue, Op, Operand, Txn};

/// Which branches are taken, by the transaction and by the nested ones in it, in the order in which they are come to.
///
/// All are decided before anything is done, as in etcd: what the outer transaction writes cannot sway an inner one.
pub(super) fn branches(table: &Table, txn: &Txn) -> Vec<bool> {
    let mut taken = Vec::with_capacity(1);
    decide(table, txn, &mut taken);
    taken
}

fn decide(table: &Table, txn: &Txn, taken: &mut Vec<bool>) {
    let held = txn.when.iter().all(|compare| holds(table, compare));
    taken.push(held);
    for op in if held { &txn.then } else { &txn.otherwise } {
        match op {
            Op::Txn(nested) => decide(table, nested, taken),
            Op::Range(_) | Op::Put(_) | Op::Delete(_) | Op::Grant { .. } | Op::KeepAlive(_) | Op::Revoke(_) => {}
        }
    }
}

/// Every key of the range must agree. A range without keys is compared as a key that does not exist.
fn holds(table: &Table, compare: &Compare) -> bool {
    let mut found = table.within(&compare.keys).peekable();
    if found.peek().is_none() {
        return agrees(compare.is, of_nothing(&compare.to));
    }
    found.all(|kv| agrees(compare.is, Some(of_key(kv, &compare.to))))
}

/// How the key stands to the operand.
fn of_key(kv: &KeyValue, to: &Operand) -> Ordering {
    match to {
        Operand::Version(version) => kv.version.cmp(version),
        Operand::Created(created) => kv.created.cmp(created),
        Operand::Modified(modified) => kv.modified.cmp(modified),
        Operand::Value(value) => kv.value.cmp(value),
        Operand::Lease(lease) => kv.lease.cmp(lease),
    }
}

/// A key that does not exist has no value, not an empty one, and cannot be compared by it.
fn of_nothing(to: &Operand) -> Option<Ordering> {
    match to {
        Operand::Version(number) | Operand::Created(number) | Operand::Modified(number) => Some(0.cmp(number)),
        Operand::Lease(lease) => Some(0.cmp(lease)),
        Operand::Value(_) => None,
    }
}

fn agrees(is: Is, ordering: Option<Ordering>) -> bool {
    let Some(ordering) = ordering else { return false };
    match is {
        Is::Equal => ordering.is_eq(),
        Is::NotEqual => ordering.is_ne(),
        Is::Greater => ordering.is_gt(),
        Is::Less => ordering.is_lt(),
    }
}
