//! What a member asks the store: one message, as the store reads it and as the member does when the answer comes.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Lsn, Member, Mono, Stamp};

use super::lock::Whose;
use super::ours::News;
use super::txn::{Compare, Key, LeaseId, Op, Revision, Txn, is_absent, revision};

/// What one message to the store carries.
#[derive(Clone, Debug)]
pub struct Request(Arc<Message>);

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub ask: Ask,
    pub step: Step,
    pub asked: Mono,
    pub before: Before,
}

/// What the store reads.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Read { at_least: Revision, member: Key },
    Write(Txn),
}

/// What the member reads: where in an operation it stands.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Read,
    /// A lease, for what comes then. `from`: the one that it takes the place of.
    BeginLease {
        lease: LeaseId,
        ttl: Duration,
        from: Option<LeaseId>,
        then: Wish,
        round: Round,
    },
    Under {
        lease: LeaseId,
        wish: Wish,
        round: Round,
    },
    /// Before a release: what there is to end.
    LookBeforeRelease {
        last: Option<Lsn>,
    },
    Release {
        since: Option<Revision>,
    },
    Create {
        value: Arc<str>,
    },
    /// A compare-and-swap; `None`: towards absence.
    Swap {
        wanted: Option<Arc<str>>,
    },
    /// What is done whatever stands there.
    Write,
}

/// What needs a lease.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Acquire,
    Renew(News),
    /// Puts the lock under our lease, over exactly what we saw there.
    Seize {
        seen: Revision,
        whose: Whose,
        news: News,
        tries: u32,
    },
    Release {
        last: Option<Lsn>,
    },
    Touch {
        record: Member,
        value: Arc<str>,
        renews: Renews,
    },
}

/// What a touch renews along with the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Renews {
    Lease,
    /// The lease was renewed not long ago.
    Nothing,
}

/// When the store does not know the lease any more, it is done once more under a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Round {
    First,
    Second,
}

/// Whether an earlier try may have been carried out without our hearing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Before {
    Nothing,
    MaybeDone,
}

impl Request {
    /// The same once more, because nobody answered: a member that has time left asks again.
    pub fn again(&self) -> Request {
        Request(Arc::new(Message { before: Before::MaybeDone, ..(*self.0).clone() }))
    }

    /// In a word or two, for a trace.
    pub fn name(&self) -> &'static str {
        match &self.0.step {
            Step::Read => "read",
            Step::BeginLease { from: None, .. } => "begin a lease",
            Step::BeginLease { from: Some(_), .. } => "move to a new lease",
            Step::Under { wish, .. } => match wish {
                Wish::Acquire => "acquire",
                Wish::Renew(_) => "renew",
                Wish::Seize { .. } => "seize",
                Wish::Release { .. } => "release",
                Wish::Touch { .. } => "touch",
            },
            Step::LookBeforeRelease { .. } => "look before a release",
            Step::Release { .. } => "release",
            Step::Create { .. } => "create",
            Step::Swap { .. } => "compare and swap",
            Step::Write => "write",
        }
    }

    pub(super) fn message(&self) -> &Message {
        &self.0
    }

    pub(super) fn new(ask: Ask, step: Step, asked: Mono) -> Self {
        Self(Arc::new(Message { ask, step, asked, before: Before::Nothing }))
    }

    pub(super) fn write(txn: Txn, step: Step, asked: Mono) -> Self {
        Self::new(Ask::Write(txn), step, asked)
    }

    /// Without a condition.
    pub(super) fn just(op: Op, asked: Mono) -> Self {
        Self::write(Txn::just([op]), Step::Write, asked)
    }

    /// If the key does not exist.
    pub(super) fn create(key: Key, value: &str, asked: Mono) -> Self {
        let value = Arc::<str>::from(value);
        let put = Op::Put { key: key.clone(), value: value.clone(), lease: 0 };
        let txn = Txn { when: vec![is_absent(key.clone())], then: vec![put], otherwise: vec![Op::Look(key)] };
        Self::write(txn, Step::Create { value }, asked)
    }

    /// If the key is as it was judged. `wanted`: the value that `op` gives it, if it is not to be absent.
    pub(super) fn swap(key: Key, op: Op, wanted: Option<Arc<str>>, judged: &Stamp, asked: Mono) -> Self {
        let when = vec![Compare::ModifiedAt(key.clone(), revision(judged))];
        let txn = Txn { when, then: vec![op], otherwise: vec![Op::Look(key)] };
        Self::write(txn, Step::Swap { wanted }, asked)
    }
}
