//! Clients of all kinds at once, and the judgement over what they saw.
//!
//! Each voter has a client that asks nobody else, so that one which is cut off is asked too; others ask whoever answers.
//! Each voter has one who watches. One holds leases, and one looks whether they are there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tamada_raft::Client;
use tokio::task::JoinHandle;

use super::client::{KEYS, Worker};
use super::history::{Act, End, Op, Record};
use super::lease::Leases;
use super::voters::Voters;
use super::watcher::{Watcher, seen_by_all};
use super::{linear, revisions};
use crate::town::wait;

const ASKING_ANYBODY: usize = 3;

pub struct Workload {
    /// What the dice of all clients begin with.
    seed: u64,
    record: Arc<Record>,
    watchers: Vec<Watcher>,
    leases: Leases,
    workers: usize,
    /// Those that end by themselves when the record is closed.
    tasks: Vec<JoinHandle<()>>,
    /// Those that have to be stopped.
    watching: Vec<JoinHandle<()>>,
}

/// How much a history proves.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub done: usize,
    pub unclear: usize,
    pub failed: usize,
    pub changes: usize,
    pub leases: usize,
}

impl Workload {
    pub fn start(voters: &Voters, seed: u64) -> Self {
        let record = Arc::new(Record::new());
        let leases = Leases::new(record.clone());
        let watchers: Vec<Watcher> = voters.all().map(|_| Watcher::default()).collect();
        let watch =
            |(at, watcher): (usize, &Watcher)| voters.outside.start(watcher.clone().watch(voters.client_of(at)));
        let watching = watchers.iter().enumerate().map(watch).collect();
        let holding = voters.outside.start(leases.clone().hold(voters.client(2)));
        let looking = voters.outside.start(leases.clone().look(voters.client(0)));
        let tasks = vec![holding, looking];
        let mut workload = Self { seed, record, watchers, leases, workers: 0, tasks, watching };
        for at in voters.all() {
            workload.employ(voters, voters.client_of(at));
        }
        for at in 0..ASKING_ANYBODY {
            workload.employ(voters, voters.client(at));
        }
        workload
    }

    fn employ(&mut self, voters: &Voters, store: Client) {
        let worker = self.worker(store);
        self.tasks.push(voters.outside.start(worker.work()));
    }

    fn worker(&mut self, store: Client) -> Worker {
        self.workers += 1;
        Worker::new(self.workers, store, self.record.clone(), self.seed)
    }

    /// Waits until so many writes are acknowledged that were asked for from now on.
    pub fn goes_on_for(&self, writes: usize) {
        let since = self.record.now();
        wait("writes are acknowledged", || (self.record.acknowledged_since(since) >= writes).then_some(()));
    }

    /// So many writes are acknowledged that were asked for in this time.
    pub fn acknowledged_in(&self, time: Duration) -> usize {
        let since = self.record.now();
        wait("time passes", || (self.record.now() > since + time).then_some(()));
        self.record.acknowledged_since(since)
    }

    /// All voters run and hear each other again: everything is brought to an end and judged.
    pub fn judge(mut self, voters: &Voters) -> Tally {
        voters.wait_for_whole();
        self.record.close();
        for task in std::mem::take(&mut self.tasks) {
            wait("a client comes to its end", || task.is_finished().then_some(()));
            voters.outside.ask(task).expect("no client found anything that cannot be");
        }
        let newest = self.last_words(voters);
        let is_there = |watcher: &Watcher| watcher.reached() >= newest;
        wait("all watchers see the last change", || self.watchers.iter().all(is_there).then_some(()));
        self.watching.iter().for_each(JoinHandle::abort);
        voters.wait_for_agreement(newest);
        self.verdict().unwrap_or_else(|why| panic!("seed {}: {why}", self.seed))
    }

    /// Writes and reads every key once more, and answers the revision of the last write.
    fn last_words(&mut self, voters: &Voters) -> u64 {
        let mut worker = self.worker(voters.client(0));
        voters.outside.ask(async move {
            for key in 0..KEYS {
                worker.insist(key, |_| Act::Get).await;
                worker.insist(key, |worker| Act::Put(worker.next_value())).await;
                worker.insist(key, |_| Act::Get).await;
            }
            worker.newest()
        })
    }

    fn verdict(&self) -> Result<Tally, String> {
        let (ops, seen) = (self.record.ops(), seen_by_all(&self.watchers)?);
        revisions::check(&ops, &seen)?;
        for key in 0..KEYS {
            let of_key: Vec<Op> = ops.iter().filter(|op| op.key == key).copied().collect();
            linear::check(&of_key)?;
        }
        let ended = |how: fn(&End) -> bool| ops.iter().filter(|op| how(&op.end)).count();
        Ok(Tally {
            done: ended(|end| matches!(end, End::Done { .. })),
            unclear: ended(|end| matches!(end, End::Unclear)),
            failed: ended(|end| matches!(end, End::Failed)),
            changes: seen.len(),
            leases: self.leases.check()?,
        })
    }
}

impl Tally {
    pub fn and(self, other: Self) -> Self {
        Self {
            done: self.done + other.done,
            unclear: self.unclear + other.unclear,
            failed: self.failed + other.failed,
            changes: self.changes + other.changes,
            leases: self.leases + other.leases,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, unclear, failed, changes, leases } = self;
        write!(f, "{done} operations done, {unclear} unclear, {failed} failed; {changes} changes seen, {leases} leases")
    }
}
