//! What the clients of a test did, and what they were told.
//!
//! Every value is written once in a test, so that whoever reads it knows which write it comes from. All instants are of
//! one clock that never steps, counted from the beginning of the test.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tamada_raft::Revision;

/// What a key held: a value, and the revision at which it got it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub value: u64,
    pub modified: Revision,
}

/// What a client asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Get,
    /// A get that may lag, but not behind this revision.
    GetLate(Revision),
    Put(u64),
    /// A put, if the key was modified last at this revision (0: if there is no such key).
    Swap {
        expected: Revision,
        value: u64,
    },
    Delete,
}

/// What the client was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// What the key held before, what it holds now, and the store's revision after that.
    Done { saw: Option<Entry>, left: Option<Entry>, revision: Revision },
    /// It may have happened, or may happen at any time later, or never.
    Unclear,
    /// It has not happened, and never will.
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    pub client: usize,
    pub key: usize,
    pub act: Act,
    pub asked: Duration,
    pub ended: Duration,
    pub end: End,
}

impl Op {
    /// The value that it writes, if it writes one.
    pub fn value(&self) -> Option<u64> {
        match self.act {
            Act::Put(value) | Act::Swap { value, .. } => Some(value),
            Act::Get | Act::GetLate(_) | Act::Delete => None,
        }
    }

    pub fn is_done(&self) -> bool {
        match self.end {
            End::Done { .. } => true,
            End::Unclear | End::Failed => false,
        }
    }

    /// It certainly changed something.
    pub fn changed(&self) -> bool {
        match self.end {
            End::Done { saw, left, .. } => saw != left,
            End::Unclear | End::Failed => false,
        }
    }

    pub fn is_acknowledged_write(&self) -> bool {
        match self.act {
            Act::Put(_) | Act::Swap { .. } | Act::Delete => self.is_done(),
            Act::Get | Act::GetLate(_) => false,
        }
    }
}

/// The operations of all clients, as they end.
pub struct Record {
    begun: Instant,
    ops: Mutex<Vec<Op>>,
    over: AtomicBool,
}

impl Record {
    pub fn new() -> Self {
        Self { begun: Instant::now(), ops: Mutex::default(), over: AtomicBool::new(false) }
    }

    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn add(&self, op: Op) {
        self.ops.lock().expect("nobody panics with it").push(op);
    }

    /// Nobody shall begin anything more.
    pub fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn ops(&self) -> Vec<Op> {
        self.ops.lock().expect("nobody panics with it").clone()
    }

    /// How many writes were acknowledged that had been asked for at this instant or later.
    pub fn acknowledged_since(&self, since: Duration) -> usize {
        let ops = self.ops.lock().expect("nobody panics with it");
        ops.iter().rev().filter(|op| op.asked >= since && op.is_acknowledged_write()).count()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.value, self.modified)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asked, ended) = (self.asked.as_secs_f64(), self.ended.as_secs_f64());
        write!(f, "{asked:.6}–{ended:.6} client {} key {} {:?}: {:?}", self.client, self.key, self.act, self.end)
    }
}
