//! No lease ends earlier than its holder believes: the story in `leases`, scene by scene.

use std::time::Duration;

use openraft::storage::{RaftLogStorageExt, RaftStateMachine};
use openraft::{CommittedLeaderId, EntryPayload, LogId, RaftSnapshotBuilder};

use super::super::{Batch, Entry, LogStore, Machine, open};
use crate::disk::Disk;
use crate::disk::testing::Scratch;
use crate::{Command, Expiry, Op, Txn, clock};

const TTL: Duration = Duration::from_secs(1000);
const LEASE: i64 = 7;

/// One voter, fed by hand.
struct Voter {
    _scratch: Scratch,
    disk: Disk,
    log: LogStore,
    machine: Machine,
}

impl Voter {
    fn new() -> Self {
        Self::on(Scratch::new())
    }

    fn on(scratch: Scratch) -> Self {
        let disk = Disk::open(scratch.path()).unwrap();
        let (log, machine) = open(&disk).unwrap();
        Self { _scratch: scratch, disk, log, machine }
    }

    async fn restarted(self) -> Self {
        self.disk.close().await;
        Self::on(self._scratch)
    }

    async fn receive(&mut self, entry: &Entry) {
        self.log.blocking_append([entry.clone()]).await.unwrap();
    }

    async fn apply(&mut self, entry: &Entry) {
        self.machine.apply([entry.clone()]).await.unwrap();
    }

    /// When the lease ends.
    fn end(&self) -> Duration {
        self.machine.next_end().expect("a lease")
    }
}

fn entry(index: u64, command: Command) -> Entry {
    let log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
    Entry { log_id, payload: EntryPayload::Normal(Batch(vec![command])) }
}

fn txn(op: Op) -> Command {
    Command::Txn(Txn { then: vec![op], ..Txn::default() })
}

fn grant(index: u64) -> Entry {
    entry(index, txn(Op::Grant { id: LEASE, ttl: TTL }))
}

fn renewal(index: u64) -> Entry {
    entry(index, txn(Op::KeepAlive(LEASE)))
}

/// Lets the clock move on.
fn later() -> Duration {
    let before = clock::now();
    while clock::now() == before {
        std::hint::spin_loop();
    }
    clock::now()
}

#[tokio::test]
async fn a_lease_counts_from_when_its_entry_was_received_not_from_when_it_was_applied() {
    let mut voter = Voter::new();
    let asked = clock::now();
    voter.receive(&grant(0)).await;
    let received = later();
    voter.apply(&grant(0)).await;
    assert!(voter.end() >= asked + TTL);
    assert!(voter.end() < received + TTL);
}

#[tokio::test]
async fn a_renewal_counts_from_when_it_was_received() {
    let mut voter = Voter::new();
    voter.receive(&grant(0)).await;
    voter.apply(&grant(0)).await;
    let first = voter.end();
    let asked = later();
    voter.receive(&renewal(1)).await;
    assert_eq!(voter.end(), first);
    voter.apply(&renewal(1)).await;
    assert!(voter.end() >= asked + TTL);
    let due = voter.machine.ran_out(voter.end());
    assert_eq!(due, [Expiry { lease: LEASE, renewed: 1 }]);
    assert_eq!(voter.machine.ran_out(voter.end() - Duration::from_nanos(1)), []);
}

#[tokio::test]
async fn who_starts_again_grants_the_whole_time_anew() {
    let mut voter = Voter::new();
    voter.receive(&grant(0)).await;
    let mut voter = voter.restarted().await;
    let restarted = later();
    voter.apply(&grant(0)).await;
    assert!(voter.end() >= restarted + TTL);
}

#[tokio::test]
async fn what_comes_with_a_snapshot_counts_from_then() {
    let mut leader = Voter::new();
    leader.receive(&grant(0)).await;
    leader.apply(&grant(0)).await;
    let snapshot = leader.machine.get_snapshot_builder().await.build_snapshot().await.unwrap();

    let mut newcomer = Voter::new();
    let asked = later();
    newcomer.machine.install_snapshot(&snapshot.meta, snapshot.snapshot.clone()).await.unwrap();
    assert!(newcomer.end() >= asked + TTL);

    // Who has received the same renewal itself keeps its own count.
    let before = leader.end();
    leader.machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert_eq!(leader.end(), before);
}

#[tokio::test]
async fn an_entry_that_was_cut_off_says_nothing_about_the_one_in_its_place() {
    let mut voter = Voter::new();
    voter.receive(&grant(0)).await;
    voter.receive(&grant(1)).await;
    let asked = later();
    voter.receive(&grant(0)).await;
    voter.apply(&grant(0)).await;
    assert!(voter.end() >= asked + TTL);
}

/// Steps 6 and 7 of the story.
#[tokio::test]
async fn a_judgement_that_knew_too_little_ends_nothing() {
    let mut voter = Voter::new();
    voter.receive(&grant(0)).await;
    voter.apply(&grant(0)).await;
    let due = voter.machine.ran_out(voter.end());
    voter.receive(&renewal(1)).await;
    voter.apply(&renewal(1)).await;
    voter.apply(&entry(2, Command::Expire(due))).await;
    assert_eq!(voter.machine.leases(), [LEASE]);

    let due = voter.machine.ran_out(voter.end());
    voter.apply(&entry(3, Command::Expire(due))).await;
    assert!(voter.machine.leases().is_empty());
    assert_eq!(voter.machine.next_end(), None);
}
