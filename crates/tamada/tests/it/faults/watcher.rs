//! One who watches all keys from the first revision on, and goes on where he was when the watch is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tamada_raft::{ChangeKind, Changes, Client, Keys, Revision, WatchEnd};

use super::client::{PREFIX, key, value};
use super::revisions::Seen;

#[derive(Clone, Default)]
pub struct Watcher(Arc<Mutex<Vec<Seen>>>);

impl Watcher {
    pub fn seen(&self) -> Vec<Seen> {
        self.0.lock().expect("nobody panics with it").clone()
    }

    /// The revision of the last change that was seen.
    pub fn reached(&self) -> Revision {
        self.0.lock().expect("nobody panics with it").last().map_or(0, |seen| seen.revision)
    }

    pub async fn watch(self, store: Client) {
        let mut from = 1;
        loop {
            let watch = store.watch(Keys::prefix(PREFIX), Some(from), Duration::from_secs(2)).await;
            let Ok(mut watch) = watch else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let end = loop {
                match watch.next().await {
                    Ok(changes) => from = self.see(&changes) + 1,
                    Err(end) => break end,
                }
            };
            match end {
                WatchEnd::Lost(_) => {}
                WatchEnd::Compacted { oldest } => panic!("the watcher needs revision {from}, the oldest is {oldest}"),
            }
        }
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
        self.0.lock().expect("nobody panics with it").extend(seen);
        changes.revision
    }
}
