//! Those who watch all keys, and go on where they were when the watch is lost.
//!
//! The store keeps a bounded history. Whoever was cut off for too long has missed something, and is told so. Therefore
//! each voter has a watcher, and together they must have seen everything; and each must have seen all that the others
//! have, from where it began or had to begin anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tamada_raft::{ChangeKind, Changes, Client, Keys, Revision, WatchEnd};

use super::client::{PREFIX, key, value};
use super::revisions::Seen;

#[derive(Clone, Default)]
pub struct Watcher(Arc<Mutex<Vec<Stretch>>>);

/// What was seen from a revision on without a gap, if the store keeps its word.
#[derive(Clone, Debug)]
struct Stretch {
    from: Revision,
    seen: Vec<Seen>,
}

impl Watcher {
    /// The revision of the last change that was seen.
    pub fn reached(&self) -> Revision {
        self.0.lock().expect("nobody panics with it").last().map_or(0, Stretch::reached)
    }

    pub async fn watch(self, store: Client) {
        let mut from = 1;
        self.begin(from);
        loop {
            match store.watch(Keys::prefix(PREFIX), Some(from), Duration::from_secs(2)).await {
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(mut watch) => {
                    let end = loop {
                        match watch.next().await {
                            Ok(changes) => from = self.see(&changes) + 1,
                            Err(end) => break end,
                        }
                    };
                    if let WatchEnd::Compacted { oldest } = end {
                        from = oldest;
                        self.begin(from);
                    }
                }
            }
        }
    }

    fn begin(&self, from: Revision) {
        self.0.lock().expect("nobody panics with it").push(Stretch { from, seen: Vec::new() });
    }

    fn see(&self, changes: &Changes) -> Revision {
        let seen = changes.changes.iter().map(|change| Seen {
            revision: change.now.modified,
            key: key(&change.now.key),
            value: match change.kind {
                ChangeKind::Put => Some(value(&change.now.value)),
                ChangeKind::Delete => None,
            },
        });
        let mut stretches = self.0.lock().expect("nobody panics with it");
        stretches.last_mut().expect("one was begun").seen.extend(seen);
        changes.revision
    }
}

impl Stretch {
    fn reached(&self) -> Revision {
        self.seen.last().map_or(0, |seen| seen.revision)
    }
}

/// All that was seen, by revision.
pub fn seen_by_all(watchers: &[Watcher]) -> Result<Vec<Seen>, String> {
    let stretches = |watcher: &Watcher| watcher.0.lock().expect("nobody panics with it").clone();
    together(&watchers.iter().flat_map(stretches).collect::<Vec<_>>())
}

fn together(stretches: &[Stretch]) -> Result<Vec<Seen>, String> {
    let mut all = BTreeMap::new();
    for seen in stretches.iter().flat_map(|stretch| &stretch.seen) {
        let first = all.entry(seen.revision).or_insert(*seen);
        if first != seen {
            return Err(format!("one watcher saw {first:?}, another {seen:?}"));
        }
    }
    for stretch in stretches.iter().filter(|stretch| !stretch.seen.is_empty()) {
        let expected = all.range(stretch.from..=stretch.reached()).map(|(_, seen)| seen);
        let differs = |(expected, seen): &(&Seen, &Seen)| expected != seen;
        if let Some((expected, seen)) = expected.clone().zip(&stretch.seen).find(differs) {
            return Err(format!(
                "a watcher from {} on saw {seen:?} where it should have seen {expected:?}",
                stretch.from
            ));
        }
        if expected.count() != stretch.seen.len() {
            return Err(format!("a watcher from {} on saw something twice: {:?}", stretch.from, stretch.seen));
        }
    }
    Ok(all.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(revision: Revision) -> Seen {
        Seen { revision, key: 0, value: Some(revision) }
    }

    fn stretch(from: Revision, revisions: &[Revision]) -> Stretch {
        Stretch { from, seen: revisions.iter().copied().map(put).collect() }
    }

    #[test]
    fn who_begins_later_or_ends_earlier_misses_nothing() {
        let seen = together(&[stretch(1, &[2, 3, 4]), stretch(4, &[4, 5]), stretch(1, &[2]), stretch(6, &[])]);
        assert_eq!(seen, Ok([2, 3, 4, 5].map(put).to_vec()));
    }

    #[test]
    fn what_only_one_missed() {
        assert!(together(&[stretch(1, &[2, 3, 4]), stretch(1, &[2, 4])]).is_err());
        assert!(together(&[stretch(1, &[2, 3, 4]), stretch(1, &[3, 4])]).is_err());
    }

    #[test]
    fn what_was_seen_twice_or_out_of_order() {
        assert!(together(&[stretch(1, &[2, 3, 3])]).is_err());
        assert!(together(&[stretch(1, &[3, 2])]).is_err());
        assert!(together(&[stretch(3, &[2, 3])]).is_err());
    }

    #[test]
    fn what_two_saw_differently() {
        let other = Stretch { from: 1, seen: vec![Seen { value: None, ..put(2) }] };
        assert!(together(&[stretch(1, &[2]), other]).is_err());
    }
}
