//! How patient the consensus is, and how much it keeps.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

/// A voter turns candidates away for so long after it heard a leader. (The library's own signs of life and elections are
/// switched off, see `pulse`, and its limits are lifted, see `runtime`; the timers have to be in order all the same.)
pub(super) const TURNED_AWAY: Duration = Duration::from_millis(300);

/// After so long without a word from its leader, a node should have another one.
pub(crate) const ELECTION: Duration = Duration::from_millis(1000);

/// One entry carries many commands (see `propose`), so this is much for a follower that comes back.
const ENTRIES_AT_ONCE: u64 = 64;

/// A snapshot is written after so many entries. A cluster at rest makes some ten a second, an entry of renewals takes some
/// hundred bytes, and the keys take less than a megabyte: a snapshot every few minutes, and a log of some hundred
/// kilobytes before it.
pub(super) const ENTRIES_PER_SNAPSHOT: u64 = 2_000;

/// Entries that stay behind the snapshot, so that a follower which was away for a minute is sent them and not everything.
pub(super) const ENTRIES_KEPT: u64 = 1_000;

/// What is no longer needed is thrown away once per snapshot, not once per entry.
const ENTRIES_PURGED_AT_ONCE: u64 = 500;

pub(crate) fn raft() -> Arc<Config> {
    let config = Config {
        cluster_name: "tamada".to_owned(),
        heartbeat_interval: millis(TURNED_AWAY / 3),
        election_timeout_min: millis(TURNED_AWAY / 2),
        election_timeout_max: millis(TURNED_AWAY),
        enable_heartbeat: false,
        enable_elect: false,
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
