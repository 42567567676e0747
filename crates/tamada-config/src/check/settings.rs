//! The settings that decisions depend on: mostly the dynamic configuration (configuration.md 4).

use std::time::Duration;

use serde_json::Value;
use tamada_model::document::{scalar_text, truthy};
use tamada_model::{Document, RemoteMember, Settings, SynchronousMode, WalBytes};

use crate::path::{at, flag, integer, section, text, texts};
use crate::timing::Timing;

use super::{slots, watchdog};

/// `dynamic` is readable; what is missing has the default.
pub fn settings(dynamic: &Document, effective: &Document, timing: Timing, adjustments: &mut Vec<String>) -> Settings {
    let unset = Settings::default();
    let standby_cluster = standby_cluster(dynamic);
    let strict = flag(dynamic, "synchronous_mode_strict");
    let use_slots = at(dynamic, "postgresql.use_slots").is_none() || flag(dynamic, "postgresql.use_slots");
    Settings {
        ttl: timing.ttl,
        loop_wait: timing.loop_wait,
        retry_timeout: timing.retry_timeout,
        maximum_lag_on_failover: integer(dynamic, "maximum_lag_on_failover", None)
            .map_or(unset.maximum_lag_on_failover, |bytes| WalBytes::new(bytes.max(0) as u64)),
        maximum_lag_on_syncnode: integer(dynamic, "maximum_lag_on_syncnode", None)
            .unwrap_or(unset.maximum_lag_on_syncnode),
        primary_start_timeout: renamed(
            dynamic,
            "primary_start_timeout",
            "master_start_timeout",
            unset.primary_start_timeout,
        ),
        primary_stop_timeout: renamed(
            dynamic,
            "primary_stop_timeout",
            "master_stop_timeout",
            unset.primary_stop_timeout,
        ),
        primary_race_backoff: seconds(dynamic, "primary_race_backoff", unset.primary_race_backoff),
        check_timeline: flag(dynamic, "check_timeline"),
        max_timelines_history: integer(dynamic, "max_timelines_history", None)
            .map_or(0, |number| number.max(0) as usize),
        pause: flag(dynamic, "pause"),
        synchronous_mode: if standby_cluster.is_some() { SynchronousMode::Off } else { synchronous_mode(dynamic) },
        synchronous_mode_strict: strict,
        synchronous_node_count: node_count(dynamic, strict),
        failsafe_mode: flag(dynamic, "failsafe_mode"),
        member_slots_ttl: seconds(dynamic, "member_slots_ttl", unset.member_slots_ttl),
        standby_cluster,
        use_slots,
        use_pg_rewind: flag(effective, "postgresql.use_pg_rewind"),
        remove_data_directory_on_rewind_failure: flag(effective, "postgresql.remove_data_directory_on_rewind_failure"),
        remove_data_directory_on_diverged_timelines: flag(
            effective,
            "postgresql.remove_data_directory_on_diverged_timelines",
        ),
        permanent_slots: slots::permanent(dynamic, adjustments),
        ignore_slots: slots::ignored(dynamic),
        guard: watchdog::guard_mode(effective),
    }
}

fn seconds(dynamic: &Document, key: &str, unset: Duration) -> Duration {
    integer(dynamic, key, Some("s")).map_or(unset, |seconds| Duration::from_secs(seconds.max(0) as u64))
}

/// The old name is read only if the new one is absent.
fn renamed(dynamic: &Document, key: &str, old: &str, unset: Duration) -> Duration {
    let key = if dynamic.contains_key(key) { key } else { old };
    seconds(dynamic, key, unset)
}

fn synchronous_mode(dynamic: &Document) -> SynchronousMode {
    let is_quorum = text(dynamic, "synchronous_mode").is_some_and(|mode| mode.eq_ignore_ascii_case("quorum"));
    match (is_quorum, flag(dynamic, "synchronous_mode")) {
        (true, _) => SynchronousMode::Quorum,
        (false, true) => SynchronousMode::On,
        (false, false) => SynchronousMode::Off,
    }
}

/// At least one in strict mode.
fn node_count(dynamic: &Document, strict: bool) -> u32 {
    let count = integer(dynamic, "synchronous_node_count", None).unwrap_or(1);
    count.clamp(i64::from(strict), i64::from(u32::MAX)) as u32
}

/// Active when it says where the other cluster is (configuration.md 4.2).
fn standby_cluster(dynamic: &Document) -> Option<RemoteMember> {
    let remote = section(dynamic, "standby_cluster")?;
    if !["host", "port", "restore_command"].iter().any(|key| remote.get(*key).is_some_and(truthy)) {
        return None;
    }
    let methods = texts(remote, "create_replica_methods").filter(|methods| !methods.is_empty());
    Some(RemoteMember {
        host: text(remote, "host"),
        port: remote.get("port").and_then(port),
        primary_slot_name: text(remote, "primary_slot_name"),
        create_replica_methods: methods,
        restore_command: text(remote, "restore_command"),
        archive_cleanup_command: text(remote, "archive_cleanup_command"),
        recovery_min_apply_delay: text(remote, "recovery_min_apply_delay"),
    })
}

fn port(value: &Value) -> Option<u16> {
    scalar_text(value).trim().parse().ok()
}
