//! The status document: `GET /patroni` and the body of every health check (rest-api.md 2).

use serde_json::{Value, json};
use tamada_model::{AgentVersion, GuardStanding, Live, Lsn, Mono, Report, Standby, Timeline, WalSender};

use super::{Shown, Timing};
use crate::json::Fields;
use crate::{keys, time};

/// What this member says about itself at `now`.
pub fn status_document(report: &Report, now: Mono) -> Value {
    let shown = Shown::new(report, now);
    let mut fields = Fields::default();
    fields.put("state", shown.state().text());
    fields.put("role", shown.role().text());
    if let Some(live) = shown.live() {
        put_answers(&shown, live, &mut fields);
    }
    put_cluster(&shown, &mut fields);
    put_member(report, &mut fields);
    fields.into_value()
}

fn put_answers(shown: &Shown, live: &Live, fields: &mut Fields) {
    fields.put("postmaster_start_time", time::utc_text(live.postmaster_start_time));
    fields.put("server_version", live.server_version.number());
    fields.put("xlog", xlog(shown));
    fields.put("timeline", shown.timeline().map(Timeline::number));
    fields.maybe("origin", shown.origin().map(keys::origin_object));
    fields.maybe("replication_state", shown.replication_state());
    if !live.replication.is_empty() {
        fields.put("replication", live.replication.iter().map(wal_sender).collect::<Value>());
    }
    fields.truth("sync_standby", shown.is_sync_standby());
    fields.truth("quorum_standby", shown.is_quorum_standby());
}

fn xlog(shown: &Shown) -> Value {
    let bytes = |lsn: Option<Lsn>| lsn.unwrap_or_default().bytes();
    match shown.standby() {
        None => json!({ "location": bytes(shown.location()) }),
        Some(Standby { replayed_at, replay_paused, .. }) => json!({
            "received_location": bytes(shown.received_location()),
            "replayed_location": bytes(shown.replayed_location()),
            "replayed_timestamp": replayed_at.map(time::utc_text),
            "paused": replay_paused,
        }),
    }
}

fn wal_sender(sender: &WalSender) -> Value {
    json!({
        "usename": sender.usename,
        "application_name": sender.application_name,
        "client_addr": sender.client_addr,
        "state": sender.state,
        "sync_state": sender.sync_state,
        "sync_priority": sender.sync_priority,
    })
}

fn put_cluster(shown: &Shown, fields: &mut Fields) {
    let report = shown.report();
    fields.truth("pause", report.pause);
    let Timing { cluster_unlocked, failsafe_active } = shown.timing();
    fields.truth("cluster_unlocked", cluster_unlocked);
    fields.truth("failsafe_mode_is_active", failsafe_active);
    fields.put("dcs_last_seen", report.dcs_last_seen.seconds());
}

fn put_member(report: &Report, fields: &mut Fields) {
    if !report.tags.0.is_empty() {
        fields.put("tags", report.tags.0.clone());
    }
    fields.maybe("database_system_identifier", report.system_id.map(|id| id.to_string()));
    let reasons = report.postgres.as_ref().and_then(|facts| keys::reasons_object(&facts.pending_restart));
    fields.truth("pending_restart", reasons.is_some());
    fields.maybe("pending_restart_reason", reasons);
    fields.maybe("scheduled_restart", report.scheduled_restart.as_ref().map(shown_restart));
    fields.truth("watchdog_failed", report.watchdog_failed);
    fields.maybe("guard", report.guard.map(GuardStanding::text));
    let (scope, name) = (report.scope.as_str(), report.name.as_str());
    fields.put("patroni", json!({"version": AgentVersion::SPOKEN, "scope": scope, "name": name}));
}

/// Unlike the member key, without the start time that guards it.
fn shown_restart(plan: &tamada_model::ScheduledRestart) -> Value {
    let mut object = keys::scheduled_restart_object(plan);
    object.shift_remove("postmaster_start_time");
    object.into()
}
