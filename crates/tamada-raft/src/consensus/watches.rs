//! Who is told about changes.
//!
//! A watch has a queue of its own, and the keys do not wait for it: one that does not take its changes away is ended, and
//! told so. Whoever it was for reads again, and watches anew.

use tokio::sync::mpsc;

use crate::client::{Changes, Watch, WatchEnd};
use crate::keyspace::Keyspace;
use crate::{Change, Keys, Revision};

/// Revisions that wait for one watch. A cluster at rest makes a few a second.
const QUEUE: usize = 256;

#[derive(Default)]
pub(super) struct Watches(Vec<Watcher>);

struct Watcher {
    keys: Keys,
    /// What is older is not asked for.
    from: Revision,
    /// The last place is kept for the word that ends it.
    queue: mpsc::Sender<Result<Changes, WatchEnd>>,
}

/// Whether a watch goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Goes,
    Ended,
}

impl Watches {
    /// Begins with what has happened from this revision on, if it is given.
    pub(super) fn begin(&mut self, keyspace: &Keyspace, keys: Keys, from: Option<Revision>) -> Watch {
        let began_at = keyspace.revision();
        let from = from.unwrap_or(began_at + 1);
        let past = keyspace.changes_since(&keys, from);
        let (queue, changes) = mpsc::channel(past.as_ref().map_or(0, Vec::len) + QUEUE + 1);
        let watch = Watcher { keys, from, queue };
        match past {
            Ok(past) => {
                // The queue is long enough for all of it.
                watch.tell_all(past);
                self.0.push(watch);
            }
            Err(compacted) => watch.end(WatchEnd::Compacted { oldest: compacted.oldest }),
        }
        Watch { began_at, changes }
    }

    /// Everything that one revision changed.
    pub(super) fn tell(&mut self, revision: Revision, changes: &[Change]) {
        self.0.retain(|watch| match watch.interest(revision, changes) {
            watched if watched.is_empty() => !watch.queue.is_closed(),
            watched => watch.tell(revision, watched) == Standing::Goes,
        });
    }

    /// After the keys came as a whole: tells what happened since this revision, as far as it is known.
    pub(super) fn tell_since(&mut self, last: Revision, keyspace: &Keyspace) {
        self.0.retain(|watch| match keyspace.changes_since(&watch.keys, watch.from.max(last + 1)) {
            Ok(missed) => watch.tell_all(missed) == Standing::Goes,
            Err(compacted) => {
                watch.end(WatchEnd::Compacted { oldest: compacted.oldest });
                false
            }
        });
    }
}

impl Watcher {
    fn interest(&self, revision: Revision, changes: &[Change]) -> Vec<Change> {
        if revision < self.from {
            return Vec::new();
        }
        changes.iter().filter(|change| self.keys.contain(&change.now.key)).cloned().collect()
    }

    fn tell_all(&self, told: Vec<(Revision, Vec<Change>)>) -> Standing {
        for (revision, changes) in told {
            if self.tell(revision, changes) == Standing::Ended {
                return Standing::Ended;
            }
        }
        Standing::Goes
    }

    fn tell(&self, revision: Revision, changes: Vec<Change>) -> Standing {
        if self.queue.capacity() <= 1 {
            self.end(WatchEnd::Lost("its changes were not taken away".to_owned()));
            return Standing::Ended;
        }
        match self.queue.try_send(Ok(Changes { revision, changes })) {
            Ok(()) => Standing::Goes,
            Err(_) => Standing::Ended,
        }
    }

    fn end(&self, why: WatchEnd) {
        // Nobody is there to hear it if this fails.
        let _ = self.queue.try_send(Err(why));
    }
}
