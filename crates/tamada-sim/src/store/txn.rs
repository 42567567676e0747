//! What a message to the store may ask, in etcd's terms: comparisons, then these operations, otherwise those.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::Stamp;

/// Relative to the cluster's base path: `leader`, `members/a`.
pub type Key = Cow<'static, str>;
/// The number of the last change, over all keys.
pub type Revision = u64;
/// 0: none.
pub type LeaseId = u64;

/// "If these comparisons hold, then these operations, otherwise those." All of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    pub when: Vec<Compare>,
    pub then: Vec<Op>,
    pub otherwise: Vec<Op>,
}

/// A key that does not exist was created and modified at 0, is under lease 0, and has no value.
#[derive(Clone, Debug)]
pub enum Compare {
    CreatedAt(Key, Revision),
    ModifiedAt(Key, Revision),
    Under(Key, LeaseId),
    Has(Key, Arc<str>),
}

#[derive(Clone, Debug)]
pub enum Op {
    Look(Key),
    Put {
        key: Key,
        value: Arc<str>,
        lease: LeaseId,
    },
    /// The key as it is, under another lease.
    Move {
        key: Key,
        lease: LeaseId,
    },
    Delete(Key),
    DeleteAll,
    Txn(Box<Txn>),
    Grant {
        lease: LeaseId,
        ttl: Duration,
    },
    KeepAlive(LeaseId),
    Revoke(LeaseId),
}

/// Why nothing of a transaction was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    LeaseNotFound,
    LeaseExists,
}

/// How a transaction ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// After it.
    pub revision: Revision,
    pub result: Result<Reply, Refusal>,
}

#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The comparisons held.
    pub held: bool,
    /// The lease lasts its whole length from when this was done.
    pub renewed: bool,
    /// What the looks found, in their order.
    pub looks: Vec<Option<Found>>,
}

impl Reply {
    /// What the only look found, if there was one.
    pub fn found(&self) -> Option<&Found> {
        self.looks.first()?.as_ref()
    }
}

/// A key as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub value: Arc<str>,
    pub created: Revision,
    pub modified: Revision,
    pub lease: LeaseId,
}

impl Txn {
    /// Without a condition.
    pub fn just(then: impl Into<Vec<Op>>) -> Self {
        Self { then: then.into(), ..Self::default() }
    }
}

pub fn is_absent(key: Key) -> Compare {
    Compare::CreatedAt(key, 0)
}

pub fn stamp(revision: Revision) -> Stamp {
    Stamp::new(revision.to_string())
}

/// The revision of a stamp that this store gave; any other never matches.
pub fn revision(stamp: &Stamp) -> Revision {
    stamp.as_str().parse().unwrap_or(Revision::MAX)
}
