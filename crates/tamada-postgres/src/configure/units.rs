//! Numbers with units, as PostgreSQL reads and prints them.

/// A parameter's own unit: what a bare number counts. The name as in `pg_settings.unit`, its kind, and its size in the
/// smallest unit of that kind (bytes, microseconds).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unit {
    pub name: &'static str,
    kind: Kind,
    size: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Memory,
    Time,
}

const fn memory(name: &'static str, size: u64) -> Unit {
    Unit { name, kind: Kind::Memory, size }
}

const fn time(name: &'static str, size: u64) -> Unit {
    Unit { name, kind: Kind::Time, size }
}

impl Unit {
    /// A number of these, as one would write it: blocks of 8 kB as kilobytes.
    pub fn show(self, number: f64) -> String {
        let own = WRITTEN.iter().find(|unit| unit.name == self.name).map_or(self.size, |unit| unit.size);
        format!("{}{}", number * (self.size / own) as f64, self.name)
    }
}

/// Units a value may carry, smallest first.
const WRITTEN: [Unit; 11] = [
    memory("B", 1),
    memory("kB", 1 << 10),
    memory("MB", 1 << 20),
    memory("GB", 1 << 30),
    memory("TB", 1 << 40),
    time("us", 1),
    time("ms", 1_000),
    time("s", 1_000_000),
    time("min", 60_000_000),
    time("h", 3_600_000_000),
    time("d", 86_400_000_000),
];

/// Reads `pg_settings.unit`: `kB`, `8kB`, `16MB`, `ms` …
pub(crate) fn unit(name: &str) -> Option<Unit> {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    let factor =
        name.get(..digits).filter(|digits| !digits.is_empty()).map_or(Some(1), |digits| digits.parse().ok())?;
    let unit = WRITTEN.iter().find(|unit| unit.name == &name[digits..])?;
    Some(Unit { size: unit.size * factor, ..*unit })
}

/// A value as a number of `base` units; `None` if it is not a number, or its unit does not fit.
pub(crate) fn number(value: &str, base: Option<Unit>) -> Option<f64> {
    let value = value.trim();
    let (digits, suffix) = value.split_at(end_of_number(value));
    let number = parse(digits)?;
    let suffix = suffix.trim();
    if suffix.is_empty() {
        return Some(number);
    }
    let base = base?;
    let unit = WRITTEN.iter().find(|unit| unit.name == suffix && unit.kind == base.kind)?;
    Some(number * unit.size as f64 / base.size as f64)
}

fn end_of_number(value: &str) -> usize {
    if let Some(hex) = value.strip_prefix("0x") {
        return 2 + hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
    }
    let mut end = 0;
    for (at, c) in value.char_indices() {
        let exponent = matches!(c, 'e' | 'E')
            && value[at + 1..].trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit());
        let sign = matches!(c, '-' | '+') && (at == 0 || value[..at].ends_with(['e', 'E']));
        if !(c.is_ascii_digit() || c == '.' || exponent || sign) {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

fn parse(digits: &str) -> Option<f64> {
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|number| number as f64),
        None => digits.parse().ok(),
    }
}

/// A whole number of `base` units, rounded as PostgreSQL rounds.
pub(crate) fn integer(value: &str, base: Option<Unit>) -> Option<i64> {
    number(value, base).map(|number| number.round_ties_even() as i64)
}

/// In the largest unit that loses nothing (postgres.md 5.12): 16384 of `8kB` is `128MB`.
pub(crate) fn pretty(value: &str, base: Option<Unit>) -> String {
    let (Some(base), Some(number)) = (base, number(value, base)) else { return value.to_owned() };
    if number <= 0.0 || number.fract() != 0.0 {
        return value.to_owned();
    }
    let total = number as u128 * u128::from(base.size);
    let fits = |unit: &&Unit| unit.kind == base.kind && total.is_multiple_of(u128::from(unit.size));
    match WRITTEN.iter().rev().find(fits) {
        Some(unit) => format!("{}{}", total / u128::from(unit.size), unit.name),
        None => value.to_owned(),
    }
}

/// Units of parameters, which `postgres --describe-config` does not tell. A parameter that is missing here is not
/// checked against its range when its value carries a unit; PostgreSQL does that itself at start.
const PARAMETERS: [(&str, &[&str]); 7] = [
    (
        "8kB",
        &[
            "backend_flush_after",
            "bgwriter_flush_after",
            "checkpoint_flush_after",
            "effective_cache_size",
            "min_parallel_index_scan_size",
            "min_parallel_table_scan_size",
            "shared_buffers",
            "temp_buffers",
            "wal_buffers",
            "wal_writer_flush_after",
            "commit_timestamp_buffers",
            "multixact_member_buffers",
            "multixact_offset_buffers",
            "notify_buffers",
            "serializable_buffers",
            "subtransaction_buffers",
            "transaction_buffers",
            "io_combine_limit",
            "io_max_combine_limit",
        ],
    ),
    (
        "B",
        &[
            "log_parameter_max_length",
            "log_parameter_max_length_on_error",
            "track_activity_query_size",
            "wal_decode_buffer_size",
        ],
    ),
    ("MB", &["max_slot_wal_keep_size", "max_wal_size", "min_dynamic_shared_memory", "min_wal_size", "wal_keep_size"]),
    (
        "kB",
        &[
            "autovacuum_work_mem",
            "gin_pending_list_limit",
            "huge_page_size",
            "log_rotation_size",
            "log_temp_files",
            "logical_decoding_work_mem",
            "maintenance_work_mem",
            "max_stack_depth",
            "temp_file_limit",
            "wal_skip_threshold",
            "work_mem",
            "vacuum_buffer_usage_limit",
        ],
    ),
    ("min", &["log_rotation_age", "old_snapshot_threshold", "wal_summary_keep_time"]),
    (
        "ms",
        &[
            "autovacuum_vacuum_cost_delay",
            "bgwriter_delay",
            "client_connection_check_interval",
            "deadlock_timeout",
            "idle_in_transaction_session_timeout",
            "idle_session_timeout",
            "lock_timeout",
            "log_autovacuum_min_duration",
            "log_autoanalyze_min_duration",
            "log_min_duration_sample",
            "log_min_duration_statement",
            "log_startup_progress_interval",
            "max_standby_archive_delay",
            "max_standby_streaming_delay",
            "recovery_min_apply_delay",
            "statement_timeout",
            "tcp_user_timeout",
            "transaction_timeout",
            "vacuum_cost_delay",
            "wal_receiver_timeout",
            "wal_retrieve_retry_interval",
            "wal_sender_timeout",
            "wal_writer_delay",
        ],
    ),
    (
        "s",
        &[
            "archive_timeout",
            "authentication_timeout",
            "autovacuum_naptime",
            "checkpoint_timeout",
            "checkpoint_warning",
            "idle_replication_slot_timeout",
            "post_auth_delay",
            "pre_auth_delay",
            "tcp_keepalives_idle",
            "tcp_keepalives_interval",
            "wal_receiver_status_interval",
        ],
    ),
];

pub(crate) fn of_parameter(name: &str) -> Option<Unit> {
    PARAMETERS.iter().find(|(_, names)| names.contains(&name)).and_then(|(name, _)| unit(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_in_the_parameters_unit() {
        let blocks = unit("8kB");
        assert_eq!(integer("128MB", blocks), Some(16384));
        assert_eq!(integer("16384", blocks), Some(16384));
        assert_eq!(integer("4kB", blocks), Some(0));
        assert_eq!(integer("1h", unit("s")), Some(3600));
        assert_eq!(integer("0x10", None), Some(16));
        assert_eq!(number("1.5e1", None), Some(15.0));
        assert_eq!(number("10s", unit("kB")), None);
        assert_eq!(number("ten", None), None);
        assert_eq!(number("", None), None);
    }

    #[test]
    fn pretty_values_lose_nothing() {
        assert_eq!(pretty("16384", unit("8kB")), "128MB");
        assert_eq!(pretty("300", unit("s")), "5min");
        assert_eq!(pretty("-1", unit("ms")), "-1");
        assert_eq!(pretty("1025", unit("kB")), "1025kB");
        assert_eq!(pretty("100", None), "100");
    }
}
