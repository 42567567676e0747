//! The last changes, so that a watch can be taken up where it broke, and a range can tell how keys were.
//!
//! One entry per revision, without gaps. How the keys were is found by walking back from how they are: each change knows
//! what it replaced. That costs time for the rare question, and no memory for keys that nobody asks about.

use std::collections::VecDeque;

use crate::txn::{Change, KeyValue, Keys, Refusal, Revision};

/// A cluster of three that writes its state every second needs minutes to make so many, and a watch that broke comes back
/// within seconds. Walking back through all of them takes less than a millisecond.
const REVISIONS_MAX: usize = 1_000;

/// Keeps snapshots small: they carry the history, and they are what a newcomer is sent.
const BYTES_MAX: u64 = 1024 * 1024;

/// Clients of etcd know revisions as signed numbers.
const REVISION_MAX: Revision = i64::MAX as Revision;

/// What a change costs beside names and values.
const CHANGE_OVERHEAD: u64 = 200;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct History {
    /// The newest belongs to the newest revision, the one before it to the one before, and so on.
    entries: VecDeque<Vec<Change>>,
    bytes: u64,
    oldest: Revision,
}

/// What was asked for is older than what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compacted {
    pub oldest: Revision,
}

impl From<Compacted> for Refusal {
    fn from(compacted: Compacted) -> Self {
        Self::Compacted { oldest: compacted.oldest }
    }
}

impl History {
    /// Adds the changes of a new revision, and forgets what has become too much. The newest entry always stays: whoever
    /// watches has to get it.
    pub fn add(&mut self, changes: Vec<Change>, revision: Revision) {
        self.bytes += weight(&changes);
        self.entries.push_back(changes);
        while self.entries.len() > 1 && (self.entries.len() > REVISIONS_MAX || self.bytes > BYTES_MAX) {
            self.forget_first(revision);
        }
    }

    /// From this revision on, everything is kept: how keys were then, and what changed then and since.
    pub fn oldest(&self) -> Revision {
        self.oldest
    }

    pub fn check(&self, at: Revision, newest: Revision) -> Result<(), Refusal> {
        if at > newest {
            return Err(Refusal::FutureRevision { newest });
        }
        if at < self.oldest {
            return Err(Compacted { oldest: self.oldest }.into());
        }
        Ok(())
    }

    /// Forgets what is older than this revision. Forgetting it again is refused, as etcd does.
    pub fn compact(&mut self, before: Revision, newest: Revision) -> Result<(), Refusal> {
        if before <= self.oldest {
            return Err(Compacted { oldest: self.oldest }.into());
        }
        self.check(before, newest)?;
        while !self.entries.is_empty() && self.first(newest) < before {
            self.forget_first(newest);
        }
        self.oldest = before;
        Ok(())
    }

    pub fn since(
        &self,
        keys: &Keys,
        from: Revision,
        newest: Revision,
    ) -> Result<Vec<(Revision, Vec<Change>)>, Compacted> {
        if from < self.oldest {
            return Err(Compacted { oldest: self.oldest });
        }
        let of_keys = |entry: &Vec<Change>| -> Vec<Change> {
            entry.iter().filter(|change| keys.contain(&change.now.key)).cloned().collect()
        };
        let asked = (self.first(newest)..).zip(&self.entries).filter(|(revision, _)| *revision >= from);
        Ok(asked.map(|(revision, entry)| (revision, of_keys(entry))).filter(|(_, found)| !found.is_empty()).collect())
    }

    /// All changes after this revision.
    pub fn newest_first(&self, after: Revision, newest: Revision) -> impl Iterator<Item = &Change> {
        let revisions = (self.first(newest)..=newest).rev();
        let asked = revisions.zip(self.entries.iter().rev()).take_while(move |(revision, _)| *revision > after);
        asked.flat_map(|(_, entry)| entry.iter().rev())
    }

    pub fn entries(&self) -> impl Iterator<Item = &Vec<Change>> {
        self.entries.iter()
    }

    /// As it was kept in a snapshot; `None` if the parts do not fit each other.
    pub fn restored(entries: VecDeque<Vec<Change>>, oldest: Revision, newest: Revision) -> Option<Self> {
        let first = newest.checked_add(1)?.checked_sub(entries.len() as u64)?;
        let bytes = entries.iter().map(|entry| weight(entry)).sum();
        // Revision 1 is the empty store, which no change has made.
        let fits = first == oldest.max(2) && oldest <= newest && newest < REVISION_MAX;
        fits.then_some(Self { entries, bytes, oldest })
    }

    /// The revision of the first entry; the one to come if there is none.
    fn first(&self, newest: Revision) -> Revision {
        newest + 1 - self.entries.len() as u64
    }

    fn forget_first(&mut self, newest: Revision) {
        let first = self.first(newest);
        if let Some(changes) = self.entries.pop_front() {
            self.bytes -= weight(&changes);
            self.oldest = first + 1;
        }
    }
}

fn weight(changes: &[Change]) -> u64 {
    let of_kv = |kv: &KeyValue| kv.key.len() as u64 + kv.value.len() as u64;
    let of_change = |change: &Change| CHANGE_OVERHEAD + of_kv(&change.now) + change.previous.as_ref().map_or(0, of_kv);
    changes.iter().map(of_change).sum()
}
