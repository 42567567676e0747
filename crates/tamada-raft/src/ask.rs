//! What one node, or a client, asks of another on behalf of whoever uses the store; and the answers.
//!
//! The messages of the consensus itself are in `consensus`.

mod message;

use std::time::Duration;

use prost::Message;

use crate::client::{Changes, MemberChange, ReadReply, Reading, StoreStatus, Trouble, WatchEnd};
use crate::codec::CodecError;
use crate::{Command, LeaseId, LeaseView, Outcome, Range, Revision};

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Ask {
    Submit(Command),
    Read {
        ranges: Vec<Range>,
        how: Reading,
    },
    Lease(LeaseId),
    Leases,
    Status,
    Change(MemberChange),
    /// A node that is not, or no longer, a member at this address wants to be.
    Join {
        node: u64,
        address: String,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Reply {
    Outcome(Outcome),
    Read(ReadReply),
    Lease(Option<LeaseView>),
    Leases(Vec<LeaseId>),
    Status(StoreStatus),
    /// What was done, in a sentence.
    Told(String),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Failure {
    Unclear(String),
    Trouble(Trouble),
    /// Certainly not done: whoever was asked does not lead.
    NotLeader,
}

/// How far an errand may still be passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hop {
    /// Whoever is asked finds the leader, with the help of another node if it must.
    First,
    /// Whoever is asked finds the leader, but asks nobody else for help.
    Helped,
    /// Whoever is asked answers itself or says that it does not lead.
    Last,
}

/// An [`Ask`] on its way.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Errand {
    pub ask: Ask,
    pub within: Duration,
    pub hop: Hop,
}

impl Ask {
    /// Whether it may still be done after we have given up waiting.
    pub fn may_happen_late(&self) -> bool {
        match self {
            Self::Submit(_) | Self::Change(_) | Self::Join { .. } => true,
            Self::Read { .. } | Self::Lease(_) | Self::Leases | Self::Status => false,
        }
    }
}

impl Errand {
    pub fn to_bytes(&self) -> Vec<u8> {
        message::Errand::from(self).encode_to_vec()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        message::Errand::decode(bytes).map_err(CodecError::from)?.try_into()
    }
}

/// An answer on its way.
pub(crate) fn answer_to_bytes(answer: &Result<Reply, Failure>) -> Vec<u8> {
    message::Answer::from(answer).encode_to_vec()
}

/// The outer error: it cannot be read.
pub(crate) fn answer_from_bytes(bytes: &[u8]) -> Result<Result<Reply, Failure>, CodecError> {
    message::Answer::decode(bytes).map_err(CodecError::from)?.try_into()
}

/// One thing that a watch on its way tells. What is watched travels as a [`Range`]: its keys, and `at` as the revision
/// to begin with.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum WatchNews {
    Began(Revision),
    Changes(Changes),
    End(WatchEnd),
}

impl WatchNews {
    pub fn to_bytes(&self) -> Vec<u8> {
        message::WatchNews::from(self).encode_to_vec()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        message::WatchNews::decode(bytes).map_err(CodecError::from)?.try_into()
    }
}
