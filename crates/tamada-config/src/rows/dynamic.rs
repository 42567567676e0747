//! The dynamic configuration: the same for all members, kept in the store (configuration.md 4).
//!
//! Paths are those of the document in the store. Files hold them below `bootstrap.dcs`.

use super::{Kind, Range, Row, dynamic};
use crate::timing::Beat;

const fn at_least(least: i64) -> Kind {
    Kind::Integer(Range::from(least))
}

pub(super) const ROWS: &[Row] = &[
    dynamic("ttl", Kind::Seconds(Beat::Ttl), "Seconds that the leader's lock lives without being renewed.")
        .default("30"),
    dynamic("loop_wait", Kind::Seconds(Beat::LoopWait), "Seconds between looks when nothing happens.").default("10"),
    dynamic(
        "retry_timeout",
        Kind::Seconds(Beat::RetryTimeout),
        "Seconds that the store or PostgreSQL may fail before we act on it; loop_wait + 2*retry_timeout <= ttl.",
    )
    .default("10"),
    dynamic("maximum_lag_on_failover", at_least(0), "Bytes of WAL that a new leader may lack.").default("1048576"),
    dynamic("maximum_lag_on_syncnode", at_least(-1), "Bytes after which a synchronous standby is replaced; -1: never.")
        .default("-1"),
    dynamic("max_timelines_history", Kind::Integer(Range::ANY), "Promotions kept in the history; 0: all.").default("0"),
    dynamic("check_timeline", Kind::Truth, "A new leader must be on the newest timeline.").default("false"),
    dynamic("primary_start_timeout", at_least(0), "Seconds that a crashed primary may take to come back.")
        .default("300"),
    dynamic("master_start_timeout", Kind::Scalar, "Old name of `primary_start_timeout`."),
    dynamic("primary_stop_timeout", at_least(0), "Seconds that a primary may take to stop in synchronous mode.")
        .default("0"),
    dynamic("master_stop_timeout", Kind::Scalar, "Old name of `primary_stop_timeout`."),
    dynamic(
        "primary_race_backoff",
        Kind::Integer(Range::ANY),
        "Seconds that the former primary waits before it races.",
    )
    .default("0"),
    dynamic("synchronous_mode", Kind::SynchronousMode, "`off`, `on` or `quorum`.").default("off"),
    dynamic("synchronous_mode_strict", Kind::Bool, "Rather stop writes than lose the last synchronous standby.")
        .default("false"),
    dynamic("synchronous_node_count", at_least(1), "Synchronous standbys wanted.").default("1"),
    dynamic("failsafe_mode", Kind::Truth, "Keep the primary while all members agree though the store is away.")
        .default("false"),
    dynamic("pause", Kind::Truth, "Maintenance: no automatic failover.").default("false"),
    dynamic(
        "member_slots_ttl",
        Kind::Integer(Range::from(0).unit("s")),
        "Seconds that the slot of a gone member is kept.",
    )
    .default("1800"),
    dynamic("slots", Kind::Map, "Permanent replication slots; also `permanent_slots`, `permanent_replication_slots`.")
        .default("{}"),
    dynamic("permanent_slots", Kind::Map, "Old name of `slots`."),
    dynamic("permanent_replication_slots", Kind::Map, "Old name of `slots`."),
    dynamic("ignore_slots", Kind::Maps, "Slots to leave alone: every given property must match.").default("[]"),
    dynamic("standby_cluster", Kind::Section, "Follow another cluster; active with host, port or restore_command."),
    dynamic("standby_cluster.host", Kind::Text, "Hosts to stream from.").one_of("remote"),
    dynamic("standby_cluster.port", Kind::Integer(Range::ANY.to(65535).typed()), "Port to stream from.")
        .one_of("remote"),
    dynamic("standby_cluster.restore_command", Kind::Text, "Command that fetches WAL from the archive.")
        .one_of("remote"),
    dynamic("standby_cluster.primary_slot_name", Kind::Text, "Slot on the remote primary."),
    dynamic("standby_cluster.create_replica_methods", Kind::Names, "Ways to copy the remote cluster, tried in order.")
        .default("[basebackup]"),
    dynamic("standby_cluster.archive_cleanup_command", Kind::Text, "Command that cleans the archive."),
    dynamic("standby_cluster.recovery_min_apply_delay", Kind::Text, "Delay of the standby leader."),
    dynamic("postgresql.use_slots", Kind::Bool, "Use replication slots.").default("true"),
    dynamic(
        "postgresql.parameters.max_connections",
        Kind::Integer(Range::from(1).to(262_143)),
        "Below 25: the default.",
    )
    .postgres_restart()
    .default("100"),
    dynamic(
        "postgresql.parameters.max_locks_per_transaction",
        Kind::Integer(Range::from(10).to(2_147_483_647)),
        "Below 32: the default.",
    )
    .postgres_restart()
    .default("64"),
    dynamic(
        "postgresql.parameters.max_prepared_transactions",
        Kind::Integer(Range::from(0).to(262_143)),
        "The same on all members.",
    )
    .postgres_restart()
    .default("0"),
    dynamic(
        "postgresql.parameters.max_replication_slots",
        Kind::Integer(Range::from(0).to(262_143)),
        "Below 4: the default.",
    )
    .postgres_restart()
    .default("10"),
    dynamic(
        "postgresql.parameters.max_wal_senders",
        Kind::Integer(Range::from(0).to(262_143)),
        "Below 3: the default.",
    )
    .postgres_restart()
    .default("10"),
    dynamic(
        "postgresql.parameters.max_worker_processes",
        Kind::Integer(Range::from(0).to(262_143)),
        "Below 2: the default.",
    )
    .postgres_restart()
    .default("8"),
];
