//! Golden bodies, and what becomes of them when the world is less well.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tamada_model::*;

use super::*;
use crate::json::spaced;
use crate::scene::{leader, now, object, standby, three_members};

/// Compares with `samples/<name>`; `UPDATE_SAMPLES=1 cargo test` writes the files anew, to be reviewed as a diff.
#[track_caller]
fn check_sample(name: &str, actual: &str) {
    let path = format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(&path, actual).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(actual, expected, "{path}");
}

fn fields(report: &Report, names: &[&str]) -> Value {
    let document = status_document(report, now());
    names.iter().map(|name| document.get(name).cloned().unwrap_or(json!("absent"))).collect()
}

fn change_facts(report: &mut Report, change: impl FnOnce(&mut PostgresFacts)) {
    let mut facts = report.postgres.as_deref().cloned().expect("scenes have facts");
    change(&mut facts);
    report.postgres = Some(Arc::new(facts));
}

#[test]
fn golden_bodies() {
    check_sample("status-primary.json", &spaced(&status_document(&leader(), now())));
    check_sample("status-replica.json", &spaced(&status_document(&standby(), now())));
    check_sample("metrics-primary.txt", &metrics_text(&leader(), now()));
    check_sample("metrics-replica.txt", &metrics_text(&standby(), now()));
    let mode = ClusterMode { pause: true, synchronous: true, ..ClusterMode::default() };
    check_sample("cluster.json", &spaced(&cluster_document(&three_members(), "main", mode)));
    let history = crate::keys::parse_history(include_bytes!("../../samples/history.json")).unwrap();
    check_sample("rest-history.json", &spaced(&history_document(&history)));
}

#[test]
fn a_peer_reads_what_we_say() {
    for report in [leader(), standby()] {
        let body = spaced(&status_document(&report, now()));
        let PeerAnswer::Answered(peer) = peer_answer(body.as_bytes()) else { panic!("silent: {body}") };
        assert_eq!(peer.in_recovery, report.name == "b".into());
        assert_eq!(peer.position, if peer.in_recovery { Lsn::new(67419744) } else { Lsn::ZERO });
        assert_eq!(peer.timeline, Timeline::new(5));
    }
}

#[test]
fn a_peer_is_told_what_our_timeline_began_with() {
    let origin = Some(Origin { timeline: Timeline::FIRST.next(), checksum: 0xC0FFEE });
    let mut report = standby();
    for (known, told) in [(None, json!("absent")), (origin, json!({"timeline": 2, "checksum": "00c0ffee"}))] {
        change_facts(&mut report, |facts| facts.data = data_with(known));
        assert_eq!(fields(&report, &["origin"]), json!([told]));
        let body = spaced(&status_document(&report, now()));
        let PeerAnswer::Answered(peer) = peer_answer(body.as_bytes()) else { panic!("silent: {body}") };
        assert_eq!(peer.origin, known);
    }
}

fn data_with(origin: Option<Origin>) -> DataDir {
    DataDir::Present(Box::new(Present {
        major: None,
        system_id: None,
        control: None,
        backup_label: false,
        recovery_configured: false,
        unfinished_rewind: false,
        newest_timeline: None,
        origin,
    }))
}

#[test]
fn silence_of_a_running_postgresql_is_shown_as_unknown() {
    let mut report = standby();
    change_facts(&mut report, |facts| facts.answers = Answers::Silent { because: "timeout".into() });
    assert_eq!(
        fields(&report, &["state", "role", "xlog", "server_version"]),
        json!(["unknown", "replica", "absent", "absent"])
    );
    report.state = State::Starting;
    report.role = Role::Promoted;
    assert_eq!(fields(&report, &["state", "role"]), json!(["starting", "promoted"]));
    assert!(metrics_text(&standby(), now()).contains("patroni_postgres_state{scope=\"main\",name=\"b\"} 5\n"));
}

#[test]
fn a_stopped_postgresql_is_not_quoted_any_more() {
    let mut report = leader();
    report.state = State::Stopped;
    report.role = Role::Demoted;
    assert_eq!(
        fields(&report, &["state", "role", "xlog", "timeline"]),
        json!(["stopped", "demoted", "absent", "absent"])
    );
}

#[test]
fn the_view_of_the_cluster_grows_old_by_itself() {
    let report = leader();
    let fresh = status_document(&report, now() + Duration::from_secs(19));
    let stale = status_document(&report, now() + Duration::from_secs(20));
    assert_eq!(fresh.get("cluster_unlocked"), None);
    assert_eq!(stale.get("cluster_unlocked"), Some(&json!(true)));
}

#[test]
fn synchronous_standbys_say_so_in_the_word_of_the_mode() {
    let mut report = standby();
    let names = ["sync_standby", "quorum_standby"];
    assert_eq!(fields(&report, &names), json!(["absent", "absent"]));
    report.is_synchronous_mode = true;
    assert_eq!(fields(&report, &names), json!([true, "absent"]));
    report.is_quorum_mode = true;
    assert_eq!(fields(&report, &names), json!(["absent", true]));
    report.name = "c".into();
    assert_eq!(fields(&report, &names), json!(["absent", "absent"]));
}

#[test]
fn what_waits_and_what_fails_is_shown() {
    let mut report = leader();
    report.pause = true;
    report.watchdog_failed = true;
    report.guard = Some(GuardStanding::Failed);
    report.failsafe_active_until = Some(now() + Duration::from_secs(1));
    report.scheduled_restart = Some(ScheduledRestart {
        schedule: crate::time::schedule("2030-01-01T00:00:00+00:00"),
        conditions: RestartConditions { timeout_seconds: Some(7), ..RestartConditions::default() },
        postmaster_start_time: Some(Wall::from_micros(1)),
    });
    let change = ChangedValue { old: "100".into(), new: "200".into() };
    change_facts(&mut report, |facts| facts.pending_restart = [("max_connections".to_owned(), change)].into());
    let names =
        ["pause", "watchdog_failed", "failsafe_mode_is_active", "scheduled_restart", "pending_restart", "guard"];
    let restart = json!({"schedule": "2030-01-01T00:00:00+00:00", "timeout": 7});
    assert_eq!(fields(&report, &names), json!([true, true, true, restart, true, "failed"]));
    let reason = json!({"max_connections": {"old_value": "100", "new_value": "200"}});
    assert_eq!(fields(&report, &["pending_restart_reason"]), json!([reason]));
}

#[test]
fn in_a_standby_cluster_the_leader_is_a_standby_leader() {
    let mut report = standby();
    report.is_standby_cluster = true;
    report.role = Role::StandbyLeader;
    assert_eq!(fields(&report, &["role"]), json!(["standby_leader"]));
    let mode = ClusterMode { standby_cluster: true, ..ClusterMode::default() };
    let document = cluster_document(&three_members(), "main", mode);
    assert_eq!(document["members"][0]["role"], "standby_leader");
    assert_eq!(document.get("pause"), None);
}

#[test]
fn the_mode_comes_from_the_dynamic_configuration() {
    let mode = |config: Value| {
        let ClusterMode { pause, synchronous, quorum, standby_cluster } = ClusterMode::of_config(&object(config));
        (pause, synchronous, quorum, standby_cluster)
    };
    assert_eq!(mode(json!({})), (false, false, false, false));
    assert_eq!(mode(json!({"pause": "on", "synchronous_mode": true})), (true, true, false, false));
    assert_eq!(mode(json!({"pause": "perhaps", "synchronous_mode": "Quorum"})), (false, true, true, false));
    let standby = json!({"synchronous_mode": true, "standby_cluster": {"host": "x"}});
    assert_eq!(mode(standby), (false, false, false, true));
    assert_eq!(mode(json!({"standby_cluster": {"host": ""}})), (false, false, false, false));
}

#[test]
fn nothing_but_its_timing_changes_a_document() {
    let mut report = leader();
    report.failsafe_active_until = Some(now() + Duration::from_secs(3));
    for second in 0..60 {
        let (earlier, later) = (now() + Duration::from_secs(second), now() + Duration::from_secs(second + 1));
        let same_timing = Shown::new(&report, earlier).timing() == Shown::new(&report, later).timing();
        let same_document = status_document(&report, earlier) == status_document(&report, later);
        assert_eq!(same_timing, same_document, "{second}");
    }
}
