//! How patient the consensus is, and how much it keeps.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

/// How often a leader shows that it is there, and how long it waits for an answer to what it sends. The library looks at
/// its timers once in one and a half of this.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// A follower turns away candidates until it has not heard its leader for `ELECTION_MAX`, and is a candidate itself
/// after a further time between the two, drawn when it starts: together 750 to 900 ms.
///
/// That is longer than a leader is silent whose disk takes 500 ms to sync (the library sends nothing while it waits for
/// its disk, and a heartbeat may have been due 150 ms before), and short enough for a new leader within a second.
const ELECTION_MIN: Duration = Duration::from_millis(300);
const ELECTION_MAX: Duration = Duration::from_millis(450);

/// After so long without a word from its leader, a node should have another one.
pub(crate) const ELECTION: Duration = Duration::from_millis(1000);

/// One entry carries many commands (see `propose`), so this is much for a follower that comes back.
const ENTRIES_AT_ONCE: u64 = 64;

/// A snapshot is written after so many entries. A cluster at rest makes some ten a second, an entry of renewals takes some
/// hundred bytes, and the keys take less than a megabyte: a snapshot every few minutes, and a log of some hundred
/// kilobytes before it.
const ENTRIES_PER_SNAPSHOT: u64 = 2_000;

/// Entries that stay behind the snapshot, so that a follower which was away for a minute is sent them and not everything.
const ENTRIES_KEPT: u64 = 1_000;

/// What is no longer needed is thrown away once per snapshot, not once per entry.
const ENTRIES_PURGED_AT_ONCE: u64 = 500;

pub(crate) fn raft() -> Arc<Config> {
    let config = Config {
        cluster_name: "tamada".to_owned(),
        heartbeat_interval: millis(HEARTBEAT),
        election_timeout_min: millis(ELECTION_MIN),
        election_timeout_max: millis(ELECTION_MAX),
        max_payload_entries: ENTRIES_AT_ONCE,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_PER_SNAPSHOT),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        purge_batch_size: ENTRIES_PURGED_AT_ONCE,
        replication_lag_threshold: ENTRIES_PER_SNAPSHOT + ENTRIES_KEPT,
        ..Config::default()
    };
    Arc::new(config.validate().expect("the constants above are in order"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("the constants above are short")
}
