//! The probes of container platforms: is the agent's loop alive, is this node ready (rest-api.md 3.3).

use tamada_model::{Mono, Process, Report, Role};
use tamada_wire::rest::Shown;

use super::health::{leader_position, receiver_position};
use super::query::Query;

/// The loop has not missed its turn for too long. A primary gets less patience: it holds a lease.
pub(super) fn is_alive(report: &Report, now: Mono) -> bool {
    let process = report.postgres.as_ref().map(|facts| &facts.process);
    let is_primary = report.role == Role::Primary && process.is_some_and(Process::is_running);
    let patience = if is_primary { report.ttl } else { report.ttl * 2 };
    report.pause || now < report.next_pass + patience
}

/// Leads, or streams and keeps up.
pub(super) fn is_ready(query: &Query, shown: &Shown) -> bool {
    shown.is_locked() || is_streaming_by_known_facts(shown) && keeps_up(query, shown)
}

fn is_streaming_by_known_facts(shown: &Shown) -> bool {
    let knows_the_leader = shown.is_fresh() || receiver_position(shown).is_some() || shown.is_failsafe_active();
    shown.is_running() && shown.replication_state() == Some("streaming") && knows_the_leader
}

fn keeps_up(query: &Query, shown: &Shown) -> bool {
    let default = i64::try_from(shown.report().maximum_lag_on_failover).unwrap_or(i64::MAX);
    let lag = query.bytes("lag").unwrap_or(default);
    let position = match query.get("mode") {
        Some("write") => shown.received_location(),
        Some(_) | None => shown.replayed_location(),
    };
    let behind = i128::from(leader_position(shown)) - i128::from(position.unwrap_or_default().bytes());
    behind <= i128::from(lag)
}
