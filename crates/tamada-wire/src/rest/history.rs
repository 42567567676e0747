//! `GET /history`, and the `history` key: `[[timeline, lsn, reason, timestamp, new_leader], …]`.

use serde_json::Value;
use tamada_model::{HistoryEntry, MemberName};

/// The last two items are missing where the cluster did not see the promotion.
pub fn history_document(history: &[HistoryEntry]) -> Value {
    history.iter().map(entry).collect()
}

fn entry(entry: &HistoryEntry) -> Value {
    let mut items = vec![entry.timeline.into(), entry.lsn.bytes().into(), entry.reason.as_str().into()];
    let leader = entry.new_leader.as_ref().map(MemberName::as_str);
    if entry.at.is_some() || leader.is_some() {
        items.push(entry.at.as_deref().into());
    }
    if let Some(leader) = leader {
        items.push(leader.into());
    }
    Value::Array(items)
}
