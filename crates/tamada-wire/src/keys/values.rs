//! `status`, `failover`, `sync`, `history`, `config`, `failsafe`: each reader beside its writer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tamada_model::{Document, FailoverRequest, HistoryEntry, Lsn, MemberName, Origin, Status, SyncState, Timeline};

use crate::{json, time};

/// dcs-layout.md 3. Also the bare integer of `optime/leader`, numbers as text, and the two collections as text with
/// JSON inside, as the Kubernetes store has them.
pub fn parse_status(value: &[u8]) -> Status {
    match serde_json::from_slice(value) {
        Ok(Value::Object(object)) => Status {
            optime: object.get("optime").and_then(lsn).unwrap_or_default(),
            slots: object.get("slots").map(parse_slots).unwrap_or_default(),
            retain_slots: object.get("retain_slots").map(parse_names).unwrap_or_default(),
            origin: object.get("origin").and_then(parse_origin),
        },
        Ok(other) => Status { optime: lsn(&other).unwrap_or_default(), ..Status::default() },
        Err(_) => Status::default(),
    }
}

pub fn status_json(status: &Status) -> String {
    let mut object = Document::new();
    object.insert("optime".into(), status.optime.bytes().into());
    if !status.slots.is_empty() {
        let slots: Document = status.slots.iter().map(|(name, lsn)| (name.clone(), lsn.bytes().into())).collect();
        object.insert("slots".into(), slots.into());
    }
    if !status.retain_slots.is_empty() {
        let mut names = status.retain_slots.clone();
        names.sort();
        object.insert("retain_slots".into(), names.into());
    }
    if let Some(origin) = status.origin {
        object.insert("origin".into(), origin_object(origin));
    }
    json::compact(&object.into())
}

/// A position as number or as text.
pub(super) fn lsn(value: &Value) -> Option<Lsn> {
    match value {
        Value::Number(number) => number.as_u64().map(Lsn::new),
        Value::String(text) => text.trim().parse().ok().map(Lsn::new),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse_slots(value: &Value) -> BTreeMap<String, Lsn> {
    match unwrapped(value) {
        Value::Object(slots) => slots.iter().filter_map(|(name, at)| Some((name.clone(), lsn(at)?))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => BTreeMap::new(),
    }
}

/// Ours alone; the original passes over it.
pub(crate) fn origin_object(Origin { timeline, checksum }: Origin) -> Value {
    json!({"timeline": timeline.number(), "checksum": format!("{checksum:08x}")})
}

pub(crate) fn parse_origin(value: &Value) -> Option<Origin> {
    let timeline = u32::try_from(value.get("timeline")?.as_u64()?).ok().and_then(Timeline::new)?;
    let checksum = u32::from_str_radix(value.get("checksum")?.as_str()?, 16).ok()?;
    Some(Origin { timeline, checksum })
}

fn parse_names(value: &Value) -> Vec<String> {
    match unwrapped(value) {
        Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Vec::new(),
    }
}

/// A collection, or the text that contains one.
fn unwrapped(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    }
}

/// dcs-layout.md 4. `None` unless it names a leader or a candidate; also the old text `leader:candidate`.
pub fn parse_failover(value: &[u8]) -> Option<FailoverRequest> {
    let request = match serde_json::from_slice::<Value>(value) {
        Ok(Value::Object(object)) => FailoverRequest {
            leader: name(&object, "leader"),
            candidate: name(&object, "member"),
            scheduled_at: text(&object, "scheduled_at").map(time::schedule),
        },
        Ok(_) => FailoverRequest::default(),
        Err(_) => legacy_failover(value)?,
    };
    (request.leader.is_some() || request.candidate.is_some()).then_some(request)
}

fn legacy_failover(value: &[u8]) -> Option<FailoverRequest> {
    let (leader, candidate) = std::str::from_utf8(value).ok()?.split_once(':')?;
    let is_name = |name: &&str| !name.is_empty() && !name.contains(['{', '}', '"', ':']);
    let name = |text: &str| Some(text.trim()).filter(is_name).map(MemberName::from);
    Some(FailoverRequest { leader: name(leader), candidate: name(candidate), scheduled_at: None })
}

/// An empty request becomes `{}`: "none".
pub fn failover_json(request: &FailoverRequest) -> String {
    let mut object = Document::new();
    if let Some(leader) = &request.leader {
        object.insert("leader".into(), leader.as_str().into());
    }
    if let Some(candidate) = &request.candidate {
        object.insert("member".into(), candidate.as_str().into());
    }
    if let Some(schedule) = &request.scheduled_at {
        object.insert("scheduled_at".into(), schedule.text.as_str().into());
    }
    json::compact(&object.into())
}

fn text<'a>(object: &'a Document, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn name(object: &Document, key: &str) -> Option<MemberName> {
    text(object, key).map(MemberName::from)
}

/// dcs-layout.md 5. Malformed, or without a leader: not active, nobody synchronous.
pub fn parse_sync(value: &[u8]) -> SyncState {
    let Some(object) = json::object(value) else { return SyncState::default() };
    let Some(leader) = name(&object, "leader") else { return SyncState::default() };
    let standbys = text(&object, "sync_standby").unwrap_or_default();
    let quorum = object.get("quorum").and_then(lsn).unwrap_or_default().bytes();
    SyncState {
        leader: Some(leader),
        quorum: u32::try_from(quorum).unwrap_or(u32::MAX),
        standbys: standbys.split(',').map(str::trim).filter(|name| !name.is_empty()).map(MemberName::from).collect(),
    }
}

pub fn sync_json(sync: &SyncState) -> String {
    let mut standbys: Vec<&str> = sync.standbys.iter().map(MemberName::as_str).collect();
    standbys.sort_unstable();
    let standbys = (!standbys.is_empty()).then(|| standbys.join(","));
    let leader = sync.leader.as_ref().map(MemberName::as_str);
    json::compact(&json!({"leader": leader, "quorum": sync.quorum, "sync_standby": standbys}))
}

/// dcs-layout.md 6. Entries that cannot be read are passed over; but without the last one the cluster's timeline would
/// be guessed too low, so then there is no history.
pub fn parse_history(value: &[u8]) -> Option<Vec<HistoryEntry>> {
    let Ok(Value::Array(lines)) = serde_json::from_slice(value) else { return None };
    let last_is_readable = lines.last().is_none_or(|line| parse_history_entry(line).is_some());
    last_is_readable.then(|| lines.iter().filter_map(parse_history_entry).collect())
}

fn parse_history_entry(line: &Value) -> Option<HistoryEntry> {
    let line = line.as_array()?;
    Some(HistoryEntry {
        timeline: u32::try_from(line.first()?.as_u64()?).ok()?,
        lsn: lsn(line.get(1)?)?,
        reason: line.get(2).and_then(Value::as_str).unwrap_or_default().to_owned(),
        at: line.get(3).and_then(Value::as_str).map(str::to_owned),
        new_leader: line.get(4).and_then(Value::as_str).map(MemberName::from),
    })
}

pub fn history_json(history: &[HistoryEntry]) -> String {
    json::compact(&crate::rest::history_document(history))
}

pub fn config_json(config: &Document) -> String {
    json::compact(&Value::Object(config.clone()))
}

/// `{"a":"http://…/patroni"}` of an object `{member: api_url}`.
pub fn failsafe_json(members: &BTreeMap<MemberName, String>) -> String {
    let object: Document = members.iter().map(|(name, url)| (name.to_string(), url.as_str().into())).collect();
    json::compact(&object.into())
}
