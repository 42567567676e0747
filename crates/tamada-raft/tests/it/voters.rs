//! Voters for tests: started together, stopped and started one by one, gone when dropped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tamada_raft::link::Security;
use tamada_raft::{
    Client, Compare, Is, Keys, Op, Operand, Outcome, Previous, Put, Range, Reading, StoreStatus, Submitted, Txn, Voter,
    VoterConfig, What,
};
use tamada_testing::free_port;

/// Guards against hanging, and says nothing about how long anything should take.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Voters {
    /// Stopped before their folder is removed.
    pub each: Vec<One>,
    folder: Folder,
}

pub struct One {
    pub config: VoterConfig,
    voter: Option<Voter>,
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tamada-raft-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Voters {
    /// So many, founded and with a leader.
    pub async fn new(count: usize) -> Self {
        let mut voters = Self::prepared(count);
        (0..count).for_each(|place| voters.start(place));
        for place in 0..count {
            voters.until(place, "it has a leader", |status| status.leader.is_some() && status.cluster != 0).await;
        }
        voters
    }

    /// So many, none started.
    pub fn prepared(count: usize) -> Self {
        let addresses: Vec<String> = (0..count).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let folder = Folder::new();
        let one = |place: usize| One { config: config(&folder.0, place, &addresses), voter: None };
        Self { each: (0..count).map(one).collect(), folder }
    }

    /// One more, which knows all that are here.
    pub fn newcomer(&mut self) -> usize {
        let place = self.each.len();
        let mut addresses: Vec<String> = self.each.iter().map(|one| one.config.self_addr.clone()).collect();
        addresses.push(format!("127.0.0.1:{}", free_port()));
        self.each.push(One { config: config(&self.folder.0, place, &addresses), voter: None });
        place
    }

    pub fn start(&mut self, place: usize) {
        let one = &mut self.each[place];
        one.voter = Some(Voter::start(one.config.clone()).expect("a voter that starts"));
    }

    pub fn stop(&mut self, place: usize) {
        drop(self.each[place].voter.take());
    }

    pub fn lose_disk(&self, place: usize) {
        std::fs::remove_dir_all(&self.each[place].config.data_dir).expect("its folder");
    }

    pub fn address(&self, place: usize) -> String {
        self.each[place].config.self_addr.clone()
    }

    pub fn client(&self, place: usize) -> Client {
        self.each[place].voter.as_ref().expect("it runs").client()
    }

    pub async fn leader(&self, of: usize) -> usize {
        let status = self.until(of, "it has a leader", |status| status.leader.is_some()).await;
        let leader = status.leader.expect("it was asked for");
        self.each.iter().position(|one| one.config.self_addr == leader).expect("one of us")
    }

    pub async fn until(&self, place: usize, what: &str, is_so: impl Fn(&StoreStatus) -> bool) -> StoreStatus {
        let client = self.client(place);
        let mut last = None;
        let waiting = async {
            loop {
                if let Ok(status) = client.status(LIMIT).await {
                    if is_so(&status) {
                        return status;
                    }
                    last = Some(status);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(LIMIT, waiting).await {
            Ok(status) => status,
            Err(_) => panic!("{} waits in vain until {what}: {last:#?}", self.address(place)),
        }
    }

    /// The first warning of a node that says one with these words.
    pub async fn warning(&self, place: usize, words: &str) -> String {
        let said = |status: &StoreStatus| status.warnings.iter().find(|warning| warning.contains(words)).cloned();
        let status = self.until(place, words, |status| said(status).is_some()).await;
        said(&status).expect("it was waited for")
    }
}

fn config(folder: &Path, place: usize, addresses: &[String]) -> VoterConfig {
    let own = addresses[place].clone();
    VoterConfig {
        data_dir: folder.join(place.to_string()),
        partner_addrs: addresses.iter().filter(|address| **address != own).cloned().collect(),
        self_addr: own,
        bind_addr: None,
        security: Security::default(),
    }
}

pub fn put(key: &str, value: &str) -> Txn {
    Txn { then: vec![Op::Put(simple(key, value, 0))], ..Txn::default() }
}

pub fn simple(key: &str, value: &str, lease: i64) -> Put {
    Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: What::Set(Bytes::copy_from_slice(value.as_bytes())),
        lease: What::Set(lease),
        previous: Previous::Unasked,
    }
}

pub fn absent(key: &str) -> Compare {
    let keys = Keys::One(Bytes::copy_from_slice(key.as_bytes()));
    Compare { keys, is: Is::Equal, to: Operand::Version(0) }
}

pub async fn done(client: &Client, txn: Txn) -> Outcome {
    match client.submit(txn, LIMIT).await {
        Submitted::Done(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// The value of a key, read as the store's truth.
pub async fn value(client: &Client, key: &str) -> Option<String> {
    read(client, key, Reading::Linearizable).await
}

pub async fn read(client: &Client, key: &str, how: Reading) -> Option<String> {
    let range = Range::of(Keys::One(Bytes::copy_from_slice(key.as_bytes())));
    let read = client.read(vec![range], how, LIMIT).await.expect("an answer");
    let found = read.ranges.into_iter().next().expect("one range was asked for").expect("the present is not compacted");
    found.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
}
