//! The consensus' own messages between nodes, in bytes.
//!
//! Requests carry the number of the node they are meant for: at an address, another node may have come. What comes from
//! the network is decoded without trust; whatever cannot be read is an error, never a panic.

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{Snapshot, Vote};
use prost::{Message, Oneof};

use super::entry::{self, PositionRecord, SnapshotRecord, VoteRecord};
use super::{Backing, Canvass, TypeConfig, next_index};
use crate::codec::{CodecError, needed};

#[derive(Clone, PartialEq, Message)]
struct Append {
    #[prost(fixed64, tag = "1")]
    to: u64,
    #[prost(message, optional, tag = "2")]
    vote: Option<VoteRecord>,
    /// The entry before these.
    #[prost(message, optional, tag = "3")]
    before: Option<PositionRecord>,
    #[prost(message, optional, tag = "4")]
    committed: Option<PositionRecord>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    entries: Vec<Bytes>,
    /// The leader is not answered by a majority.
    #[prost(bool, tag = "6")]
    backing_lost: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct AppendAnswer {
    #[prost(oneof = "Appended", tags = "1, 2, 3, 4")]
    appended: Option<Appended>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
enum Appended {
    #[prost(message, tag = "1")]
    All(Nothing),
    #[prost(message, tag = "2")]
    UpTo(Reached),
    #[prost(message, tag = "3")]
    Conflict(Nothing),
    #[prost(message, tag = "4")]
    Outvoted(VoteRecord),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, Copy, PartialEq, Message)]
struct Reached {
    #[prost(message, optional, tag = "1")]
    position: Option<PositionRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Candidacy {
    #[prost(fixed64, tag = "1")]
    to: u64,
    #[prost(message, optional, tag = "2")]
    vote: Option<VoteRecord>,
    #[prost(message, optional, tag = "3")]
    last: Option<PositionRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct CandidacyAnswer {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteRecord>,
    #[prost(bool, tag = "2")]
    granted: bool,
    #[prost(message, optional, tag = "3")]
    last: Option<PositionRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct SignOfLife {
    #[prost(fixed64, tag = "1")]
    to: u64,
    #[prost(message, optional, tag = "2")]
    vote: Option<VoteRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct CanvassQuestion {
    #[prost(fixed64, tag = "1")]
    to: u64,
    #[prost(message, optional, tag = "2")]
    last: Option<PositionRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct CanvassAnswer {
    #[prost(bool, tag = "1")]
    would: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Transfer {
    #[prost(fixed64, tag = "1")]
    to: u64,
    #[prost(message, optional, tag = "2")]
    vote: Option<VoteRecord>,
    #[prost(message, optional, tag = "3")]
    about: Option<SnapshotRecord>,
    #[prost(bytes = "bytes", tag = "4")]
    content: Bytes,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct TransferAnswer {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteRecord>,
}

pub(crate) fn append_to_bytes(to: u64, backing: Backing, request: &AppendEntriesRequest<TypeConfig>) -> Vec<u8> {
    Append {
        to,
        vote: Some((&request.vote).into()),
        before: request.prev_log_id.as_ref().map(Into::into),
        committed: request.leader_commit.as_ref().map(Into::into),
        entries: request.entries.iter().map(entry::to_bytes).collect(),
        backing_lost: backing == Backing::Lost,
    }
    .encode_to_vec()
}

pub(crate) fn append_from_bytes(bytes: &[u8]) -> Result<(u64, Backing, AppendEntriesRequest<TypeConfig>), CodecError> {
    let append = Append::decode(bytes)?;
    let backing = if append.backing_lost { Backing::Lost } else { Backing::Majority };
    let entries: Result<Vec<_>, _> = append.entries.iter().map(|entry| entry::from_bytes(entry)).collect();
    let request = AppendEntriesRequest {
        vote: needed(append.vote, "who leads")?.into(),
        prev_log_id: append.before.map(Into::into),
        entries: entries?,
        leader_commit: append.committed.map(Into::into),
    };
    consecutive(&request)?;
    Ok((append.to, backing, request))
}

/// The library relies on it.
fn consecutive(request: &AppendEntriesRequest<TypeConfig>) -> Result<(), CodecError> {
    let first = next_index(request.prev_log_id);
    let fits = (first..).zip(&request.entries).all(|(index, entry)| entry.log_id.index == index);
    if fits { Ok(()) } else { Err(CodecError::Garbled("entries with gaps between them".to_owned())) }
}

pub(crate) fn append_answer_to_bytes(answer: &AppendEntriesResponse<u64>) -> Vec<u8> {
    let appended = match answer {
        AppendEntriesResponse::Success => Appended::All(Nothing {}),
        AppendEntriesResponse::PartialSuccess(last) => {
            Appended::UpTo(Reached { position: last.as_ref().map(Into::into) })
        }
        AppendEntriesResponse::Conflict => Appended::Conflict(Nothing {}),
        AppendEntriesResponse::HigherVote(vote) => Appended::Outvoted(vote.into()),
    };
    AppendAnswer { appended: Some(appended) }.encode_to_vec()
}

pub(crate) fn append_answer_from_bytes(bytes: &[u8]) -> Result<AppendEntriesResponse<u64>, CodecError> {
    Ok(match needed(AppendAnswer::decode(bytes)?.appended, "this answer to entries")? {
        Appended::All(Nothing {}) => AppendEntriesResponse::Success,
        Appended::UpTo(Reached { position }) => AppendEntriesResponse::PartialSuccess(position.map(Into::into)),
        Appended::Conflict(Nothing {}) => AppendEntriesResponse::Conflict,
        Appended::Outvoted(vote) => AppendEntriesResponse::HigherVote(vote.into()),
    })
}

pub(crate) fn vote_to_bytes(to: u64, request: &VoteRequest<u64>) -> Vec<u8> {
    let last = request.last_log_id.as_ref().map(Into::into);
    Candidacy { to, vote: Some((&request.vote).into()), last }.encode_to_vec()
}

pub(crate) fn vote_from_bytes(bytes: &[u8]) -> Result<(u64, VoteRequest<u64>), CodecError> {
    let Candidacy { to, vote, last } = Candidacy::decode(bytes)?;
    Ok((to, VoteRequest::new(needed(vote, "who wants to lead")?.into(), last.map(Into::into))))
}

pub(crate) fn vote_answer_to_bytes(answer: &VoteResponse<u64>) -> Vec<u8> {
    let last = answer.last_log_id.as_ref().map(Into::into);
    CandidacyAnswer { vote: Some((&answer.vote).into()), granted: answer.vote_granted, last }.encode_to_vec()
}

pub(crate) fn vote_answer_from_bytes(bytes: &[u8]) -> Result<VoteResponse<u64>, CodecError> {
    let CandidacyAnswer { vote, granted, last } = CandidacyAnswer::decode(bytes)?;
    let vote: Vote<u64> = needed(vote, "the vote of an answer")?.into();
    Ok(VoteResponse::new(vote, last.map(Into::into), granted))
}

pub(crate) fn sign_of_life_to_bytes(to: u64, vote: &Vote<u64>) -> Vec<u8> {
    SignOfLife { to, vote: Some(vote.into()) }.encode_to_vec()
}

pub(crate) fn sign_of_life_from_bytes(bytes: &[u8]) -> Result<(u64, Vote<u64>), CodecError> {
    let SignOfLife { to, vote } = SignOfLife::decode(bytes)?;
    Ok((to, needed(vote, "the vote of a leader")?.into()))
}

pub(crate) fn canvass_to_bytes(to: u64, canvass: &Canvass) -> Vec<u8> {
    CanvassQuestion { to, last: canvass.last.as_ref().map(Into::into) }.encode_to_vec()
}

pub(crate) fn canvass_from_bytes(bytes: &[u8]) -> Result<(u64, Canvass), CodecError> {
    let CanvassQuestion { to, last } = CanvassQuestion::decode(bytes)?;
    Ok((to, Canvass { last: last.map(Into::into) }))
}

pub(crate) fn canvass_answer_to_bytes(would: bool) -> Vec<u8> {
    CanvassAnswer { would }.encode_to_vec()
}

pub(crate) fn canvass_answer_from_bytes(bytes: &[u8]) -> Result<bool, CodecError> {
    Ok(CanvassAnswer::decode(bytes)?.would)
}

pub(crate) fn snapshot_to_bytes(to: u64, vote: &Vote<u64>, snapshot: &Snapshot<TypeConfig>) -> Vec<u8> {
    let about = Some((&snapshot.meta).into());
    Transfer { to, vote: Some(vote.into()), about, content: (*snapshot.snapshot).clone() }.encode_to_vec()
}

pub(crate) fn snapshot_from_bytes(bytes: &[u8]) -> Result<(u64, Vote<u64>, Snapshot<TypeConfig>), CodecError> {
    let Transfer { to, vote, about, content } = Transfer::decode(bytes)?;
    let vote = needed(vote, "who leads")?.into();
    let meta = needed(about, "what the snapshot is of")?.try_into()?;
    Ok((to, vote, Snapshot { meta, snapshot: Box::new(content) }))
}

pub(crate) fn snapshot_answer_to_bytes(answer: &SnapshotResponse<u64>) -> Vec<u8> {
    TransferAnswer { vote: Some((&answer.vote).into()) }.encode_to_vec()
}

pub(crate) fn snapshot_answer_from_bytes(bytes: &[u8]) -> Result<SnapshotResponse<u64>, CodecError> {
    Ok(SnapshotResponse::new(needed(TransferAnswer::decode(bytes)?.vote, "the vote of an answer")?.into()))
}
