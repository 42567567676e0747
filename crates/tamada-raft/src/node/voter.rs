//! A node's life: opened, bound, started, and stopped; on a thread and a runtime of its own, so that nothing which keeps
//! the agent busy keeps its voter from answering.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::answer::Door;
use super::network::{self, Network};
use super::standing::Heard;
use super::{Near, Node, join, judge, news};
use crate::client::Client;
use crate::consensus::{self, OwnBacking, Proposer, Pulse, Raft};
use crate::disk::{Disk, Health, Identity as Kept};
use crate::far::Far;
use crate::link::{Identity, Listener, Role, Security};
use crate::peers::Peers;

/// How a node of the store is set up (the `raft` section, checked). Addresses are `host:port`.
#[derive(Clone, Debug)]
pub struct VoterConfig {
    pub data_dir: PathBuf,
    /// How the others reach this node, and its name among them.
    pub self_addr: String,
    /// Where it listens, if not there.
    pub bind_addr: Option<String>,
    pub partner_addrs: Vec<String>,
    pub security: Security,
}

/// A running node. Stops when dropped.
pub struct Voter {
    client: Client,
    ended: watch::Receiver<Option<String>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Voter {
    /// Returns when the node can be reached. The error is the sentence for the operator.
    pub fn start(config: VoterConfig) -> Result<Self, String> {
        let (ready, started) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (tell, ended) = watch::channel(None);
        let thread = std::thread::Builder::new().name("store".to_owned());
        let live = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(live(config, ready, stopped, tell));
                // What hangs on a dead disk is not waited for.
                runtime.shutdown_background();
            }
            Err(error) => drop(ready.send(Err(format!("no runtime for the store can be started: {error}")))),
        };
        let thread = thread.spawn(live).map_err(|error| format!("no thread for the store can be started: {error}"))?;
        let client = started.recv().unwrap_or_else(|_| Err("the store's thread ended at once".to_owned()))?;
        Ok(Self { client, ended, stop: Some(stop), thread: Some(thread) })
    }

    /// The way to the store through this node, without a network hop to it. When the node has ended, it leads through the
    /// others.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Why the node had to end by itself, once it has.
    pub fn ended(&self) -> watch::Receiver<Option<String>> {
        self.ended.clone()
    }

    /// Returns when the node has stopped and its file is closed.
    pub async fn stop(self) {
        let mut ended = self.ended.clone();
        drop(tokio::task::spawn_blocking(move || drop(self)).await);
        while ended.changed().await.is_ok() {}
    }
}

impl Drop for Voter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was told where it happened.
            let _ = thread.join();
        }
    }
}

type Ready = std::sync::mpsc::Sender<Result<Client, String>>;

async fn live(config: VoterConfig, ready: Ready, stop: oneshot::Receiver<()>, tell: watch::Sender<Option<String>>) {
    let (node, listening) = match begin(config).await {
        Ok(begun) => begun,
        Err(why) => return drop(ready.send(Err(why))),
    };
    let near = Near { node: node.clone(), runtime: Handle::current(), ended: tell.subscribe() };
    let others = Far::new(node.config.partner_addrs.clone(), node.config.security.clone());
    let tasks = [
        tokio::spawn(listening),
        tokio::spawn(network::beat(node.clone())),
        tokio::spawn(join::belong(node.clone())),
        tokio::spawn(join::keep(node.clone())),
        tokio::spawn(judge::judge(node.clone())),
        tokio::spawn(news::tell(node.clone())),
    ];
    if ready.send(Ok(Client::near(near, others))).is_ok() {
        tokio::select! {
            _ = stop => {}
            why = failed(&node) => {
                tracing::error!("{why}");
                tell.send_replace(Some(why));
            }
        }
    }
    for task in tasks {
        task.abort();
    }
    // The consensus waits for the disk, and a full disk must not hold us up. An error says that it has stopped already.
    let (_, ()) = tokio::join!(node.raft.shutdown(), node.disk.close());
}

async fn begin(config: VoterConfig) -> Result<(Arc<Node>, impl Future<Output = ()>), String> {
    let disk = Disk::open(&config.data_dir)?;
    let kept = identify(&disk, &config).await?;
    let address = config.bind_addr.as_deref().unwrap_or(&config.self_addr);
    let listener = Listener::bind(address, &config.security).await?;
    let introduce = introduction(&disk, &config);
    let peers = Arc::new(Peers::new(config.security.clone(), introduce.clone()));
    let heard = Arc::new(Heard::default());
    let backing = OwnBacking::default();
    let network = Network { peers: peers.clone(), heard: heard.clone(), backing: backing.clone() };
    let (log, machine) = consensus::open(&disk)?;
    let raft = Raft::new(kept.node, consensus::raft_config(), network, log.clone(), machine.clone());
    let raft = raft.await.map_err(|error| format!("the store could not be started: {error}"))?;
    let proposer = Proposer::start(raft.clone());
    let pulse = Pulse::new(raft.clone(), kept.node, disk.clone(), backing);
    tokio::spawn(consensus::keep_small(raft.clone(), log, machine.clone()));
    let door = Arc::new(OnceLock::new());
    let listening = listener.serve(Arc::new(Door(door.clone(), introduce)));
    let node = Arc::new(Node {
        me: kept.node,
        config,
        raft,
        proposer,
        pulse,
        machine,
        disk,
        peers,
        heard,
        changing: tokio::sync::Mutex::default(),
        obstacle: Mutex::default(),
    });
    // It was created here, and nobody else has filled it.
    let _ = door.set(node.clone());
    Ok((node, listening))
}

/// Who we are. The number is the disk's; the address may be a new one.
async fn identify(disk: &Disk, config: &VoterConfig) -> Result<Kept, String> {
    let kept = disk.identity();
    if kept.address == config.self_addr {
        return Ok(kept);
    }
    let kept = Kept { address: config.self_addr.clone(), ..kept };
    let failed = |error| format!("{}: {error}", config.data_dir.display());
    disk.set_identity(kept.clone()).await.map_err(failed)?;
    Ok(kept)
}

fn introduction(disk: &Disk, config: &VoterConfig) -> Arc<dyn Fn() -> Identity + Send + Sync> {
    let (disk, address) = (disk.clone(), config.self_addr.clone());
    Arc::new(move || {
        let kept = disk.identity();
        Identity {
            role: Role::Voter,
            cluster: kept.cluster,
            node: kept.node,
            address: address.clone(),
            software: concat!("tamada ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    })
}

/// Resolves when the node cannot go on.
async fn failed(node: &Node) -> String {
    let mut health = node.disk.health();
    let mut metrics = node.raft.metrics();
    loop {
        if let Health::Failing(why) = &*health.borrow_and_update() {
            return why.clone();
        }
        if let Err(fatal) = &metrics.borrow_and_update().running_state {
            return format!("the store's voter stopped: {fatal}");
        }
        tokio::select! {
            _ = health.changed() => {}
            changed = metrics.changed() => if changed.is_err() { return "the store's voter stopped".to_owned() },
        }
    }
}
