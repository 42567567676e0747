//! A log of large entries.
//!
//! The library counts entries, and for what the store is meant for that is enough: a few thousand of them take less than a
//! megabyte. But somebody may put values of a megabyte each, and a few thousand of those fill a disk. So when the log is
//! heavy, a snapshot is written out of turn, and the log is purged behind it.

use std::time::Duration;

use openraft::LogIdOptionExt;
use tokio::time::timeout;

use super::{LogStore, Machine, Raft};

/// A log is heavy when it weighs more than this, and more than the keys: a snapshot is not to be written for less than it
/// weighs itself. With what redb needs to write anew beside the old, the folder stays a few times as large.
const HEAVY: u64 = 4 * 1024 * 1024;
/// So much is left for followers that are a little behind.
const LIGHT: u64 = HEAVY / 4;

/// A snapshot takes moments. One that takes longer is found by the next entry.
const SNAPSHOT: Duration = Duration::from_secs(30);

/// Looks after the log for as long as the consensus runs.
pub(crate) async fn keep_small(raft: Raft, log: LogStore, machine: Machine) {
    loop {
        tokio::select! {
            () = log.grown() => {}
            () = ended(&raft) => return,
        }
        if log.weight() > HEAVY.max(machine.weight()) {
            lighten(&raft, &log).await;
        }
    }
}

async fn ended(raft: &Raft) {
    // An error says that it has ended, too.
    let _ = raft.metrics().wait_for(|metrics| metrics.running_state.is_err()).await;
}

/// Errors say that the consensus has stopped, or that it took too long; the next entry will show.
async fn lighten(raft: &Raft, log: &LogStore) {
    let applied = raft.metrics().borrow().last_applied;
    let _ = raft.trigger().snapshot().await;
    let mut metrics = raft.metrics();
    let _ = timeout(SNAPSHOT, metrics.wait_for(|metrics| metrics.snapshot >= applied)).await;
    let in_snapshot = raft.metrics().borrow().snapshot.index();
    let not_needed = log.light_from(LIGHT).checked_sub(1);
    if let Some(upto) = in_snapshot.min(not_needed) {
        let _ = raft.trigger().purge_log(upto).await;
    }
}
