//! A voter that is its own majority, over a real disk.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{AnyError, Snapshot, Vote};

use super::super::{Machine, Place, Proposer, Raft, TypeConfig, open, raft_config};
use crate::disk::Disk;
use crate::disk::testing::Scratch;
use crate::{Command, Keys, Op, Previous, Put, Range, Txn, What};

/// Leads nowhere.
#[derive(Clone)]
struct Nowhere;

impl RaftNetworkFactory<TypeConfig> for Nowhere {
    type Network = Self;

    async fn new_client(&mut self, _: u64, _: &Place) -> Self {
        Self
    }
}

fn nowhere() -> Unreachable {
    Unreachable::new(&AnyError::error("nowhere"))
}

impl RaftNetwork<TypeConfig> for Nowhere {
    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, Place, RaftError<u64>>> {
        Err(RPCError::Unreachable(nowhere()))
    }

    async fn vote(
        &mut self,
        _: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, Place, RaftError<u64>>> {
        Err(RPCError::Unreachable(nowhere()))
    }

    async fn full_snapshot(
        &mut self,
        _: Vote<u64>,
        _: Snapshot<TypeConfig>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        Err(StreamingError::Unreachable(nowhere()))
    }
}

struct Node {
    raft: Raft,
    disk: Disk,
    machine: Machine,
    proposer: Proposer,
}

impl Node {
    async fn start(folder: &Path) -> Self {
        let disk = Disk::open(folder).unwrap();
        let (log, machine) = open(&disk).unwrap();
        let me = disk.identity().node;
        let raft = Raft::new(me, raft_config(), Nowhere, log, machine.clone()).await.unwrap();
        if !raft.is_initialized().await.unwrap() {
            let place = Place { address: "127.0.0.1:1".to_owned() };
            raft.initialize(BTreeMap::from([(me, place)])).await.unwrap();
        }
        raft.wait(Some(Duration::from_secs(60))).current_leader(me, "leads").await.unwrap();
        let proposer = Proposer::start(raft.clone());
        Self { raft, disk, machine, proposer }
    }

    async fn stop(self) {
        self.raft.shutdown().await.unwrap();
        self.disk.close().await;
    }

    async fn put(&self, key: &'static str, value: &'static str) {
        let put = Put {
            key: Bytes::from_static(key.as_bytes()),
            value: What::Set(Bytes::from_static(value.as_bytes())),
            lease: What::Set(0),
            previous: Previous::Unasked,
        };
        let txn = Txn { then: vec![Op::Put(put)], ..Txn::default() };
        self.proposer.propose(Command::Txn(txn)).await.unwrap().result.unwrap();
    }

    async fn get(&self, key: &'static str) -> Option<Bytes> {
        self.raft.ensure_linearizable().await.unwrap();
        let (_, replies) = self.machine.read(&[Range::of(Keys::One(Bytes::from_static(key.as_bytes())))]);
        replies.into_iter().next().unwrap().unwrap().kvs.pop().map(|kv| kv.value)
    }
}

#[tokio::test]
async fn what_was_confirmed_is_there_after_a_restart() {
    let scratch = Scratch::new();
    let node = Node::start(scratch.path()).await;
    let me = node.disk.identity();
    node.put("a", "1").await;
    tokio::join!(node.put("a", "2"), node.put("b", "3"));
    node.stop().await;

    let node = Node::start(scratch.path()).await;
    assert_eq!(node.disk.identity(), me);
    assert_eq!(node.get("a").await.unwrap(), "2");
    assert_eq!(node.get("b").await.unwrap(), "3");
    node.stop().await;
}
