//! The folder stays small, however long the store runs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{CommittedLeaderId, EntryPayload, LogId, RaftLogReader, RaftSnapshotBuilder};

use super::super::config::{ENTRIES_KEPT, ENTRIES_PER_SNAPSHOT};
use super::super::{Batch, Entry, LogStore, Machine, open};
use crate::disk::Disk;
use crate::disk::testing::Scratch;
use crate::{Command, Op, Previous, Put, Txn, What};

/// Three members that renew once a second make ten million in five weeks. Set TAMADA_RENEWALS to see them all.
const RENEWALS: u64 = 30_000;
const AT_ONCE: u64 = 50;
const LARGEST: u64 = 32 * 1024 * 1024;
const LEASE: i64 = 7;

fn position(index: u64) -> LogId<u64> {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

/// A member renews its lease, and every tenth time tells how it is.
fn renewal(index: u64) -> Entry {
    let mut then = vec![Op::KeepAlive(LEASE)];
    if index.is_multiple_of(10) {
        then.push(Op::Put(Put {
            key: Bytes::from(format!("/service/batman/members/{}", index / 10 % 3)),
            value: What::Set(Bytes::from(format!("{index:0300}"))),
            lease: What::Set(LEASE),
            previous: Previous::Unasked,
        }));
    }
    entry(index, Txn { then, ..Txn::default() })
}

fn grant() -> Entry {
    let then = vec![Op::Grant { id: LEASE, ttl: Duration::from_secs(30) }];
    entry(0, Txn { then, ..Txn::default() })
}

fn entry(index: u64, txn: Txn) -> Entry {
    Entry { log_id: position(index), payload: EntryPayload::Normal(Batch(vec![Command::Txn(txn)])) }
}

/// Does what the library does with committed entries.
async fn commit(log: &mut LogStore, machine: &mut Machine, entries: Vec<Entry>) {
    let (first, last) = (entries[0].log_id.index, entries[entries.len() - 1].log_id);
    log.blocking_append(entries).await.unwrap();
    log.save_committed(Some(last)).await.unwrap();
    let entries = log.try_get_log_entries(first..=last.index).await.unwrap();
    for outcome in machine.apply(entries).await.unwrap().into_iter().flatten() {
        outcome.result.unwrap();
    }
}

async fn compact(log: &mut LogStore, machine: &mut Machine, upto: u64) {
    machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    if let Some(upto) = upto.checked_sub(ENTRIES_KEPT) {
        log.purge(position(upto)).await.unwrap();
    }
}

#[tokio::test]
async fn the_folder_does_not_grow_with_the_renewals() {
    let renewals = std::env::var("TAMADA_RENEWALS").map_or(RENEWALS, |number| number.parse().unwrap());
    let scratch = Scratch::new();
    let disk = Disk::open(scratch.path()).unwrap();
    let (mut log, mut machine) = open(&disk).unwrap();
    let began = Instant::now();
    commit(&mut log, &mut machine, vec![grant()]).await;
    let (mut largest, mut index) = (0, 1);
    while index < renewals {
        commit(&mut log, &mut machine, (index..index + AT_ONCE).map(renewal).collect()).await;
        index += AT_ONCE;
        if index % ENTRIES_PER_SNAPSHOT < AT_ONCE {
            compact(&mut log, &mut machine, index).await;
        }
        largest = largest.max(disk.bytes());
        if index % (renewals / 10) < AT_ONCE {
            println!("{index} renewals, {:.0} s, {} KiB", began.elapsed().as_secs_f32(), disk.bytes() / 1024);
        }
    }
    println!("at most {} KiB", largest / 1024);
    assert!(largest <= LARGEST, "{largest} bytes");
    let revision = machine.revision();
    disk.close().await;

    let disk = Disk::open(scratch.path()).unwrap();
    let (mut log, mut machine) = open(&disk).unwrap();
    let (applied, _) = machine.applied_state().await.unwrap();
    let entries = log.try_get_log_entries(applied.unwrap().index + 1..).await.unwrap();
    machine.apply(entries).await.unwrap();
    assert_eq!(machine.revision(), revision);
    disk.close().await;
}
