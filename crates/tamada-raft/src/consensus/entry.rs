//! What the consensus writes down, in bytes: votes, places in the log, memberships and entries.
//!
//! The same bytes lie on the disk and go to the other nodes. They must be understood to the last one: a voter that passes
//! over a part of an entry goes on with other keys than the rest.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::{CommittedLeaderId, EntryPayload, LogId, Vote};
use prost::{Message, Oneof};

use super::{Batch, Entry, Membership, Place, SnapshotMeta, StoredMembership};
use crate::codec::{self, CodecError, needed};

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct VoteRecord {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(fixed64, tag = "2")]
    node: u64,
    #[prost(bool, tag = "3")]
    committed: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct PositionRecord {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(fixed64, tag = "2")]
    node: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
}

#[derive(Clone, PartialEq, Message)]
struct EntryRecord {
    #[prost(message, optional, tag = "1")]
    position: Option<PositionRecord>,
    #[prost(oneof = "PayloadRecord", tags = "2, 3, 4")]
    payload: Option<PayloadRecord>,
}

#[derive(Clone, PartialEq, Oneof)]
enum PayloadRecord {
    #[prost(message, tag = "2")]
    Blank(BlankRecord),
    #[prost(message, tag = "3")]
    Batch(BatchRecord),
    #[prost(message, tag = "4")]
    Membership(MembershipRecord),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct BlankRecord {}

#[derive(Clone, PartialEq, Message)]
struct BatchRecord {
    #[prost(bytes = "vec", repeated, tag = "1")]
    commands: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MembershipRecord {
    /// Two while the voters change: what is decided needs a majority of each.
    #[prost(message, repeated, tag = "1")]
    voters: Vec<VotersRecord>,
    #[prost(message, repeated, tag = "2")]
    members: Vec<MemberRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct VotersRecord {
    #[prost(fixed64, repeated, tag = "1")]
    nodes: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct MemberRecord {
    #[prost(fixed64, tag = "1")]
    node: u64,
    #[prost(string, tag = "2")]
    address: String,
}

/// Which state a snapshot is of.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SnapshotRecord {
    #[prost(message, optional, tag = "1")]
    last: Option<PositionRecord>,
    #[prost(message, optional, tag = "2")]
    membership_at: Option<PositionRecord>,
    #[prost(message, optional, tag = "3")]
    membership: Option<MembershipRecord>,
    #[prost(string, tag = "4")]
    id: String,
}

pub(super) fn to_bytes(entry: &Entry) -> Bytes {
    EntryRecord::from(entry).encode_to_vec().into()
}

pub(super) fn from_bytes(bytes: &[u8]) -> Result<Entry, CodecError> {
    codec::whole::<EntryRecord>(bytes)?.try_into()
}

pub(super) fn vote_to_bytes(vote: &Vote<u64>) -> Bytes {
    VoteRecord::from(vote).encode_to_vec().into()
}

pub(super) fn vote_from_bytes(bytes: &[u8]) -> Result<Vote<u64>, CodecError> {
    Ok(codec::whole::<VoteRecord>(bytes)?.into())
}

pub(super) fn position_to_bytes(position: &LogId<u64>) -> Bytes {
    PositionRecord::from(position).encode_to_vec().into()
}

pub(super) fn position_from_bytes(bytes: &[u8]) -> Result<LogId<u64>, CodecError> {
    Ok(codec::whole::<PositionRecord>(bytes)?.into())
}

pub(super) fn snapshot_to_bytes(meta: &SnapshotMeta) -> Bytes {
    SnapshotRecord::from(meta).encode_to_vec().into()
}

pub(super) fn snapshot_from_bytes(bytes: &[u8]) -> Result<SnapshotMeta, CodecError> {
    codec::whole::<SnapshotRecord>(bytes)?.try_into()
}

impl From<&Vote<u64>> for VoteRecord {
    fn from(vote: &Vote<u64>) -> Self {
        Self { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<VoteRecord> for Vote<u64> {
    fn from(vote: VoteRecord) -> Self {
        let VoteRecord { term, node, committed } = vote;
        if committed { Self::new_committed(term, node) } else { Self::new(term, node) }
    }
}

impl From<&LogId<u64>> for PositionRecord {
    fn from(position: &LogId<u64>) -> Self {
        Self { term: position.leader_id.term, node: position.leader_id.node_id, index: position.index }
    }
}

impl From<PositionRecord> for LogId<u64> {
    fn from(position: PositionRecord) -> Self {
        Self::new(CommittedLeaderId::new(position.term, position.node), position.index)
    }
}

impl From<&Entry> for EntryRecord {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => PayloadRecord::Blank(BlankRecord {}),
            EntryPayload::Normal(Batch(commands)) => {
                PayloadRecord::Batch(BatchRecord { commands: commands.iter().map(codec::encode_command).collect() })
            }
            EntryPayload::Membership(membership) => PayloadRecord::Membership(membership.into()),
        };
        Self { position: Some((&entry.log_id).into()), payload: Some(payload) }
    }
}

impl TryFrom<EntryRecord> for Entry {
    type Error = CodecError;

    fn try_from(entry: EntryRecord) -> Result<Self, CodecError> {
        let log_id = needed(entry.position, "the place of an entry")?.into();
        let payload = match needed(entry.payload, "this kind of entry")? {
            PayloadRecord::Blank(BlankRecord {}) => EntryPayload::Blank,
            PayloadRecord::Batch(BatchRecord { commands }) => {
                let commands: Result<Vec<_>, _> = commands.iter().map(|bytes| codec::decode_command(bytes)).collect();
                EntryPayload::Normal(Batch(commands?))
            }
            PayloadRecord::Membership(membership) => EntryPayload::Membership(membership.into()),
        };
        Ok(Self { log_id, payload })
    }
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        let voters = |nodes: &BTreeSet<u64>| VotersRecord { nodes: nodes.iter().copied().collect() };
        let member = |(node, place): (&u64, &Place)| MemberRecord { node: *node, address: place.address.clone() };
        Self {
            voters: membership.get_joint_config().iter().map(voters).collect(),
            members: membership.nodes().map(member).collect(),
        }
    }
}

impl From<MembershipRecord> for Membership {
    fn from(membership: MembershipRecord) -> Self {
        let voters = membership.voters.into_iter().map(|voters| voters.nodes.into_iter().collect()).collect();
        let member = |MemberRecord { node, address }| (node, Place { address });
        Self::new(voters, membership.members.into_iter().map(member).collect::<BTreeMap<u64, Place>>())
    }
}

impl From<&SnapshotMeta> for SnapshotRecord {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last: meta.last_log_id.as_ref().map(Into::into),
            membership_at: meta.last_membership.log_id().as_ref().map(Into::into),
            membership: Some(meta.last_membership.membership().into()),
            id: meta.snapshot_id.clone(),
        }
    }
}

impl TryFrom<SnapshotRecord> for SnapshotMeta {
    type Error = CodecError;

    fn try_from(record: SnapshotRecord) -> Result<Self, CodecError> {
        let membership = needed(record.membership, "the members of a snapshot")?;
        Ok(Self {
            last_log_id: record.last.map(Into::into),
            last_membership: StoredMembership::new(record.membership_at.map(Into::into), membership.into()),
            snapshot_id: record.id,
        })
    }
}
