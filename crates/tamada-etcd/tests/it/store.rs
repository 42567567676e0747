//! Stores of our own, each voter with an endpoint; gone with their files when dropped.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tamada_etcd::{EtcdEndpoint, EtcdEndpointConfig};
use tamada_raft::link::{Security, TlsFiles};
use tamada_raft::{Client, Reading, Voter, VoterConfig};
use tamada_testing::free_port;

use crate::caller::Caller;

/// Guards against hanging, and says nothing about how long anything should take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How clients come in.
#[derive(Clone, Default)]
pub struct Entrance {
    pub password: Option<String>,
    pub tls: Option<TlsFiles>,
}

pub struct Store {
    /// The endpoint goes before the voter.
    nodes: Vec<Option<Node>>,
    ports: Vec<u16>,
    addresses: Vec<String>,
    _folder: Folder,
}

struct Node {
    _endpoint: EtcdEndpoint,
    voter: Voter,
}

impl Store {
    pub async fn alone() -> Self {
        Self::new(1, Entrance::default()).await
    }

    /// So many voters, with a leader, answering.
    pub async fn new(voters: usize, entrance: Entrance) -> Self {
        let folder = Folder::new();
        let addresses: Vec<String> = (0..voters).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let ports: Vec<u16> = (0..voters).map(|_| free_port()).collect();
        let mut nodes = Vec::new();
        for (place, port) in ports.iter().enumerate() {
            let voter = Voter::start(config(&folder.0, place, &addresses)).expect("a voter starts");
            let endpoint = EtcdEndpoint::start(voter.client(), of_endpoint(*port, &entrance)).await;
            nodes.push(Some(Node { _endpoint: endpoint.expect("an endpoint starts"), voter }));
        }
        let store = Self { nodes, ports, addresses, _folder: folder };
        for node in store.nodes.iter().flatten() {
            answers(&node.voter.client()).await;
        }
        store
    }

    pub fn port(&self, place: usize) -> u16 {
        self.ports[place]
    }

    pub async fn caller(&self, place: usize) -> Caller {
        Caller::to(self.port(place)).await
    }

    /// One more endpoint, of a process without a voter; and its port.
    pub async fn endpoint_elsewhere(&self) -> (EtcdEndpoint, u16) {
        let port = free_port();
        let client = Client::remote(self.addresses.clone(), Security::default());
        let endpoint = EtcdEndpoint::start(client, of_endpoint(port, &Entrance::default())).await;
        (endpoint.expect("an endpoint starts"), port)
    }

    pub fn stop(&mut self, place: usize) {
        drop(self.nodes[place].take());
    }
}

/// Waits until the store is founded and led.
async fn answers(client: &Client) {
    let answered = async {
        while client.read(Vec::new(), Reading::Linearizable, LIMIT).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, answered).await.expect("a new store answers");
}

fn of_endpoint(port: u16, entrance: &Entrance) -> EtcdEndpointConfig {
    let address = format!("127.0.0.1:{port}");
    let Entrance { password, tls } = entrance.clone();
    EtcdEndpointConfig { listen: address.clone(), password, tls, advertise: Some(address) }
}

fn config(folder: &std::path::Path, place: usize, addresses: &[String]) -> VoterConfig {
    let own = addresses[place].clone();
    VoterConfig {
        data_dir: folder.join(place.to_string()),
        partner_addrs: addresses.iter().filter(|address| **address != own).cloned().collect(),
        self_addr: own,
        bind_addr: None,
        security: Security::default(),
    }
}

/// In memory if possible, since fsync on a busy disk is not what we test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("tamada-etcd-{}-store-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
