//! Commands and transactions, to messages and back.

use std::time::Duration;

use super::{CodecError, all, messages, needed};
use crate::txn::{Command, Compare, Delete, Expiry, Is, Keys, Op, Operand, Part, Previous, Put, Range, Txn, What};

impl From<&Command> for messages::Command {
    fn from(command: &Command) -> Self {
        use messages::CommandKind;
        let kind = match command {
            Command::Txn(txn) => CommandKind::Txn(txn.into()),
            Command::Expire(judged) => {
                CommandKind::Expire(messages::Expire { judged: judged.iter().map(Into::into).collect() })
            }
            Command::Compact(before) => CommandKind::Compact(*before),
            Command::Found { cluster } => CommandKind::Found(*cluster),
            Command::Invite { address } => CommandKind::Invite(address.clone()),
            Command::Disinvite { address } => CommandKind::Disinvite(address.clone()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<messages::Command> for Command {
    type Error = CodecError;

    fn try_from(command: messages::Command) -> Result<Self, CodecError> {
        use messages::CommandKind;
        Ok(match needed(command.kind, "the kind of command")? {
            CommandKind::Txn(txn) => Self::Txn(txn.try_into()?),
            CommandKind::Expire(expire) => Self::Expire(expire.judged.into_iter().map(Into::into).collect()),
            CommandKind::Compact(before) => Self::Compact(before),
            CommandKind::Found(cluster) => Self::Found { cluster },
            CommandKind::Invite(address) => Self::Invite { address },
            CommandKind::Disinvite(address) => Self::Disinvite { address },
        })
    }
}

impl From<&Expiry> for messages::Expiry {
    fn from(expiry: &Expiry) -> Self {
        Self { lease: expiry.lease, renewed: expiry.renewed }
    }
}

impl From<messages::Expiry> for Expiry {
    fn from(expiry: messages::Expiry) -> Self {
        Self { lease: expiry.lease, renewed: expiry.renewed }
    }
}

impl From<&Txn> for messages::Txn {
    fn from(txn: &Txn) -> Self {
        Self {
            when: txn.when.iter().map(Into::into).collect(),
            then: txn.then.iter().map(Into::into).collect(),
            otherwise: txn.otherwise.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<messages::Txn> for Txn {
    type Error = CodecError;

    fn try_from(txn: messages::Txn) -> Result<Self, CodecError> {
        Ok(Self { when: all(txn.when)?, then: all(txn.then)?, otherwise: all(txn.otherwise)? })
    }
}

impl From<&Keys> for messages::Keys {
    fn from(keys: &Keys) -> Self {
        match keys {
            Keys::One(key) => Self::One(key.clone()),
            Keys::Between(from, to) => Self::Between(messages::Between { from: from.clone(), to: to.clone() }),
            Keys::From(from) => Self::From(from.clone()),
        }
    }
}

impl TryFrom<Option<messages::Keys>> for Keys {
    type Error = CodecError;

    fn try_from(keys: Option<messages::Keys>) -> Result<Self, CodecError> {
        Ok(match needed(keys, "which keys")? {
            messages::Keys::One(key) => Self::One(key),
            messages::Keys::Between(messages::Between { from, to }) => Self::Between(from, to),
            messages::Keys::From(from) => Self::From(from),
        })
    }
}

impl From<&Compare> for messages::Compare {
    fn from(compare: &Compare) -> Self {
        let is = match compare.is {
            Is::Equal => messages::Is::Equal,
            Is::NotEqual => messages::Is::NotEqual,
            Is::Greater => messages::Is::Greater,
            Is::Less => messages::Is::Less,
        };
        let to = match &compare.to {
            Operand::Version(version) => messages::Operand::Version(*version),
            Operand::Created(revision) => messages::Operand::Created(*revision),
            Operand::Modified(revision) => messages::Operand::Modified(*revision),
            Operand::Value(value) => messages::Operand::Value(value.clone()),
            Operand::Lease(lease) => messages::Operand::Lease(*lease),
        };
        Self { keys: Some((&compare.keys).into()), is: is.into(), to: Some(to) }
    }
}

impl TryFrom<messages::Compare> for Compare {
    type Error = CodecError;

    fn try_from(compare: messages::Compare) -> Result<Self, CodecError> {
        let is = match messages::Is::try_from(compare.is).map_err(|_| CodecError::Unknown("a comparison"))? {
            messages::Is::Equal => Is::Equal,
            messages::Is::NotEqual => Is::NotEqual,
            messages::Is::Greater => Is::Greater,
            messages::Is::Less => Is::Less,
        };
        let to = match needed(compare.to, "what is compared")? {
            messages::Operand::Version(version) => Operand::Version(version),
            messages::Operand::Created(revision) => Operand::Created(revision),
            messages::Operand::Modified(revision) => Operand::Modified(revision),
            messages::Operand::Value(value) => Operand::Value(value),
            messages::Operand::Lease(lease) => Operand::Lease(lease),
        };
        Ok(Self { keys: compare.keys.try_into()?, is, to })
    }
}

impl From<&Op> for messages::Op {
    fn from(op: &Op) -> Self {
        use messages::OpKind;
        let kind = match op {
            Op::Range(range) => OpKind::Range(range.into()),
            Op::Put(put) => OpKind::Put(put.into()),
            Op::Delete(delete) => OpKind::Delete(delete.into()),
            Op::Txn(txn) => OpKind::Txn(txn.into()),
            Op::Grant { id, ttl } => OpKind::Grant(messages::Lease { id: *id, ttl: Some((*ttl).into()) }),
            Op::KeepAlive(id) => OpKind::KeepAlive(*id),
            Op::Revoke(id) => OpKind::Revoke(*id),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<messages::Op> for Op {
    type Error = CodecError;

    fn try_from(op: messages::Op) -> Result<Self, CodecError> {
        use messages::OpKind;
        Ok(match needed(op.kind, "the kind of operation")? {
            OpKind::Range(range) => Self::Range(range.try_into()?),
            OpKind::Put(put) => Self::Put(put.into()),
            OpKind::Delete(delete) => Self::Delete(delete.try_into()?),
            OpKind::Txn(txn) => Self::Txn(txn.try_into()?),
            OpKind::Grant(lease) => Self::Grant { id: lease.id, ttl: duration(lease.ttl)? },
            OpKind::KeepAlive(id) => Self::KeepAlive(id),
            OpKind::Revoke(id) => Self::Revoke(id),
        })
    }
}

impl From<&Range> for messages::Range {
    fn from(range: &Range) -> Self {
        let part = match range.part {
            Part::Whole => messages::Part::Whole,
            Part::KeysOnly => messages::Part::KeysOnly,
            Part::CountOnly => messages::Part::CountOnly,
        };
        Self { keys: Some((&range.keys).into()), at: range.at, limit: range.limit, part: part.into() }
    }
}

impl TryFrom<messages::Range> for Range {
    type Error = CodecError;

    fn try_from(range: messages::Range) -> Result<Self, CodecError> {
        let part = match messages::Part::try_from(range.part).map_err(|_| CodecError::Unknown("a part of a key"))? {
            messages::Part::Whole => Part::Whole,
            messages::Part::KeysOnly => Part::KeysOnly,
            messages::Part::CountOnly => Part::CountOnly,
        };
        Ok(Self { keys: range.keys.try_into()?, at: range.at, limit: range.limit, part })
    }
}

impl From<&Put> for messages::Put {
    fn from(put: &Put) -> Self {
        let value = match &put.value {
            What::Set(value) => Some(value.clone()),
            What::Keep => None,
        };
        let lease = match put.lease {
            What::Set(lease) => Some(lease),
            What::Keep => None,
        };
        Self { key: put.key.clone(), value, lease, previous: is_asked(put.previous) }
    }
}

impl From<messages::Put> for Put {
    fn from(put: messages::Put) -> Self {
        let value = put.value.map_or(What::Keep, What::Set);
        let lease = put.lease.map_or(What::Keep, What::Set);
        Self { key: put.key, value, lease, previous: previous(put.previous) }
    }
}

impl From<&Delete> for messages::Delete {
    fn from(delete: &Delete) -> Self {
        Self { keys: Some((&delete.keys).into()), previous: is_asked(delete.previous) }
    }
}

impl TryFrom<messages::Delete> for Delete {
    type Error = CodecError;

    fn try_from(delete: messages::Delete) -> Result<Self, CodecError> {
        Ok(Self { keys: delete.keys.try_into()?, previous: previous(delete.previous) })
    }
}

fn is_asked(previous: Previous) -> bool {
    match previous {
        Previous::Asked => true,
        Previous::Unasked => false,
    }
}

fn previous(is_asked: bool) -> Previous {
    if is_asked { Previous::Asked } else { Previous::Unasked }
}

impl From<Duration> for messages::Time {
    fn from(duration: Duration) -> Self {
        Self { seconds: duration.as_secs(), nanos: duration.subsec_nanos() }
    }
}

pub(crate) fn duration(time: Option<messages::Time>) -> Result<Duration, CodecError> {
    let messages::Time { seconds, nanos } = needed(time, "a length of time")?;
    if nanos >= 1_000_000_000 {
        return Err(CodecError::Garbled("a fraction of a second that is longer than a second".into()));
    }
    Ok(Duration::new(seconds, nanos))
}
