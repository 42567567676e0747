//! `members/<name>`: what a member tells about itself (dcs-layout.md 2).

use serde_json::{Value, json};
use tamada_model::document::{scalar_text, truthy};
use tamada_model::{
    ChangedValue, Document, Lsn, Member, PendingRestart, RestartConditions, Role, ScheduledRestart, Tags, Timeline,
};

use super::values::lsn;
use crate::json::Fields;
use crate::{json, time, url};

/// Malformed fields are as absent; a malformed value is a member without data.
pub fn parse_member(value: &[u8]) -> Member {
    match json::object(value) {
        Some(object) => from_object(object),
        None => legacy_member(value).unwrap_or_default(),
    }
}

fn from_object(object: Document) -> Member {
    let mut member = Member::default();
    for (key, value) in object {
        match key.as_str() {
            "conn_url" => member.conn_url = text(value),
            "api_url" => member.api_url = text(value),
            "proxy_url" => member.proxy_url = text(value),
            "state" => member.state = text(value),
            "role" => member.role = value.as_str().and_then(Role::parse),
            "version" => member.version = text(value),
            "tags" => member.tags = parse_tags(value),
            "checkpoint_after_promote" => member.checkpoint_after_promote = value.as_bool(),
            "pending_restart" => member.pending_restart = truthy(&value),
            "pending_restart_reason" => member.pending_restart_reason = parse_reasons(&value),
            "xlog_location" => member.xlog_location = lsn(&value),
            "receive_lsn" => member.receive_lsn = lsn(&value),
            "replay_lsn" => member.replay_lsn = lsn(&value),
            "replication_state" => member.replication_state = text(value),
            "timeline" => member.timeline = parse_timeline(&value),
            "scheduled_restart" => member.scheduled_restart = value.as_object().and_then(parse_restart),
            "pause" => member.pause = truthy(&value),
            _ => {}
        }
    }
    member
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse_tags(value: Value) -> Tags {
    match value {
        Value::Object(tags) => Tags(tags),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Tags::default(),
    }
}

/// The very old form: `postgres://host/db?application_name=<api_url>`.
fn legacy_member(value: &[u8]) -> Option<Member> {
    let url = std::str::from_utf8(value).ok()?.trim();
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    if !base.starts_with("postgres://") && !base.starts_with("postgresql://") {
        return None;
    }
    let api_url = query.split('&').find_map(|pair| pair.strip_prefix("application_name=")).map(url::decoded);
    Some(Member { conn_url: Some(base.to_owned()), api_url, ..Member::default() })
}

fn parse_timeline(value: &Value) -> Option<Timeline> {
    u32::try_from(value.as_u64()?).ok().and_then(Timeline::new)
}

fn parse_reasons(value: &Value) -> PendingRestart {
    let text = |value: Option<&Value>| value.map(scalar_text).unwrap_or_default();
    let reason = |value: &Value| ChangedValue { old: text(value.get("old_value")), new: text(value.get("new_value")) };
    let Value::Object(reasons) = value else { return PendingRestart::new() };
    reasons.iter().map(|(parameter, values)| (parameter.clone(), reason(values))).collect()
}

fn parse_restart(object: &Document) -> Option<ScheduledRestart> {
    let text = |key: &str| object.get(key).map(scalar_text);
    Some(ScheduledRestart {
        schedule: time::schedule(object.get("schedule")?.as_str()?),
        conditions: RestartConditions {
            role: text("role").and_then(|role| Role::parse(&role)),
            postgres_version: text("postgres_version"),
            restart_pending: object.get("restart_pending").cloned(),
            timeout_seconds: text("timeout").and_then(|seconds| seconds.parse().ok()),
        },
        postmaster_start_time: text("postmaster_start_time").and_then(|at| time::instant(&at)),
    })
}

/// The value of our own member key.
pub fn member_json(member: &Member) -> String {
    json::compact(&member_document(member))
}

fn member_document(member: &Member) -> Value {
    let position = |lsn: Option<Lsn>| lsn.filter(|lsn| !lsn.is_zero()).map(Lsn::bytes);
    let mut fields = Fields::default();
    fields.maybe("conn_url", member.conn_url.as_deref());
    fields.maybe("api_url", member.api_url.as_deref());
    fields.maybe("state", member.state.as_deref());
    fields.maybe("role", member.role.map(Role::text));
    fields.maybe("version", member.version.as_deref());
    fields.maybe("proxy_url", member.proxy_url.as_deref());
    fields.maybe("checkpoint_after_promote", member.checkpoint_after_promote);
    fields.maybe("tags", (!member.tags.0.is_empty()).then(|| member.tags.0.clone()));
    fields.truth("pending_restart", member.pending_restart);
    fields.maybe("pending_restart_reason", reasons_object(&member.pending_restart_reason));
    fields.maybe("xlog_location", position(member.xlog_location));
    fields.maybe("replay_lsn", position(member.replay_lsn));
    fields.maybe("receive_lsn", position(member.receive_lsn));
    fields.maybe("replication_state", member.replication_state.as_deref());
    fields.maybe("timeline", member.timeline.map(Timeline::number));
    fields.maybe("scheduled_restart", member.scheduled_restart.as_ref().map(scheduled_restart_object));
    fields.truth("pause", member.pause);
    fields.into_value()
}

/// `{guc: {"old_value": s, "new_value": s}}`; `None` when nothing waits for a restart.
pub(crate) fn reasons_object(reasons: &PendingRestart) -> Option<Document> {
    let object = |change: &ChangedValue| json!({"old_value": change.old, "new_value": change.new});
    (!reasons.is_empty()).then(|| reasons.iter().map(|(name, change)| (name.clone(), object(change))).collect())
}

/// The schedule with its conditions, as the member key and REST show it.
pub fn scheduled_restart_object(plan: &ScheduledRestart) -> Document {
    let mut object = Document::new();
    object.insert("schedule".into(), plan.schedule.text.as_str().into());
    if let Some(at) = plan.postmaster_start_time {
        object.insert("postmaster_start_time".into(), time::utc_text(at).into());
    }
    let RestartConditions { role, postgres_version, restart_pending, timeout_seconds } = &plan.conditions;
    if let Some(role) = role {
        object.insert("role".into(), role.text().into());
    }
    if let Some(version) = postgres_version {
        object.insert("postgres_version".into(), version.as_str().into());
    }
    if let Some(seconds) = timeout_seconds {
        object.insert("timeout".into(), (*seconds).into());
    }
    if let Some(pending) = restart_pending {
        object.insert("restart_pending".into(), pending.clone());
    }
    object
}
