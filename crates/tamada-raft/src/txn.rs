//! What can be asked of the store, and what it answers.
//!
//! There is one kind of write: a transaction, "if these comparisons hold, then these operations, otherwise those". Leases
//! are granted, kept alive and given back by operations of a transaction too, so that "renew my lease and make sure the
//! key is mine" is one entry of the log. The meaning of each part is etcd's (etcd.io/docs/v3.5/learning/api), so that the
//! etcd endpoint is a translation and nothing more.

use std::time::Duration;

use bytes::Bytes;

/// The number of the last change, over all keys. Grows by one with every transaction that changed any key.
pub type Revision = u64;
pub type LeaseId = i64;

/// Which keys: one, or a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    One(Bytes),
    /// From the first, up to but not including the second.
    Between(Bytes, Bytes),
    /// This key and all after it.
    From(Bytes),
}

/// "If these comparisons hold, then these operations, otherwise those." All of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Txn {
    pub when: Vec<Compare>,
    pub then: Vec<Op>,
    pub otherwise: Vec<Op>,
}

/// Holds if it holds for every key of the range that exists. If none exists, it is made with version, created, modified
/// and lease 0; a comparison with a value does not hold then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    pub keys: Keys,
    pub is: Is,
    pub to: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    Equal,
    NotEqual,
    Greater,
    Less,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    Version(u64),
    Created(Revision),
    Modified(Revision),
    Value(Bytes),
    Lease(LeaseId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Range(Range),
    Put(Put),
    Delete(Delete),
    Txn(Txn),
    /// A new lease of this length. An id of 0 lets the store choose one.
    Grant {
        id: LeaseId,
        ttl: Duration,
    },
    /// The lease lasts its whole length from now on. Refuses the transaction if there is no such lease.
    KeepAlive(LeaseId),
    /// Ends the lease and deletes its keys. Refuses the transaction if there is no such lease.
    Revoke(LeaseId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub keys: Keys,
    /// As the keys were at this revision; `None`: as they are.
    pub at: Option<Revision>,
    /// At most so many keys, in the order of their names; 0: all.
    pub limit: u64,
    pub part: Part,
}

/// How much of each key an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Part {
    #[default]
    Whole,
    KeysOnly,
    CountOnly,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub key: Bytes,
    pub value: What<Bytes>,
    /// 0: none. Refuses the transaction if there is no such lease.
    pub lease: What<LeaseId>,
    pub previous: Previous,
}

/// What a put does with the value, and with the lease, that a key has. `Keep` refuses the transaction if the key does
/// not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<T> {
    Set(T),
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    pub keys: Keys,
    pub previous: Previous,
}

/// Whether the answer carries what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Previous {
    #[default]
    Unasked,
    Asked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Bytes,
    pub value: Bytes,
    pub created: Revision,
    pub modified: Revision,
    /// How often it was written since it was created; the first time is 1.
    pub version: u64,
    pub lease: LeaseId,
}

/// How a transaction ended, on every voter alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// After the transaction.
    pub revision: Revision,
    pub result: Result<TxnReply, Refusal>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnReply {
    /// The comparisons held.
    pub held: bool,
    /// One for each operation of the branch that was taken.
    pub replies: Vec<OpReply>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpReply {
    Range(RangeReply),
    Put { previous: Option<KeyValue> },
    Delete { count: u64, previous: Vec<KeyValue> },
    Txn(TxnReply),
    Lease { id: LeaseId, ttl: Duration },
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RangeReply {
    pub kvs: Vec<KeyValue>,
    /// All keys in the range, whatever the limit.
    pub count: u64,
}

/// Why nothing of a transaction was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such lease")]
    LeaseNotFound,
    #[error("a lease with this id exists already")]
    LeaseExists,
    #[error("there is no such key")]
    KeyNotFound,
    #[error("a key is written twice in one transaction")]
    DuplicateKey,
    #[error("what is older than revision {oldest} is no longer kept")]
    Compacted { oldest: Revision },
    #[error("the newest revision is {newest}")]
    FutureRevision { newest: Revision },
    #[error("the request is larger than the store accepts: {0}")]
    TooLarge(String),
    #[error("the store is full: {0}")]
    Full(String),
}

/// A key that was written or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is now; a deleted key keeps only its name and the revision of its deletion (`modified`).
    pub now: KeyValue,
    pub kind: ChangeKind,
    pub previous: Option<KeyValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Put,
    Delete,
}

/// A lease as the consensus leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    pub id: LeaseId,
    pub ttl: Duration,
    pub left: Duration,
    pub keys: Vec<Bytes>,
}

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Txn(Txn),
    /// The consensus leader has judged that these leases ran out. Each is ended only if nothing has renewed it since.
    Expire(Vec<Expiry>),
    /// What is older than this revision need not be kept.
    Compact(Revision),
    /// The first entry of a new store: the cluster's own number.
    Found {
        cluster: u64,
    },
    /// A newcomer at this address may join.
    Invite {
        address: String,
    },
    /// The address may not join any more.
    Disinvite {
        address: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    pub lease: LeaseId,
    /// The log index of the entry that granted or renewed the lease last, as the judge saw it.
    pub renewed: u64,
}

impl Keys {
    /// All keys that begin so.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self::Between(Bytes::copy_from_slice(prefix), end.into());
            }
        }
        Self::From(Bytes::copy_from_slice(prefix))
    }

    pub fn contain(&self, key: &[u8]) -> bool {
        match self {
            Self::One(one) => one == key,
            Self::Between(from, to) => from <= key && key < to,
            Self::From(from) => from <= key,
        }
    }
}

impl Range {
    pub fn of(keys: Keys) -> Self {
        Self { keys, at: None, limit: 0, part: Part::Whole }
    }
}
