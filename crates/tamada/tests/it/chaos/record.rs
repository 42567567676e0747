//! What the clients asked for, and what they were told.
//!
//! Every row has a number of its own and is asked for once, so that whoever finds it knows which write it comes from.
//! All instants are of one clock that never steps, counted from the beginning of the record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who acknowledged a row, and where in the WAL the server was when it wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct By {
    pub member: usize,
    pub timeline: u32,
    pub lsn: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Acknowledged {
        at: Duration,
        by: By,
    },
    /// It may have happened, or may happen at any time later, or never.
    Unknown,
    /// The server said that it did not and will not happen.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Write {
    pub row: u64,
    pub asked: Duration,
    pub end: End,
}

impl Write {
    /// When it was acknowledged, and by whom.
    pub fn acknowledged(&self) -> Option<(Duration, By)> {
        match self.end {
            End::Acknowledged { at, by } => Some((at, by)),
            End::Unknown | End::Refused => None,
        }
    }
}

pub struct Record {
    begun: Instant,
    is_over: AtomicBool,
    writes: Mutex<Vec<Write>>,
}

/// The place of a write in the record.
pub struct Asked(usize);

impl Record {
    pub fn new() -> Self {
        Self { begun: Instant::now(), is_over: AtomicBool::new(false), writes: Mutex::default() }
    }

    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// To be called before anything is sent: as long as nothing else is known, the end is unknown.
    pub fn ask(&self, row: u64) -> Asked {
        let asked = self.now();
        let mut writes = self.lock();
        writes.push(Write { row, asked, end: End::Unknown });
        Asked(writes.len() - 1)
    }

    pub fn acknowledge(&self, Asked(place): &Asked, by: By) {
        let at = self.now();
        self.lock()[*place].end = End::Acknowledged { at, by };
    }

    pub fn refuse(&self, Asked(place): &Asked) {
        self.lock()[*place].end = End::Refused;
    }

    /// How many writes are acknowledged that were asked for since.
    pub fn acknowledged_since(&self, since: Duration) -> usize {
        let writes = self.lock();
        writes.iter().filter(|write| write.asked >= since && write.acknowledged().is_some()).count()
    }

    pub fn first_acknowledged_since(&self, since: Duration) -> Option<Duration> {
        let writes = self.lock();
        let asked_since = writes.iter().filter(|write| write.asked >= since);
        asked_since.filter_map(|write| write.acknowledged().map(|(at, _)| at)).min()
    }

    /// Who acknowledged the last row.
    pub fn last_by(&self) -> Option<usize> {
        let writes = self.lock();
        writes.iter().filter_map(Write::acknowledged).max_by_key(|(at, _)| *at).map(|(_, by)| by.member)
    }

    /// These are lost, and that was told: from now on nobody expects them.
    pub fn write_off(&self, lost: &[u64]) {
        let mut writes = self.lock();
        writes.iter_mut().filter(|write| lost.contains(&write.row)).for_each(|write| write.end = End::Unknown);
    }

    pub fn open(&self) {
        self.is_over.store(false, Ordering::Relaxed);
    }

    /// No client asks for more.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn writes(&self) -> Vec<Write> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
