//! The messages, field by field. A number that was once used never gets another meaning.
//!
//! Numbers up to 15 take one byte, so they go to what is in every message. Lists of alternatives that an older version
//! must not guess about begin at 1: what it does not know looks like nothing at all, and is refused.

use bytes::Bytes;
use prost::{Enumeration, Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct Command {
    #[prost(oneof = "CommandKind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<CommandKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum CommandKind {
    #[prost(message, tag = "1")]
    Txn(Txn),
    #[prost(message, tag = "2")]
    Expire(Expire),
    #[prost(uint64, tag = "3")]
    Compact(u64),
    #[prost(fixed64, tag = "4")]
    Found(u64),
    #[prost(string, tag = "5")]
    Invite(String),
    #[prost(string, tag = "6")]
    Disinvite(String),
}

#[derive(Clone, PartialEq, Message)]
pub struct Expire {
    #[prost(message, repeated, tag = "1")]
    pub judged: Vec<Expiry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Expiry {
    #[prost(int64, tag = "1")]
    pub lease: i64,
    #[prost(uint64, tag = "2")]
    pub renewed: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Txn {
    #[prost(message, repeated, tag = "1")]
    pub when: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub then: Vec<Op>,
    #[prost(message, repeated, tag = "3")]
    pub otherwise: Vec<Op>,
}

/// The first three numbers of every message that has them.
#[derive(Clone, PartialEq, Oneof)]
pub enum Keys {
    #[prost(bytes = "bytes", tag = "1")]
    One(Bytes),
    #[prost(message, tag = "2")]
    Between(Between),
    #[prost(bytes = "bytes", tag = "3")]
    From(Bytes),
}

#[derive(Clone, PartialEq, Message)]
pub struct Between {
    #[prost(bytes = "bytes", tag = "1")]
    pub from: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct Compare {
    #[prost(oneof = "Keys", tags = "1, 2, 3")]
    pub keys: Option<Keys>,
    #[prost(enumeration = "Is", tag = "4")]
    pub is: i32,
    #[prost(oneof = "Operand", tags = "5, 6, 7, 8, 9")]
    pub to: Option<Operand>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Enumeration)]
#[repr(i32)]
pub enum Is {
    Equal = 0,
    NotEqual = 1,
    Greater = 2,
    Less = 3,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Operand {
    #[prost(uint64, tag = "5")]
    Version(u64),
    #[prost(uint64, tag = "6")]
    Created(u64),
    #[prost(uint64, tag = "7")]
    Modified(u64),
    #[prost(bytes = "bytes", tag = "8")]
    Value(Bytes),
    #[prost(int64, tag = "9")]
    Lease(i64),
}

#[derive(Clone, PartialEq, Message)]
pub struct Op {
    #[prost(oneof = "OpKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub kind: Option<OpKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum OpKind {
    #[prost(message, tag = "1")]
    Range(Range),
    #[prost(message, tag = "2")]
    Put(Put),
    #[prost(message, tag = "3")]
    Delete(Delete),
    #[prost(message, tag = "4")]
    Txn(Txn),
    #[prost(message, tag = "5")]
    Grant(Lease),
    #[prost(int64, tag = "6")]
    KeepAlive(i64),
    #[prost(int64, tag = "7")]
    Revoke(i64),
}

#[derive(Clone, PartialEq, Message)]
pub struct Range {
    #[prost(oneof = "Keys", tags = "1, 2, 3")]
    pub keys: Option<Keys>,
    #[prost(uint64, optional, tag = "4")]
    pub at: Option<u64>,
    #[prost(uint64, tag = "5")]
    pub limit: u64,
    #[prost(enumeration = "Part", tag = "6")]
    pub part: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Enumeration)]
#[repr(i32)]
pub enum Part {
    Whole = 0,
    KeysOnly = 1,
    CountOnly = 2,
}

/// Value and lease are absent where they are to be kept.
#[derive(Clone, PartialEq, Message)]
pub struct Put {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
    #[prost(int64, optional, tag = "3")]
    pub lease: Option<i64>,
    #[prost(bool, tag = "4")]
    pub previous: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Delete {
    #[prost(oneof = "Keys", tags = "1, 2, 3")]
    pub keys: Option<Keys>,
    #[prost(bool, tag = "4")]
    pub previous: bool,
}

/// A lease with its length.
#[derive(Clone, PartialEq, Message)]
pub struct Lease {
    #[prost(int64, tag = "1")]
    pub id: i64,
    #[prost(message, optional, tag = "2")]
    pub ttl: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Time {
    #[prost(uint64, tag = "1")]
    pub seconds: u64,
    #[prost(uint32, tag = "2")]
    pub nanos: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    #[prost(uint64, tag = "3")]
    pub created: u64,
    #[prost(uint64, tag = "4")]
    pub modified: u64,
    #[prost(uint64, tag = "5")]
    pub version: u64,
    #[prost(int64, tag = "6")]
    pub lease: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Outcome {
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    #[prost(oneof = "OutcomeResult", tags = "2, 3")]
    pub result: Option<OutcomeResult>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum OutcomeResult {
    #[prost(message, tag = "2")]
    Reply(TxnReply),
    #[prost(message, tag = "3")]
    Refusal(Refusal),
}

#[derive(Clone, PartialEq, Message)]
pub struct TxnReply {
    #[prost(bool, tag = "1")]
    pub held: bool,
    #[prost(message, repeated, tag = "2")]
    pub replies: Vec<OpReply>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OpReply {
    #[prost(oneof = "OpReplyKind", tags = "1, 2, 3, 4, 5")]
    pub kind: Option<OpReplyKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum OpReplyKind {
    #[prost(message, tag = "1")]
    Range(RangeReply),
    #[prost(message, tag = "2")]
    Put(PutReply),
    #[prost(message, tag = "3")]
    Delete(DeleteReply),
    #[prost(message, tag = "4")]
    Txn(TxnReply),
    #[prost(message, tag = "5")]
    Lease(Lease),
}

#[derive(Clone, PartialEq, Message)]
pub struct RangeReply {
    #[prost(message, repeated, tag = "1")]
    pub kvs: Vec<KeyValue>,
    #[prost(uint64, tag = "2")]
    pub count: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct PutReply {
    #[prost(message, optional, tag = "1")]
    pub previous: Option<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeleteReply {
    #[prost(uint64, tag = "1")]
    pub count: u64,
    #[prost(message, repeated, tag = "2")]
    pub previous: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Refusal {
    #[prost(enumeration = "RefusalKind", tag = "1")]
    pub kind: i32,
    /// The oldest or the newest.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    #[prost(string, tag = "3")]
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Enumeration)]
#[repr(i32)]
pub enum RefusalKind {
    Missing = 0,
    LeaseNotFound = 1,
    LeaseExists = 2,
    KeyNotFound = 3,
    DuplicateKey = 4,
    Compacted = 5,
    FutureRevision = 6,
    TooLarge = 7,
    Full = 8,
}

#[derive(Clone, PartialEq, Message)]
pub struct Change {
    #[prost(message, optional, tag = "1")]
    pub now: Option<KeyValue>,
    #[prost(enumeration = "ChangeKind", tag = "2")]
    pub kind: i32,
    #[prost(message, optional, tag = "3")]
    pub previous: Option<KeyValue>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Enumeration)]
#[repr(i32)]
pub enum ChangeKind {
    Put = 0,
    Delete = 1,
}

#[derive(Clone, PartialEq, Message)]
pub struct LeaseView {
    #[prost(int64, tag = "1")]
    pub id: i64,
    #[prost(message, optional, tag = "2")]
    pub ttl: Option<Time>,
    #[prost(message, optional, tag = "3")]
    pub left: Option<Time>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub keys: Vec<Bytes>,
}

/// All that a keyspace holds.
#[derive(Clone, PartialEq, Message)]
pub struct State {
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    #[prost(uint64, tag = "2")]
    pub oldest: u64,
    #[prost(fixed64, optional, tag = "3")]
    pub cluster: Option<u64>,
    #[prost(string, repeated, tag = "4")]
    pub invited: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub keys: Vec<KeyValue>,
    #[prost(message, repeated, tag = "6")]
    pub leases: Vec<StoredLease>,
    #[prost(message, repeated, tag = "7")]
    pub history: Vec<HistoryEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct StoredLease {
    #[prost(int64, tag = "1")]
    pub id: i64,
    #[prost(message, optional, tag = "2")]
    pub ttl: Option<Time>,
    #[prost(uint64, tag = "3")]
    pub renewed: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct HistoryEntry {
    #[prost(message, repeated, tag = "1")]
    pub changes: Vec<Change>,
}
