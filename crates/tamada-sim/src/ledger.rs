//! What clients were told: each write, and what may be believed about it.

use crate::wal::Point;
use crate::{Host, Moment};

pub type WriteId = u64;

#[derive(Clone, Debug)]
pub struct Write {
    pub by: usize,
    pub asked: Moment,
    pub fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// On its way, or never answered.
    Open,
    /// PostgreSQL said yes, here, to a client that may or may not have heard it.
    Acknowledged {
        host: Host,
        at: Moment,
        /// Where its commit ends in the WAL.
        end: Point,
        /// Standbys were waited for.
        synchronous: bool,
    },
    Refused,
}

/// One that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    pub id: WriteId,
    pub host: Host,
    pub end: Point,
    pub synchronous: bool,
}

/// All of them, by number.
#[derive(Debug, Default)]
pub struct Ledger {
    writes: Vec<Write>,
    /// Acknowledged, and left behind by a promotion, within what was promised.
    lost: u64,
    pub promotions: u64,
    acknowledged: u64,
}

impl Ledger {
    pub fn begin(&mut self, by: usize, asked: Moment) -> WriteId {
        self.writes.push(Write { by, asked, fate: Fate::Open });
        self.writes.len() as WriteId - 1
    }

    pub fn get(&self, id: WriteId) -> &Write {
        &self.writes[id as usize]
    }

    pub fn settle(&mut self, id: WriteId, fate: Fate) {
        let write = &mut self.writes[id as usize];
        if let (Fate::Open, Fate::Acknowledged { .. }) = (write.fate, fate) {
            self.acknowledged += 1;
        }
        if write.fate == Fate::Open {
            write.fate = fate;
        }
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    pub fn lost(&self) -> u64 {
        self.lost
    }

    pub fn count_lost(&mut self, more: u64) {
        self.lost += more;
    }

    /// Acknowledged writes, newest first.
    pub fn newest(&self) -> impl Iterator<Item = Acknowledged> {
        self.writes.iter().enumerate().rev().filter_map(|(id, write)| match write.fate {
            Fate::Acknowledged { host, end, synchronous, .. } => {
                Some(Acknowledged { id: id as WriteId, host, end, synchronous })
            }
            Fate::Open | Fate::Refused => None,
        })
    }
}
