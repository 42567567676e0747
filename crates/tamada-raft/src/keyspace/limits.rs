//! What the store accepts. Every voter must refuse the same: these numbers are part of what the log means.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::txn::{Compare, Keys, Op, Operand, Put, Refusal, Txn, What};

/// Everything is held in memory, by the agent of each member, and sent to a newcomer in one piece. A Patroni cluster
/// needs some kilobytes.
const STORE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// etcd's limit for a request, unless configured otherwise.
const TXN_BYTES_MAX: u64 = 1536 * 1024;

/// etcd's limit for a list of operations or comparisons, unless configured otherwise.
const OPS_MAX: usize = 128;

/// In all branches of all nested transactions together; nobody needs that many, and checking them takes time.
const OPS_IN_ALL_MAX: usize = 1_024;

/// Decoding must know an end; nobody nests deeper than two or three.
const DEPTH_MAX: usize = 8;

/// etcd's longest lease, 285 years. Whoever adds it to an instant must not overflow.
const TTL_MAX: Duration = Duration::from_secs(9_000_000_000);

/// Newcomers join one by one; no cluster has more members.
const INVITED_MAX: usize = 64;

/// A host name has at most 253 characters, and then comes a port.
const ADDRESS_MAX: usize = 260;

/// Whether the transaction may be carried out at all, whatever the keys are. Worth asking before it goes to the log.
pub(crate) fn acceptable(txn: &Txn) -> Result<(), Refusal> {
    let mut size = Size::default();
    size.add(txn, 1)?;
    if size.bytes > TXN_BYTES_MAX {
        return too_large(format!("a transaction of {} bytes; at most {TXN_BYTES_MAX}", size.bytes));
    }
    writes(&txn.then)?;
    writes(&txn.otherwise)?;
    Ok(())
}

/// A full store takes whatever does not make it larger.
pub(super) fn growth(before: u64, after: u64) -> Result<(), Refusal> {
    if after > STORE_BYTES_MAX && after > before {
        return Err(Refusal::Full(format!("keys and leases would take {after} bytes; at most {STORE_BYTES_MAX}")));
    }
    Ok(())
}

/// An answer may carry everything once.
pub(super) fn answer(bytes: u64) -> Result<(), Refusal> {
    if bytes > STORE_BYTES_MAX {
        return too_large(format!("an answer of more than {STORE_BYTES_MAX} bytes"));
    }
    Ok(())
}

pub(super) fn invitation(invited: &BTreeSet<String>, address: &str) -> Result<(), Refusal> {
    if address.len() > ADDRESS_MAX {
        return too_large(format!("an address of {} characters; at most {ADDRESS_MAX}", address.len()));
    }
    if invited.len() >= INVITED_MAX && !invited.contains(address) {
        return Err(Refusal::Full(format!("{INVITED_MAX} addresses are invited already")));
    }
    Ok(())
}

fn too_large(what: String) -> Result<(), Refusal> {
    Err(Refusal::TooLarge(what))
}

#[derive(Default)]
struct Size {
    bytes: u64,
    ops: usize,
}

impl Size {
    fn add(&mut self, txn: &Txn, depth: usize) -> Result<(), Refusal> {
        if depth > DEPTH_MAX {
            return too_large(format!("transactions nested more than {DEPTH_MAX} deep"));
        }
        let longest = txn.when.len().max(txn.then.len()).max(txn.otherwise.len());
        self.ops += txn.when.len() + txn.then.len() + txn.otherwise.len();
        if longest > OPS_MAX {
            return too_large(format!("{longest} operations in one transaction; at most {OPS_MAX}"));
        }
        if self.ops > OPS_IN_ALL_MAX {
            return too_large(format!("more than {OPS_IN_ALL_MAX} operations in nested transactions"));
        }
        self.bytes += txn.when.iter().map(compare_bytes).sum::<u64>();
        txn.then.iter().chain(&txn.otherwise).try_for_each(|op| self.add_op(op, depth))
    }

    fn add_op(&mut self, op: &Op, depth: usize) -> Result<(), Refusal> {
        match op {
            Op::Range(range) => self.bytes += keys_bytes(&range.keys),
            Op::Put(put) => self.bytes += put_bytes(put),
            Op::Delete(delete) => self.bytes += keys_bytes(&delete.keys),
            Op::Txn(txn) => self.add(txn, depth + 1)?,
            Op::Grant { id: _, ttl } if *ttl > TTL_MAX => return too_large(format!("a lease of {} s", ttl.as_secs())),
            Op::Grant { .. } | Op::KeepAlive(_) | Op::Revoke(_) => {}
        }
        Ok(())
    }
}

fn compare_bytes(compare: &Compare) -> u64 {
    let operand = match &compare.to {
        Operand::Value(value) => value.len() as u64,
        Operand::Version(_) | Operand::Created(_) | Operand::Modified(_) | Operand::Lease(_) => 0,
    };
    keys_bytes(&compare.keys) + operand
}

fn put_bytes(put: &Put) -> u64 {
    let value = match &put.value {
        What::Set(value) => value.len() as u64,
        What::Keep => 0,
    };
    put.key.len() as u64 + value
}

fn keys_bytes(keys: &Keys) -> u64 {
    match keys {
        Keys::One(key) | Keys::From(key) => key.len() as u64,
        Keys::Between(from, to) => from.len() as u64 + to.len() as u64,
    }
}

/// What a list of operations may write, in all branches of its nested transactions.
#[derive(Default)]
struct Writes<'t> {
    puts: BTreeSet<&'t Bytes>,
    deletes: Vec<&'t Keys>,
}

/// A key may be put only once, and not where it is deleted, too: both would have the same revision. The branches of one
/// nested transaction exclude each other. Between two nested transactions the order counts, a put after a delete is
/// refused and a delete after a put is not; that is how etcd sees it, and so it is with us.
fn writes(ops: &[Op]) -> Result<Writes<'_>, Refusal> {
    let mut all = Writes::default();
    let mut puts = Vec::new();
    let mut nested = Vec::new();
    for op in ops {
        match op {
            Op::Put(put) => puts.push(&put.key),
            Op::Delete(delete) => all.deletes.push(&delete.keys),
            Op::Txn(txn) => nested.push(txn),
            Op::Range(_) | Op::Grant { .. } | Op::KeepAlive(_) | Op::Revoke(_) => {}
        }
    }
    for txn in nested {
        let (then, otherwise) = (writes(&txn.then)?, writes(&txn.otherwise)?);
        then.puts.union(&otherwise.puts).try_for_each(|key| all.put(key))?;
        all.deletes.extend(then.deletes.into_iter().chain(otherwise.deletes));
    }
    puts.into_iter().try_for_each(|key| all.put(key))?;
    Ok(all)
}

impl<'t> Writes<'t> {
    fn put(&mut self, key: &'t Bytes) -> Result<(), Refusal> {
        if self.deletes.iter().any(|keys| keys.contain(key)) || !self.puts.insert(key) {
            return Err(Refusal::DuplicateKey);
        }
        Ok(())
    }
}
