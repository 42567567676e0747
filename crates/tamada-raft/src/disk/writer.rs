//! The one thread that writes.
//!
//! A sync takes as long as the disk likes, so it is not for the thread that answers peers. And it takes the same time for
//! one change as for a hundred: whatever is queued when the last commit ends goes into the next.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use redb::Database;
use tokio::sync::oneshot;
use tracing::warn;

use super::medium::Patience;
use super::seen::Seen;
use super::tables::{self, Change};
use super::trouble::{Trouble, closed, guarded};
use crate::clock;

/// So many bytes make a commit big enough; the next may wait its turn.
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

/// A disk that takes longer makes every write of the store take longer, and should be known.
const SLOW: Duration = Duration::from_millis(250);

/// A disk that stays slow is not worth a line per write.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);

pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

pub(super) enum When {
    /// To be called when it is safe.
    Now(Done),
    /// With the next that is to be safe now.
    Later,
}

pub(super) enum Job {
    Write(Vec<Change>, When),
    Stop(oneshot::Sender<()>),
}

/// Not bounded by itself: whoever waits for its answer before it asks again, as the consensus library does, never has more
/// than a few jobs in it.
#[derive(Clone)]
pub(super) struct Queue(Sender<Job>);

impl Queue {
    /// A writer that has ended answers that the store is closed.
    pub(super) fn send(&self, job: Job) {
        if let Err(mpsc::SendError(Job::Write(_, When::Now(done)))) = self.0.send(job) {
            done(Err(closed()));
        }
    }
}

struct Writer {
    database: Arc<Database>,
    /// The number of the last commit.
    last: u64,
    seen: Seen,
    patience: Arc<Patience>,
    complained: Option<Duration>,
    /// What travels with the next commit.
    changes: Vec<Change>,
    bytes: usize,
    /// Who waits for it.
    waiting: Vec<Done>,
}

pub(super) fn start(database: Arc<Database>, last: u64, seen: Seen, patience: Arc<Patience>) -> io::Result<Queue> {
    let (queue, jobs) = mpsc::channel();
    let writer =
        Writer { database, last, seen, patience, complained: None, changes: Vec::new(), bytes: 0, waiting: Vec::new() };
    thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(&jobs))?;
    Ok(Queue(queue))
}

/// Whoever told us to stop is answered when we hold nothing any more.
fn release(writer: Writer, stop: Option<oneshot::Sender<()>>) {
    drop(writer);
    drop(stop);
}

impl Writer {
    /// Until it is told to stop, nobody is left to tell it, or a write fails.
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let stop = self.gather(job, jobs);
            let is_due = stop.is_some() || !self.waiting.is_empty();
            if is_due && let Err(trouble) = self.commit() {
                self.fail(trouble);
                return release(self, stop);
            }
            if stop.is_some() {
                return release(self, stop);
            }
        }
    }

    /// Takes what is queued. Returns who wants us to stop.
    fn gather(&mut self, first: Job, jobs: &Receiver<Job>) -> Option<oneshot::Sender<()>> {
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Stop(done) => return Some(done),
                Job::Write(changes, when) => self.take(changes, when),
            }
            next = if self.bytes < BYTES_AT_ONCE { jobs.try_recv().ok() } else { None };
        }
        None
    }

    fn take(&mut self, changes: Vec<Change>, when: When) {
        self.bytes += changes.iter().map(Change::bytes).sum::<usize>();
        self.changes.extend(changes);
        match when {
            When::Now(done) => self.waiting.push(done),
            When::Later => {}
        }
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        let began = clock::now();
        if !self.changes.is_empty() {
            self.patience.set_busy(Some(began));
            let written = guarded(|| self.write(self.last + 1));
            self.patience.set_busy(None);
            written?;
            self.last += 1;
        }
        self.complain_if_slow(began);
        self.changes.clear();
        self.bytes = 0;
        self.waiting.drain(..).for_each(|done| done(Ok(())));
        Ok(())
    }

    fn write(&self, commit: u64) -> Result<(), Trouble> {
        // Synced when the commit returns: that is redb's default.
        let transaction = self.database.begin_write()?;
        self.changes.iter().try_for_each(|change| tables::change(&transaction, change))?;
        tables::number(&transaction, commit)?;
        transaction.commit()?;
        self.seen.note(commit)?;
        Ok(())
    }

    fn complain_if_slow(&mut self, began: Duration) {
        let now = clock::now();
        let took = now.saturating_sub(began);
        let is_due = self.complained.is_none_or(|last| now.saturating_sub(last) >= BETWEEN_COMPLAINTS);
        if took >= SLOW && is_due {
            self.complained = Some(now);
            warn!(took_ms = took.as_millis(), "the disk of the store is slow to confirm a write");
        }
    }

    /// What was written may not be on the disk. Whoever waits is told, and so is everybody who comes.
    fn fail(&mut self, trouble: Trouble) {
        self.patience.failed(&trouble);
        let error = io::Error::from(trouble);
        let same = || io::Error::new(error.kind(), error.to_string());
        self.waiting.drain(..).for_each(|done| done(Err(same())));
    }
}
