//! Voters in one process, over real disks and over wires that a test can cut.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{Fatal, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{AnyError, Snapshot, Vote};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::{
    Backing, Canvass, Machine, Means, OwnBacking, Place, Proposer, Pulse, Raft, TypeConfig, keep_small, message, open,
    raft_config,
};
use crate::disk::testing::{Faults, Scratch};
use crate::disk::{Disk, locked};
use crate::{Command, Keys, Op, Previous, Put, Range, Txn, What};

/// Nothing here takes so long, except on a machine that does something else.
pub const LONG: Duration = Duration::from_secs(60);

/// What connects the voters.
#[derive(Clone, Default)]
struct Wires(Arc<Mutex<Wiring>>);

#[derive(Default)]
struct Wiring {
    nodes: BTreeMap<u64, (Raft, Pulse)>,
    cut_off: BTreeSet<u64>,
    /// Between two, written down in both directions.
    cut: BTreeSet<(u64, u64)>,
}

impl Wires {
    fn between(&self, from: u64, to: u64) -> Option<(Raft, Pulse)> {
        let wiring = locked(&self.0);
        let is_cut = wiring.cut_off.contains(&from) != wiring.cut_off.contains(&to);
        if is_cut || wiring.cut.contains(&(from, to)) { None } else { wiring.nodes.get(&to).cloned() }
    }
}

#[derive(Clone)]
struct Net {
    wires: Wires,
    from: u64,
    backing: OwnBacking,
}

struct Wire {
    net: Net,
    to: u64,
}

impl RaftNetworkFactory<TypeConfig> for Net {
    type Network = Wire;

    async fn new_client(&mut self, to: u64, _: &Place) -> Wire {
        Wire { net: self.clone(), to }
    }
}

fn cut() -> Unreachable {
    Unreachable::new(&AnyError::error("the wire is cut"))
}

impl Wire {
    fn node(&self) -> Result<(Raft, Pulse), Unreachable> {
        self.net.wires.between(self.net.from, self.to).ok_or_else(cut)
    }

    fn remote(&self, error: RaftError<u64>) -> RPCError<u64, Place, RaftError<u64>> {
        RPCError::RemoteError(RemoteError::new(self.to, error))
    }
}

impl RaftNetwork<TypeConfig> for Wire {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, Place, RaftError<u64>>> {
        let (raft, pulse) = self.node()?;
        let bytes = message::append_to_bytes(self.to, self.net.backing.get(), &request);
        let (_, backing, request) = message::append_from_bytes(&bytes).unwrap();
        pulse.heard(&request.vote, backing);
        let answer = raft.append_entries(request).await.map_err(|error| self.remote(error))?;
        self.node()?;
        Ok(message::append_answer_from_bytes(&message::append_answer_to_bytes(&answer)).unwrap())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, Place, RaftError<u64>>> {
        let (raft, pulse) = self.node()?;
        let (_, request) = message::vote_from_bytes(&message::vote_to_bytes(self.to, &request)).unwrap();
        pulse.heard_candidate();
        let answer = raft.vote(request).await.map_err(|error| self.remote(error))?;
        self.node()?;
        Ok(message::vote_answer_from_bytes(&message::vote_answer_to_bytes(&answer)).unwrap())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<TypeConfig>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let (raft, pulse) = self.node()?;
        let bytes = message::snapshot_to_bytes(self.to, &vote, &snapshot);
        let (_, vote, snapshot) = message::snapshot_from_bytes(&bytes).unwrap();
        pulse.heard(&vote, Backing::Majority);
        let answer = raft.install_full_snapshot(vote, snapshot).await.map_err(|_| cut())?;
        Ok(message::snapshot_answer_from_bytes(&message::snapshot_answer_to_bytes(&answer)).unwrap())
    }
}

pub struct Node {
    pub id: u64,
    pub raft: Raft,
    pub disk: Disk,
    pub machine: Machine,
    pub faults: Arc<Faults>,
    proposer: Proposer,
    beat: JoinHandle<()>,
}

/// As many voters as were asked for. Those that were lost leave their folder behind.
pub struct Cluster {
    wires: Wires,
    folders: Vec<Scratch>,
    pub nodes: Vec<Option<Node>>,
}

/// The other nodes, for a pulse.
struct Neighbours {
    wires: Wires,
    own: u64,
}

impl Means for Neighbours {
    async fn ask(&self, to: u64, _: Place, canvass: Canvass) -> bool {
        self.wires.between(self.own, to).is_some_and(|(_, pulse)| pulse.would_elect(&canvass))
    }

    fn show(&self, to: u64, _: &Place, vote: Vote<u64>) {
        if let Some((_, pulse)) = self.wires.between(self.own, to) {
            pulse.heard(&vote, Backing::Majority);
        }
    }
}

impl Cluster {
    /// Founded, and with a leader.
    pub async fn of(count: usize) -> Self {
        let folders = (0..count).map(|_| Scratch::new()).collect();
        let mut cluster = Self { wires: Wires::default(), folders, nodes: Vec::new() };
        for which in 0..count {
            let node = cluster.begin(which).await;
            cluster.nodes.push(Some(node));
        }
        let place = |id| (id, Place { address: format!("{id}:1") });
        let members: BTreeMap<u64, Place> = cluster.ids().into_iter().map(place).collect();
        cluster.node(0).raft.initialize(members).await.unwrap();
        cluster.leader().await;
        cluster
    }

    async fn begin(&self, which: usize) -> Node {
        let faults = Arc::new(Faults::default());
        let disk = Disk::open_on(self.folders[which].path(), Some(faults.clone())).unwrap();
        let (log, machine) = open(&disk).unwrap();
        let id = disk.identity().node;
        let backing = OwnBacking::default();
        let net = Net { wires: self.wires.clone(), from: id, backing: backing.clone() };
        let raft = Raft::new(id, raft_config(), net, log.clone(), machine.clone()).await.unwrap();
        tokio::spawn(keep_small(raft.clone(), log, machine.clone()));
        let proposer = Proposer::start(raft.clone());
        let pulse = Pulse::new(raft.clone(), id, disk.clone(), backing);
        locked(&self.wires.0).nodes.insert(id, (raft.clone(), pulse.clone()));
        let beat = tokio::spawn(pulse.beat(Neighbours { wires: self.wires.clone(), own: id }));
        Node { id, raft, disk, machine, faults, proposer, beat }
    }

    pub async fn start(&mut self, which: usize) {
        self.nodes[which] = Some(self.begin(which).await);
    }

    pub async fn stop(&mut self, which: usize) {
        let node = self.nodes[which].take().unwrap();
        locked(&self.wires.0).nodes.remove(&node.id);
        node.faults.slow_down(Duration::ZERO);
        node.beat.abort();
        let (_, ()) = tokio::join!(node.raft.shutdown(), node.disk.close());
    }

    pub async fn stop_all(&mut self) {
        for which in 0..self.nodes.len() {
            if self.nodes[which].is_some() {
                self.stop(which).await;
            }
        }
    }

    pub fn node(&self, which: usize) -> &Node {
        self.nodes[which].as_ref().unwrap()
    }

    fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(which, node)| Some((which, node.as_ref()?)))
    }

    fn ids(&self) -> Vec<u64> {
        self.running().map(|(_, node)| node.id).collect()
    }

    pub fn cut_off(&self, which: usize) {
        locked(&self.wires.0).cut_off.insert(self.node(which).id);
    }

    pub fn cut_between(&self, a: usize, b: usize) {
        let (a, b) = (self.node(a).id, self.node(b).id);
        locked(&self.wires.0).cut.extend([(a, b), (b, a)]);
    }

    pub fn mend(&self) {
        let mut wiring = locked(&self.wires.0);
        wiring.cut_off.clear();
        wiring.cut.clear();
    }

    /// Who leads, once a node that runs and is not cut off says so, and the leader says the same.
    pub async fn leader(&self) -> usize {
        let cut_off = locked(&self.wires.0).cut_off.clone();
        self.leader_among(|node| !cut_off.contains(&node.id)).await
    }

    /// Who leads the others.
    pub async fn leader_but(&self, not: usize) -> usize {
        let not = self.node(not).id;
        self.leader_among(|node| node.id != not).await
    }

    async fn leader_among(&self, counts: impl Fn(&Node) -> bool) -> usize {
        let connected: Vec<(usize, &Node)> = self.running().filter(|(_, node)| counts(node)).collect();
        let (_, any) = connected[0];
        let mut metrics = any.raft.server_metrics();
        let agreed = async {
            loop {
                let leader = metrics.borrow_and_update().current_leader;
                if let Some((which, node)) = connected.iter().find(|(_, node)| Some(node.id) == leader)
                    && node.raft.server_metrics().borrow().current_leader == leader
                {
                    return *which;
                }
                let _ = timeout(Duration::from_millis(50), metrics.changed()).await;
            }
        };
        timeout(LONG, agreed).await.expect("a leader")
    }

    /// As a client does it: whoever leads is asked, until one confirms. On a busy machine, the first leader after a start
    /// may have a successor at once.
    pub async fn put(&self, key: &str, value: &str) {
        let confirmed = async {
            while !self.node(self.leader().await).try_to_put(key, value).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, confirmed).await.expect("a leader that confirms");
    }

    /// As [`Self::put`] finds its leader.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        let led = async {
            loop {
                let leader = self.node(self.leader().await);
                if leader.raft.ensure_linearizable().await.is_ok() {
                    return leader.has(key);
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, led).await.expect("a leader that is still the leader")
    }

    pub fn term(&self, which: usize) -> u64 {
        self.node(which).raft.metrics().borrow().current_term
    }
}

impl Node {
    /// For a test that says who leads for as long as it runs.
    pub async fn put(&self, key: &str, value: &str) {
        self.proposer.propose(put(key, value)).await.unwrap().result.unwrap();
    }

    /// False: this node does not lead, or not any more.
    pub async fn try_to_put(&self, key: &str, value: &str) -> bool {
        self.proposer.propose(put(key, value)).await.is_ok_and(|outcome| outcome.result.is_ok())
    }

    pub fn has(&self, key: &str) -> Option<Bytes> {
        let (_, replies) = self.machine.read(&[Range::of(Keys::One(Bytes::copy_from_slice(key.as_bytes())))]);
        replies.into_iter().next().unwrap().unwrap().kvs.pop().map(|kv| kv.value)
    }
}

pub fn put(key: &str, value: &str) -> Command {
    let put = Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: What::Set(Bytes::copy_from_slice(value.as_bytes())),
        lease: What::Set(0),
        previous: Previous::Unasked,
    };
    Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() })
}
