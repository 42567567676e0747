//! The bytes of an errand and of its answer. A field that is not set says no; numbers of fields are never used again.

use std::time::Duration;

use crate::client::{self, MemberChange, MemberStatus, ReadReply, Reading, StoreStatus, Trouble, WatchEnd};
use crate::codec::{self, CodecError};

use super::{Ask, Failure, Hop, Reply};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Errand {
    #[prost(uint64, tag = "1")]
    within_ms: u64,
    #[prost(enumeration = "HopNumber", tag = "2")]
    hop: i32,
    #[prost(oneof = "What", tags = "3, 4, 5, 6, 7, 8, 9")]
    what: Option<What>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash, prost::Enumeration)]
enum HopNumber {
    First = 0,
    Helped = 1,
    Last = 2,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(bytes, tag = "3")]
    Submit(Vec<u8>),
    #[prost(message, tag = "4")]
    Read(Read),
    #[prost(int64, tag = "5")]
    Lease(i64),
    #[prost(message, tag = "6")]
    Leases(Nothing),
    #[prost(message, tag = "7")]
    Status(Nothing),
    #[prost(message, tag = "8")]
    Change(Change),
    #[prost(message, tag = "9")]
    Join(Join),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
struct Read {
    #[prost(bytes = "vec", repeated, tag = "1")]
    ranges: Vec<Vec<u8>>,
    /// Not set: linearizable.
    #[prost(uint64, optional, tag = "2")]
    at_least: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Change {
    #[prost(enumeration = "ChangeKind", tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    address: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash, prost::Enumeration)]
enum ChangeKind {
    Unknown = 0,
    Add = 1,
    Remove = 2,
    Promote = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Join {
    #[prost(fixed64, tag = "1")]
    node: u64,
    #[prost(string, tag = "2")]
    address: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(oneof = "Said", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    said: Option<Said>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Said {
    #[prost(string, tag = "1")]
    Unclear(String),
    #[prost(string, tag = "2")]
    Unreachable(String),
    #[prost(string, tag = "3")]
    Refused(String),
    #[prost(message, tag = "4")]
    NotLeader(Nothing),
    #[prost(bytes, tag = "5")]
    Outcome(Vec<u8>),
    #[prost(message, tag = "6")]
    Read(ReadDone),
    #[prost(message, tag = "7")]
    Lease(Lease),
    #[prost(message, tag = "8")]
    Leases(Leases),
    #[prost(message, tag = "9")]
    Status(Status),
    #[prost(string, tag = "10")]
    Told(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadDone {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(message, repeated, tag = "2")]
    ranges: Vec<RangeDone>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeDone {
    #[prost(bytes = "vec", optional, tag = "1")]
    reply: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    refusal: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Lease {
    #[prost(bytes = "vec", optional, tag = "1")]
    view: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Leases {
    #[prost(int64, repeated, tag = "1")]
    ids: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(fixed64, tag = "1")]
    cluster: u64,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(fixed64, tag = "3")]
    node: u64,
    #[prost(string, optional, tag = "4")]
    leader: Option<String>,
    #[prost(uint64, tag = "5")]
    term: u64,
    #[prost(uint64, tag = "6")]
    revision: u64,
    #[prost(uint64, tag = "7")]
    applied: u64,
    #[prost(uint64, tag = "8")]
    snapshot: u64,
    #[prost(uint64, tag = "9")]
    disk_bytes: u64,
    #[prost(bool, tag = "10")]
    quorum: bool,
    #[prost(message, repeated, tag = "11")]
    members: Vec<Member>,
    #[prost(string, repeated, tag = "12")]
    invited: Vec<String>,
    #[prost(string, repeated, tag = "13")]
    warnings: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Member {
    #[prost(string, tag = "1")]
    address: String,
    #[prost(fixed64, tag = "2")]
    node: u64,
    #[prost(bool, tag = "3")]
    voter: bool,
    #[prost(uint64, optional, tag = "4")]
    heard_ms: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    behind: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WatchNews {
    #[prost(oneof = "News", tags = "1, 2, 3, 4")]
    news: Option<News>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum News {
    #[prost(uint64, tag = "1")]
    Began(u64),
    #[prost(message, tag = "2")]
    Changes(Changes),
    #[prost(uint64, tag = "3")]
    Compacted(u64),
    #[prost(string, tag = "4")]
    Lost(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Changes {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(bytes = "vec", repeated, tag = "2")]
    changes: Vec<Vec<u8>>,
}

impl From<&super::Errand> for Errand {
    fn from(errand: &super::Errand) -> Self {
        let what = match &errand.ask {
            Ask::Submit(command) => What::Submit(codec::encode_command(command)),
            Ask::Read { ranges, how } => What::Read(Read {
                ranges: ranges.iter().map(codec::encode_range).collect(),
                at_least: match how {
                    Reading::Linearizable => None,
                    Reading::AtLeast(revision) => Some(*revision),
                },
            }),
            Ask::Lease(id) => What::Lease(*id),
            Ask::Leases => What::Leases(Nothing {}),
            Ask::Status => What::Status(Nothing {}),
            Ask::Change(change) => What::Change(change.into()),
            Ask::Join { node, address } => What::Join(Join { node: *node, address: address.clone() }),
        };
        let within_ms = u64::try_from(errand.within.as_millis()).unwrap_or(u64::MAX);
        let hop = match errand.hop {
            Hop::First => HopNumber::First,
            Hop::Helped => HopNumber::Helped,
            Hop::Last => HopNumber::Last,
        };
        Self { within_ms, hop: hop.into(), what: Some(what) }
    }
}

impl TryFrom<Errand> for super::Errand {
    type Error = CodecError;

    fn try_from(errand: Errand) -> Result<Self, CodecError> {
        let hop = match errand.hop() {
            HopNumber::First => Hop::First,
            HopNumber::Helped => Hop::Helped,
            HopNumber::Last => Hop::Last,
        };
        let ask = match errand.what.ok_or_else(unknown)? {
            What::Submit(command) => Ask::Submit(codec::decode_command(&command)?),
            What::Read(read) => Ask::Read {
                ranges: read.ranges.iter().map(|range| codec::decode_range(range)).collect::<Result<_, _>>()?,
                how: read.at_least.map_or(Reading::Linearizable, Reading::AtLeast),
            },
            What::Lease(id) => Ask::Lease(id),
            What::Leases(Nothing {}) => Ask::Leases,
            What::Status(Nothing {}) => Ask::Status,
            What::Change(change) => Ask::Change(change.try_into()?),
            What::Join(join) => Ask::Join { node: join.node, address: join.address },
        };
        Ok(Self { ask, within: Duration::from_millis(errand.within_ms), hop })
    }
}

impl From<&MemberChange> for Change {
    fn from(change: &MemberChange) -> Self {
        let (kind, address) = match change {
            MemberChange::Add { address } => (ChangeKind::Add, address),
            MemberChange::Remove { address } => (ChangeKind::Remove, address),
            MemberChange::Promote { address } => (ChangeKind::Promote, address),
        };
        Self { kind: kind.into(), address: address.clone() }
    }
}

impl TryFrom<Change> for MemberChange {
    type Error = CodecError;

    fn try_from(change: Change) -> Result<Self, CodecError> {
        let kind = change.kind();
        let address = change.address;
        match kind {
            ChangeKind::Add => Ok(Self::Add { address }),
            ChangeKind::Remove => Ok(Self::Remove { address }),
            ChangeKind::Promote => Ok(Self::Promote { address }),
            ChangeKind::Unknown => Err(unknown()),
        }
    }
}

impl From<&Result<Reply, Failure>> for Answer {
    fn from(answer: &Result<Reply, Failure>) -> Self {
        let said = match answer {
            Ok(Reply::Outcome(outcome)) => Said::Outcome(codec::encode_outcome(outcome)),
            Ok(Reply::Read(read)) => Said::Read(read.into()),
            Ok(Reply::Lease(lease)) => Said::Lease(Lease { view: lease.as_ref().map(codec::encode_lease_view) }),
            Ok(Reply::Leases(ids)) => Said::Leases(Leases { ids: ids.clone() }),
            Ok(Reply::Status(status)) => Said::Status(status.into()),
            Ok(Reply::Told(text)) => Said::Told(text.clone()),
            Err(Failure::Unclear(why)) => Said::Unclear(why.clone()),
            Err(Failure::Trouble(Trouble::Unreachable(why))) => Said::Unreachable(why.clone()),
            Err(Failure::Trouble(Trouble::Refused(why))) => Said::Refused(why.clone()),
            Err(Failure::NotLeader) => Said::NotLeader(Nothing {}),
        };
        Self { said: Some(said) }
    }
}

impl TryFrom<Answer> for Result<Reply, Failure> {
    type Error = CodecError;

    fn try_from(answer: Answer) -> Result<Self, CodecError> {
        Ok(match answer.said.ok_or_else(unknown)? {
            Said::Outcome(outcome) => Ok(Reply::Outcome(codec::decode_outcome(&outcome)?)),
            Said::Read(read) => Ok(Reply::Read(read.try_into()?)),
            Said::Lease(lease) => Ok(Reply::Lease(lease.view.map(|view| codec::decode_lease_view(&view)).transpose()?)),
            Said::Leases(leases) => Ok(Reply::Leases(leases.ids)),
            Said::Status(status) => Ok(Reply::Status(status.into())),
            Said::Told(text) => Ok(Reply::Told(text)),
            Said::Unclear(why) => Err(Failure::Unclear(why)),
            Said::Unreachable(why) => Err(Failure::Trouble(Trouble::Unreachable(why))),
            Said::Refused(why) => Err(Failure::Trouble(Trouble::Refused(why))),
            Said::NotLeader(Nothing {}) => Err(Failure::NotLeader),
        })
    }
}

impl From<&ReadReply> for ReadDone {
    fn from(read: &ReadReply) -> Self {
        let ranges = read.ranges.iter().map(|range| RangeDone {
            reply: range.as_ref().ok().map(codec::encode_range_reply),
            refusal: range.as_ref().err().map(codec::encode_refusal),
        });
        Self { revision: read.revision, ranges: ranges.collect() }
    }
}

impl TryFrom<ReadDone> for ReadReply {
    type Error = CodecError;

    fn try_from(read: ReadDone) -> Result<Self, CodecError> {
        let range = |range: RangeDone| match (range.reply, range.refusal) {
            (Some(reply), _) => codec::decode_range_reply(&reply).map(Ok),
            (None, Some(refusal)) => codec::decode_refusal(&refusal).map(Err),
            (None, None) => Err(unknown()),
        };
        let ranges = read.ranges.into_iter().map(range).collect::<Result<_, _>>()?;
        Ok(Self { revision: read.revision, ranges })
    }
}

impl From<&StoreStatus> for Status {
    fn from(status: &StoreStatus) -> Self {
        let status = status.clone();
        Self {
            cluster: status.cluster,
            address: status.address,
            node: status.node,
            leader: status.leader,
            term: status.term,
            revision: status.revision,
            applied: status.applied,
            snapshot: status.snapshot,
            disk_bytes: status.disk_bytes,
            quorum: status.quorum,
            members: status.members.into_iter().map(Member::from).collect(),
            invited: status.invited,
            warnings: status.warnings,
        }
    }
}

impl From<Status> for StoreStatus {
    fn from(status: Status) -> Self {
        Self {
            cluster: status.cluster,
            address: status.address,
            node: status.node,
            leader: status.leader,
            term: status.term,
            revision: status.revision,
            applied: status.applied,
            snapshot: status.snapshot,
            disk_bytes: status.disk_bytes,
            quorum: status.quorum,
            members: status.members.into_iter().map(MemberStatus::from).collect(),
            invited: status.invited,
            warnings: status.warnings,
        }
    }
}

impl From<MemberStatus> for Member {
    fn from(member: MemberStatus) -> Self {
        let heard_ms = member.heard.map(|heard| u64::try_from(heard.as_millis()).unwrap_or(u64::MAX));
        Self { address: member.address, node: member.node, voter: member.voter, heard_ms, behind: member.behind }
    }
}

impl From<Member> for MemberStatus {
    fn from(member: Member) -> Self {
        let heard = member.heard_ms.map(Duration::from_millis);
        Self { address: member.address, node: member.node, voter: member.voter, heard, behind: member.behind }
    }
}

impl From<&super::WatchNews> for WatchNews {
    fn from(news: &super::WatchNews) -> Self {
        let news = match news {
            super::WatchNews::Began(revision) => News::Began(*revision),
            super::WatchNews::Changes(changes) => News::Changes(Changes {
                revision: changes.revision,
                changes: changes.changes.iter().map(codec::encode_change).collect(),
            }),
            super::WatchNews::End(WatchEnd::Compacted { oldest }) => News::Compacted(*oldest),
            super::WatchNews::End(WatchEnd::Lost(why)) => News::Lost(why.clone()),
        };
        Self { news: Some(news) }
    }
}

impl TryFrom<WatchNews> for super::WatchNews {
    type Error = CodecError;

    fn try_from(news: WatchNews) -> Result<Self, CodecError> {
        Ok(match news.news.ok_or_else(unknown)? {
            News::Began(revision) => Self::Began(revision),
            News::Changes(changes) => {
                let each = changes.changes.iter().map(|change| codec::decode_change(change));
                Self::Changes(client::Changes { revision: changes.revision, changes: each.collect::<Result<_, _>>()? })
            }
            News::Compacted(oldest) => Self::End(WatchEnd::Compacted { oldest }),
            News::Lost(why) => Self::End(WatchEnd::Lost(why)),
        })
    }
}

fn unknown() -> CodecError {
    CodecError::Unknown("a request or an answer")
}
