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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tamada_model::{Answers, Lsn, Process, Standing, State, Wall};
    use tamada_wire::scene;

    use super::*;

    fn with_process(mut report: Report, process: Process) -> Report {
        let mut facts = report.postgres.as_deref().cloned().expect("scenes have facts");
        facts.process = process;
        report.postgres = Some(Arc::new(facts));
        report
    }

    #[test]
    fn the_loop_may_be_late_by_one_ttl_on_a_primary_and_by_two_elsewhere() {
        let running = Process::Running { pid: 1, started: Wall::default() };
        let leader = with_process(scene::leader(), running.clone());
        let stopped_leader = with_process(scene::leader(), Process::Absent);
        let standby = with_process(scene::standby(), running);
        let late = |seconds| scene::now() + Duration::from_secs(seconds);
        for (report, alive_at, dead_at) in [(&leader, 29, 30), (&stopped_leader, 59, 60), (&standby, 59, 60)] {
            assert!(is_alive(report, late(alive_at)));
            assert!(!is_alive(report, late(dead_at)));
        }
        let paused = Report { pause: true, ..leader };
        assert!(is_alive(&paused, late(3600)));
    }

    fn is_ready_now(report: &Report, query: &str) -> bool {
        is_ready(&Query::parse(Some(query)), &Shown::new(report, scene::now()))
    }

    #[test]
    fn a_leader_is_ready_while_its_lease_runs() {
        assert!(is_ready_now(&scene::leader(), ""));
        assert!(!is_ready_now(&Report { lease_until: None, ..scene::leader() }, ""));
        assert!(is_ready_now(&Report { state: State::Starting, ..scene::leader() }, ""));
    }

    #[test]
    fn a_standby_is_ready_when_it_streams_and_keeps_up() {
        // It has received everything and replayed 310880 bytes less; the default allowance is a megabyte.
        for (query, ready) in [
            ("", true),
            ("lag=310880", true),
            ("lag=310879", false),
            ("lag=310879&mode=write", true),
            ("lag=0&mode=write", true),
            ("lag=0&mode=apply", false),
            ("lag=nonsense", true),
        ] {
            assert_eq!(is_ready_now(&scene::standby(), query), ready, "{query}");
        }
        assert!(!is_ready_now(&Report { maximum_lag_on_failover: 1, ..scene::standby() }, ""));
        assert!(!is_ready_now(&Report { state: State::Starting, ..scene::standby() }, ""));
    }

    #[test]
    fn a_standby_that_knows_nothing_of_the_leader_is_not_ready() {
        let blind = Report { cluster_seen_at: None, ..scene::standby() };
        assert!(!is_ready_now(&blind, ""));
        let failsafe = Report { failsafe_active_until: Some(scene::now() + Duration::from_secs(1)), ..blind.clone() };
        assert!(is_ready_now(&failsafe, ""));
        let mut facts = blind.postgres.as_deref().cloned().expect("scenes have facts");
        match &mut facts.answers {
            Answers::Live(live) => match &mut live.standing {
                Standing::Standby(standby) => {
                    standby.receiver.as_mut().expect("it streams").latest_end = Some(Lsn::new(67108864));
                }
                Standing::Primary { .. } => panic!("a primary"),
            },
            Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => panic!("not live"),
        }
        assert!(is_ready_now(&Report { postgres: Some(Arc::new(facts)), ..blind }, ""));
    }
}
