//! The watch that rings the bell.
//!
//! One that broke goes on where it was: what happened in between is told. Only where the store does not keep that any
//! more it begins at "now", and rings once, as it does at its very beginning: whoever hears it reads.

use std::sync::atomic::Ordering;

use tamada_raft::{Change, ChangeKind, Trouble, Watch, WatchEnd};
use tracing::debug;

use super::store::Embedded;
use crate::bell::{Happened, Ringer};
use crate::tree::Watched;

impl Watched for Embedded {
    async fn watch(&self, bell: &Ringer) {
        let (told, seen) = (self.watched.load(Ordering::Relaxed), self.seen_so_far());
        // A voter that lags would tell as news what we were told before, so the beginning is not left to it.
        let known = if told == 0 { seen } else { told };
        let from = (known != 0).then_some(known + 1);
        match self.client.watch(self.whole_tree(), from, self.times().retry_timeout).await {
            Ok(watch) => {
                if told == 0 {
                    self.watched.store(seen.max(watch.began_at()), Ordering::Relaxed);
                    bell.ring();
                }
                self.listen(watch, bell).await;
            }
            Err(Trouble::Unreachable(why)) => debug!("no watch: {why}"),
            Err(Trouble::Refused(why)) => {
                debug!("no watch: {why}");
                self.watched.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl Embedded {
    async fn listen(&self, mut watch: Watch, bell: &Ringer) {
        loop {
            match watch.next().await {
                Ok(changes) => {
                    // Whoever hears the bell reads, and must not be shown less than what it rang for.
                    self.seen(changes.revision);
                    self.watched.store(changes.revision, Ordering::Relaxed);
                    bell.hear(&self.ours, changes.changes.iter().map(|change| (&*change.now.key, happened(change))));
                }
                Err(WatchEnd::Lost(why)) => {
                    debug!("watch lost: {why}");
                    return;
                }
                Err(WatchEnd::Compacted { oldest }) => {
                    debug!("watch begins anew: what was before revision {oldest} is not kept");
                    self.seen(oldest);
                    self.watched.store(0, Ordering::Relaxed);
                    return;
                }
            }
        }
    }
}

fn happened(change: &Change) -> Happened {
    match (change.kind, change.now.version) {
        (ChangeKind::Delete, _) => Happened::Deleted,
        (ChangeKind::Put, 1) => Happened::Created,
        (ChangeKind::Put, _) => Happened::Changed,
    }
}
