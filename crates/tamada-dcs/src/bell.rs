//! The bell: rings when a key changed that may concern a member, and whenever the watch had to begin anew.
//!
//! It carries no data, so nothing can be lost with it: whoever hears it reads. The rejected idea: following revisions
//! into a cache, and a cache can be wrong.

use std::sync::Arc;
use std::time::Duration;

use tamada_wire::keys::{CONFIG, FAILOVER, INITIALIZE, LEADER, MEMBERS, STATUS, SYNC};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::clock::mono;
use crate::ours::Ours;
use crate::tree::Tree;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A store that is away costs one attempt in this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub struct Bell {
    rung: watch::Receiver<u64>,
    watcher: AbortHandle,
}

impl Bell {
    /// Watches from now on, until the bell is dropped.
    pub fn hang<T: Tree>(tree: Arc<T>) -> Self {
        let (ring, rung) = watch::channel(0);
        let watcher = tokio::spawn(keep_watch(tree, Ringer(ring))).abort_handle();
        Self { rung, watcher }
    }

    pub fn listen(&self) -> watch::Receiver<u64> {
        self.rung.clone()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

async fn keep_watch<T: Tree>(tree: Arc<T>, ringer: Ringer) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = mono();
        tree.watch(&ringer).await;
        // One that lasted may begin anew at once; one that breaks again and again may not.
        pause = if mono().since(begun) > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        let jitter = pause.mul_f64(fastrand::f64() / 4.0);
        tokio::time::sleep(pause + jitter).await;
    }
}

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happened {
    Created,
    Changed,
    Deleted,
}

pub struct Ringer(watch::Sender<u64>);

impl Ringer {
    pub fn ring(&self) {
        self.0.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// Rings once if any of these concerns us.
    pub fn hear<'k>(&self, ours: &Ours, events: impl IntoIterator<Item = (&'k [u8], Happened)>) {
        let mut concerned = false;
        for (key, happened) in events {
            forget_lost_member(ours, key, happened);
            concerned |= concerns(ours, key, happened);
        }
        if concerned {
            self.ring();
        }
    }
}

fn concerns(ours: &Ours, key: &[u8], happened: Happened) -> bool {
    match ours.keys.relative(key) {
        Some(LEADER | CONFIG | FAILOVER | SYNC | INITIALIZE) => true,
        Some(STATUS) => !ours.is_leading(),
        // Coming or going; what a member tells about itself in between is read at the next pass.
        Some(key) => key.starts_with(MEMBERS) && happened != Happened::Changed,
        None => false,
    }
}

/// Our member key was deleted, by hand or by the end of its lease: it must be written again.
fn forget_lost_member(ours: &Ours, key: &[u8], happened: Happened) {
    if happened == Happened::Deleted && key == ours.member_key() {
        ours.publish(None);
    }
}
