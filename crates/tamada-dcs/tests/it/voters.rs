//! Voters of the embedded store, in this process: each with a thread, a port and a folder of its own, gone when dropped.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tamada_raft::link::{Password, Security};
use tamada_raft::{Client, Outcome, StoreStatus, Submitted, Txn, Voter, VoterConfig};
use tamada_testing::free_port;

/// Guards against hanging, and says nothing about how long anything should take.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Voters {
    /// Stopped before their folder is removed.
    each: Vec<Option<Voter>>,
    addresses: Vec<String>,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tamada-dcs-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn security() -> Security {
    Security { password: Some(Password::new("between us")), tls: None }
}

impl Voters {
    /// Three, founded and with a leader.
    pub async fn three() -> Self {
        let folder = Folder::new();
        let addresses: Vec<String> = (0..3).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let start = |own: &String| {
            let config = VoterConfig {
                data_dir: folder.0.join(own),
                self_addr: own.clone(),
                bind_addr: None,
                partner_addrs: addresses.iter().filter(|address| *address != own).cloned().collect(),
                security: security(),
            };
            Some(Voter::start(config).expect("a voter that starts"))
        };
        let voters = Self { each: addresses.iter().map(start).collect(), addresses, _folder: folder };
        for voter in voters.each.iter().flatten() {
            until(&voter.client(), |status| status.leader.is_some() && status.cluster != 0).await;
        }
        voters
    }

    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub fn client(&self, place: usize) -> Client {
        self.each[place].as_ref().expect("it runs").client()
    }

    /// The one that leads the consensus.
    pub async fn leader(&self) -> usize {
        let status = until(&self.client(0), |status| status.leader.is_some()).await;
        let leader = self.addresses.iter().position(|address| Some(address) == status.leader.as_ref());
        leader.expect("one of us")
    }

    pub async fn stop(&mut self, place: usize) {
        self.each[place].take().expect("it runs").stop().await;
    }
}

async fn until(client: &Client, is_so: impl Fn(&StoreStatus) -> bool) -> StoreStatus {
    let waiting = async {
        loop {
            match client.status(LIMIT).await {
                Ok(status) if is_so(&status) => return status,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("three voters find together")
}

pub async fn done(client: &Client, txn: Txn) -> Outcome {
    match client.submit(txn, LIMIT).await {
        Submitted::Done(outcome) => outcome,
        other @ (Submitted::Unclear(_) | Submitted::Failed(_)) => panic!("not done: {other:?}"),
    }
}
