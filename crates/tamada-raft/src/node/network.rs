//! The consensus' own messages, on the way to another node.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{Snapshot, Vote};

use super::Node;
use super::standing::Heard;
use crate::codec::CodecError;
use crate::consensus::{Canvass, Means, OwnBacking, Place, TypeConfig, message};
use crate::link::CallError;
use crate::peers::{Kind, Peers};

/// After a node could not be reached. A node that is back must hear its leader before it thinks of an election.
const BACKOFF: Duration = Duration::from_millis(200);
/// Entries and signs of life are answered when the entries are on the disk. What takes longer is sent again.
const APPEND: Duration = Duration::from_millis(1000);
/// A vote is given when it is on the disk.
const VOTE: Duration = Duration::from_millis(1000);
/// A snapshot is a few hundred kilobytes, on a bad day some megabytes.
const SNAPSHOT: Duration = Duration::from_secs(30);

/// Whether somebody would elect us is answered at once, or by somebody who cannot be counted on.
const CANVASS: Duration = Duration::from_millis(300);

pub(super) struct Network {
    pub peers: Arc<Peers>,
    pub heard: Arc<Heard>,
    pub backing: OwnBacking,
}

/// The way to one node.
pub(super) struct Wire {
    peers: Arc<Peers>,
    heard: Arc<Heard>,
    backing: OwnBacking,
    to: u64,
    address: String,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Wire;

    async fn new_client(&mut self, to: u64, place: &Place) -> Wire {
        let (peers, heard, backing) = (self.peers.clone(), self.heard.clone(), self.backing.clone());
        Wire { peers, heard, backing, to, address: place.address.clone() }
    }
}

impl Wire {
    async fn call(&self, kind: Kind, body: Vec<u8>, within: Duration) -> Result<bytes::Bytes, CallError> {
        let answer = self.peers.at(&self.address).call(kind, body, within).await?;
        self.heard.from(self.to);
        Ok(answer)
    }
}

type Failed<E> = RPCError<u64, Place, E>;

fn failed<E: std::error::Error>(error: CallError) -> Failed<E> {
    match error {
        CallError::NotSent(_) | CallError::Refused(_) => RPCError::Unreachable(Unreachable::new(&error)),
        CallError::Lost(_) => RPCError::Network(NetworkError::new(&error)),
    }
}

fn garbled<E: std::error::Error>(error: CodecError) -> Failed<E> {
    RPCError::Unreachable(Unreachable::new(&error))
}

impl RaftNetwork<TypeConfig> for Wire {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failed<RaftError<u64>>> {
        let body = message::append_to_bytes(self.to, self.backing.get(), &request);
        let answer = self.call(Kind::Append, body, APPEND).await.map_err(failed)?;
        message::append_answer_from_bytes(&answer).map_err(garbled)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, Failed<RaftError<u64>>> {
        let body = message::vote_to_bytes(self.to, &request);
        let answer = self.call(Kind::Vote, body, VOTE).await.map_err(failed)?;
        message::vote_answer_from_bytes(&answer).map_err(garbled)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let body = message::snapshot_to_bytes(self.to, &vote, &snapshot);
        let answer = tokio::select! {
            answer = self.call(Kind::Snapshot, body, SNAPSHOT) => answer,
            closed = cancel => return Err(closed.into()),
        };
        let answer = answer.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))?;
        message::snapshot_answer_from_bytes(&answer)
            .map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}

/// Shows that we lead, or looks for a leader; for as long as the consensus runs.
pub(super) async fn beat(node: Arc<Node>) {
    node.pulse.clone().beat(Voters(node)).await;
}

/// The other voters, for the pulse.
struct Voters(Arc<Node>);

impl Means for Voters {
    async fn ask(&self, voter: u64, place: Place, canvass: Canvass) -> bool {
        let question = message::canvass_to_bytes(voter, &canvass);
        let answer = self.0.peers.at(&place.address).call(Kind::Canvass, question, CANVASS).await;
        let Ok(answer) = answer else { return false };
        self.0.heard.from(voter);
        message::canvass_answer_from_bytes(&answer).unwrap_or(false)
    }

    fn show(&self, voter: u64, place: &Place, vote: Vote<u64>) {
        let peer = self.0.peers.at(&place.address);
        let sign = message::sign_of_life_to_bytes(voter, &vote);
        // Whoever does not hear it hears the next.
        tokio::spawn(async move { drop(peer.call(Kind::SignOfLife, sign, CANVASS).await) });
    }
}
