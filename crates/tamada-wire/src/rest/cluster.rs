//! `GET /cluster`: every member as its key tells it (rest-api.md 4.1). The CLI's tables are made of the same document.

use serde_json::{Value, json};
use tamada_model::document::{boolean, scalar_text, truthy};
use tamada_model::{Cluster, Document, FailoverRequest, Lsn, Member, MemberName, Report, Schedule, Timeline};

use crate::json::Fields;
use crate::{keys, time};

/// What the dynamic configuration makes of the cluster, as far as the document shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClusterMode {
    pub pause: bool,
    pub synchronous: bool,
    /// With `synchronous`.
    pub quorum: bool,
    pub standby_cluster: bool,
}

impl ClusterMode {
    pub fn of_report(report: &Report) -> Self {
        Self {
            pause: report.pause,
            synchronous: report.is_synchronous_mode,
            quorum: report.is_quorum_mode,
            standby_cluster: report.is_standby_cluster,
        }
    }

    /// For readers without a running agent (configuration.md 4.2). A standby cluster knows no synchronous mode.
    pub fn of_config(config: &Document) -> Self {
        let on = |key: &str| config.get(key).and_then(boolean).unwrap_or(false);
        let quorum = config.get("synchronous_mode").is_some_and(|mode| scalar_text(mode).to_lowercase() == "quorum");
        let section = config.get("standby_cluster").and_then(Value::as_object);
        let source = |key: &str| section.and_then(|section| section.get(key)).is_some_and(truthy);
        let standby_cluster = ["host", "port", "restore_command"].into_iter().any(source);
        Self {
            pause: on("pause"),
            synchronous: !standby_cluster && (quorum || on("synchronous_mode")),
            quorum: !standby_cluster && quorum,
            standby_cluster,
        }
    }
}

pub fn cluster_document(cluster: &Cluster, scope: &str, mode: ClusterMode) -> Value {
    let mut fields = Fields::default();
    let members = cluster.members.iter().map(|(name, member)| member_document(cluster, mode, name, member));
    fields.put("members", members.collect::<Value>());
    fields.put("scope", scope);
    fields.truth("pause", mode.pause);
    let request = cluster.failover.as_ref().map(|request| &request.value);
    fields.maybe("scheduled_switchover", request.and_then(scheduled_switchover));
    fields.into_value()
}

fn scheduled_switchover(request: &FailoverRequest) -> Option<Value> {
    let mut fields = Fields::default();
    fields.put("at", iso(request.scheduled_at.as_ref()?));
    fields.maybe("from", request.leader.as_ref().map(MemberName::as_str));
    fields.maybe("to", request.candidate.as_ref().map(MemberName::as_str));
    Some(fields.into_value())
}

/// A schedule written by another tool may look different; shown is always ISO 8601 where it can be read.
fn iso(schedule: &Schedule) -> String {
    match time::read(&schedule.text) {
        time::Reading::Zoned(moment) => moment.iso(),
        time::Reading::Unzoned(_) | time::Reading::Unreadable => schedule.text.clone(),
    }
}

fn member_document(cluster: &Cluster, mode: ClusterMode, name: &MemberName, member: &Member) -> Value {
    let role = role(cluster, mode, name);
    let mut fields = Fields::default();
    fields.put("name", name.as_str());
    fields.put("role", role);
    fields.put("state", state(role, member));
    fields.put("api_url", member.api_url.as_deref());
    if let Some((host, port)) = member.address() {
        fields.put("host", host);
        fields.put("port", port);
    }
    fields.maybe("timeline", member.timeline.map(Timeline::number));
    fields.truth("pending_restart", member.pending_restart);
    fields.maybe("pending_restart_reason", keys::reasons_object(&member.pending_restart_reason));
    fields.maybe("scheduled_restart", member.scheduled_restart.as_ref().map(keys::scheduled_restart_object));
    fields.maybe("tags", (!member.tags.0.is_empty()).then(|| member.tags.0.clone()));
    if cluster.leader_name() != Some(name) {
        put_positions(cluster.status.optime, member, &mut fields);
    }
    fields.into_value()
}

fn role(cluster: &Cluster, mode: ClusterMode, name: &MemberName) -> &'static str {
    let is_synchronous = || cluster.sync.as_ref().is_some_and(|sync| sync.value.lists(name));
    if cluster.leader_name() == Some(name) {
        if mode.standby_cluster { "standby_leader" } else { "leader" }
    } else if mode.synchronous && is_synchronous() {
        if mode.quorum { "quorum_standby" } else { "sync_standby" }
    } else {
        "replica"
    }
}

fn state<'a>(role: &str, member: &'a Member) -> &'a str {
    let replication = member.replication_state.as_deref().filter(|state| role != "leader" && !state.is_empty());
    replication.or(member.state.as_deref()).unwrap_or_default()
}

fn put_positions(optime: Lsn, member: &Member, fields: &mut Fields) {
    for (lsn_key, lag_key, lsn) in [
        ("receive_lsn", "receive_lag", member.receive_lsn),
        ("replay_lsn", "replay_lag", member.replay_lsn),
        ("lsn", "lag", member.xlog_location),
    ] {
        fields.put(lsn_key, lsn.map_or("unknown".to_owned(), |lsn| lsn.to_string()));
        fields.put(lag_key, lsn.map_or(json!("unknown"), |lsn| optime.since(lsn).bytes().into()));
    }
}
