//! The `history` key: which promotions the cluster has seen (ha-loop.md 22). It is a safety device: a primary whose
//! timeline is behind it may not take the lock back.

use tamada_model::{Cluster, HistoryEntry, HistoryFile, MemberName, Timeline};

use crate::plant::{Plant, is_planted};

/// What is wrong with the key, seen by a primary on `timeline`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needed {
    Nothing,
    /// First timeline, but old entries exist: write `[]`.
    Emptying,
    /// Rewrite from this local history file.
    RewriteFrom(Timeline),
}

/// Whose name stands beside our timeline matters: a member that nobody had heard of may have been promoted to the same
/// number before us, and written it down.
pub fn needed(cluster: &Cluster, timeline: Timeline, me: &MemberName) -> Needed {
    if is_planted(Plant::HistoryNotWritten) {
        return Needed::Nothing;
    }
    let entries = cluster.history.as_ref().map(|history| history.value.as_slice()).unwrap_or_default();
    if timeline == Timeline::FIRST {
        return if entries.is_empty() { Needed::Nothing } else { Needed::Emptying };
    }
    match entries.last() {
        Some(last)
            if last.timeline + 1 == timeline.number() && last.at.is_some() && last.new_leader.as_ref() == Some(me) =>
        {
            Needed::Nothing
        }
        Some(_) | None => Needed::RewriteFrom(timeline),
    }
}

/// The lines of the local file; the last with the file's time and our name, older ones with what the key already knew.
pub fn rewritten(cluster: &Cluster, file: &HistoryFile, me: &MemberName, keep: usize) -> Vec<HistoryEntry> {
    let known = cluster.history.as_ref().map(|history| history.value.as_slice()).unwrap_or_default();
    let mut entries: Vec<HistoryEntry> = file
        .lines
        .iter()
        .map(|(timeline, lsn, reason)| {
            let told = known.iter().find(|entry| entry.timeline == *timeline && entry.lsn == *lsn);
            HistoryEntry {
                timeline: *timeline,
                lsn: *lsn,
                reason: reason.clone(),
                at: told.and_then(|entry| entry.at.clone()),
                new_leader: told.and_then(|entry| entry.new_leader.clone()),
            }
        })
        .collect();
    if let Some(last) = entries.last_mut().filter(|last| last.timeline + 1 == file.timeline.number()) {
        last.at = Some(file.modified.clone());
        last.new_leader = Some(me.clone());
    }
    if keep > 0 && entries.len() > keep {
        entries.drain(..entries.len() - keep);
    }
    entries
}
