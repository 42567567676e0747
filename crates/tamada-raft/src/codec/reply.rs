//! Answers and changes, to messages and back.

use super::{CodecError, all, duration, messages, needed};
use crate::txn::{Change, ChangeKind, KeyValue, LeaseView, OpReply, Outcome, RangeReply, Refusal, TxnReply};

impl From<&KeyValue> for messages::KeyValue {
    fn from(kv: &KeyValue) -> Self {
        let KeyValue { key, value, created, modified, version, lease } = kv.clone();
        Self { key, value, created, modified, version, lease }
    }
}

impl From<messages::KeyValue> for KeyValue {
    fn from(kv: messages::KeyValue) -> Self {
        let messages::KeyValue { key, value, created, modified, version, lease } = kv;
        Self { key, value, created, modified, version, lease }
    }
}

impl From<&Outcome> for messages::Outcome {
    fn from(outcome: &Outcome) -> Self {
        let result = match &outcome.result {
            Ok(reply) => messages::OutcomeResult::Reply(reply.into()),
            Err(refusal) => messages::OutcomeResult::Refusal(refusal.into()),
        };
        Self { revision: outcome.revision, result: Some(result) }
    }
}

impl TryFrom<messages::Outcome> for Outcome {
    type Error = CodecError;

    fn try_from(outcome: messages::Outcome) -> Result<Self, CodecError> {
        let result = match needed(outcome.result, "how it ended")? {
            messages::OutcomeResult::Reply(reply) => Ok(reply.try_into()?),
            messages::OutcomeResult::Refusal(refusal) => Err(refusal.try_into()?),
        };
        Ok(Self { revision: outcome.revision, result })
    }
}

impl From<&TxnReply> for messages::TxnReply {
    fn from(reply: &TxnReply) -> Self {
        Self { held: reply.held, replies: reply.replies.iter().map(Into::into).collect() }
    }
}

impl TryFrom<messages::TxnReply> for TxnReply {
    type Error = CodecError;

    fn try_from(reply: messages::TxnReply) -> Result<Self, CodecError> {
        Ok(Self { held: reply.held, replies: all(reply.replies)? })
    }
}

impl From<&OpReply> for messages::OpReply {
    fn from(reply: &OpReply) -> Self {
        use messages::OpReplyKind;
        let kind = match reply {
            OpReply::Range(range) => OpReplyKind::Range(range.into()),
            OpReply::Put { previous } => {
                OpReplyKind::Put(messages::PutReply { previous: previous.as_ref().map(Into::into) })
            }
            OpReply::Delete { count, previous } => {
                let previous = previous.iter().map(Into::into).collect();
                OpReplyKind::Delete(messages::DeleteReply { count: *count, previous })
            }
            OpReply::Txn(txn) => OpReplyKind::Txn(txn.into()),
            OpReply::Lease { id, ttl } => OpReplyKind::Lease(messages::Lease { id: *id, ttl: Some((*ttl).into()) }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<messages::OpReply> for OpReply {
    type Error = CodecError;

    fn try_from(reply: messages::OpReply) -> Result<Self, CodecError> {
        use messages::OpReplyKind;
        Ok(match needed(reply.kind, "the answer to an operation")? {
            OpReplyKind::Range(range) => Self::Range(range.try_into()?),
            OpReplyKind::Put(put) => Self::Put { previous: put.previous.map(Into::into) },
            OpReplyKind::Delete(messages::DeleteReply { count, previous }) => {
                Self::Delete { count, previous: previous.into_iter().map(Into::into).collect() }
            }
            OpReplyKind::Txn(txn) => Self::Txn(txn.try_into()?),
            OpReplyKind::Lease(lease) => Self::Lease { id: lease.id, ttl: duration(lease.ttl)? },
        })
    }
}

impl From<&RangeReply> for messages::RangeReply {
    fn from(reply: &RangeReply) -> Self {
        Self { kvs: reply.kvs.iter().map(Into::into).collect(), count: reply.count }
    }
}

impl TryFrom<messages::RangeReply> for RangeReply {
    type Error = CodecError;

    fn try_from(reply: messages::RangeReply) -> Result<Self, CodecError> {
        Ok(Self { kvs: reply.kvs.into_iter().map(Into::into).collect(), count: reply.count })
    }
}

impl From<&Refusal> for messages::Refusal {
    fn from(refusal: &Refusal) -> Self {
        use messages::RefusalKind;
        let (kind, revision, text) = match refusal {
            Refusal::LeaseNotFound => (RefusalKind::LeaseNotFound, 0, ""),
            Refusal::LeaseExists => (RefusalKind::LeaseExists, 0, ""),
            Refusal::KeyNotFound => (RefusalKind::KeyNotFound, 0, ""),
            Refusal::DuplicateKey => (RefusalKind::DuplicateKey, 0, ""),
            Refusal::Compacted { oldest } => (RefusalKind::Compacted, *oldest, ""),
            Refusal::FutureRevision { newest } => (RefusalKind::FutureRevision, *newest, ""),
            Refusal::TooLarge(what) => (RefusalKind::TooLarge, 0, what.as_str()),
            Refusal::Full(what) => (RefusalKind::Full, 0, what.as_str()),
        };
        Self { kind: kind.into(), revision, text: text.to_owned() }
    }
}

impl TryFrom<messages::Refusal> for Refusal {
    type Error = CodecError;

    fn try_from(refusal: messages::Refusal) -> Result<Self, CodecError> {
        use messages::RefusalKind;
        const WHY: CodecError = CodecError::Unknown("why it was refused");
        Ok(match RefusalKind::try_from(refusal.kind).map_err(|_| WHY)? {
            RefusalKind::Missing => return Err(WHY),
            RefusalKind::LeaseNotFound => Self::LeaseNotFound,
            RefusalKind::LeaseExists => Self::LeaseExists,
            RefusalKind::KeyNotFound => Self::KeyNotFound,
            RefusalKind::DuplicateKey => Self::DuplicateKey,
            RefusalKind::Compacted => Self::Compacted { oldest: refusal.revision },
            RefusalKind::FutureRevision => Self::FutureRevision { newest: refusal.revision },
            RefusalKind::TooLarge => Self::TooLarge(refusal.text),
            RefusalKind::Full => Self::Full(refusal.text),
        })
    }
}

impl From<&Change> for messages::Change {
    fn from(change: &Change) -> Self {
        let kind = match change.kind {
            ChangeKind::Put => messages::ChangeKind::Put,
            ChangeKind::Delete => messages::ChangeKind::Delete,
        };
        Self { now: Some((&change.now).into()), kind: kind.into(), previous: change.previous.as_ref().map(Into::into) }
    }
}

impl TryFrom<messages::Change> for Change {
    type Error = CodecError;

    fn try_from(change: messages::Change) -> Result<Self, CodecError> {
        const KIND: CodecError = CodecError::Unknown("the kind of change");
        let kind = match messages::ChangeKind::try_from(change.kind).map_err(|_| KIND)? {
            messages::ChangeKind::Put => ChangeKind::Put,
            messages::ChangeKind::Delete => ChangeKind::Delete,
        };
        let now = needed(change.now, "what changed")?.into();
        Ok(Self { now, kind, previous: change.previous.map(Into::into) })
    }
}

impl From<&LeaseView> for messages::LeaseView {
    fn from(lease: &LeaseView) -> Self {
        Self { id: lease.id, ttl: Some(lease.ttl.into()), left: Some(lease.left.into()), keys: lease.keys.clone() }
    }
}

impl TryFrom<messages::LeaseView> for LeaseView {
    type Error = CodecError;

    fn try_from(lease: messages::LeaseView) -> Result<Self, CodecError> {
        Ok(Self { id: lease.id, ttl: duration(lease.ttl)?, left: duration(lease.left)?, keys: lease.keys })
    }
}
