//! I1: what was acknowledged is not lost, where that is promised: by a switchover, and in synchronous and quorum mode.
//!
//! A switchover: the old leader stopped cleanly, waited for a successor that has everything, and gave the lock away.
//! Synchronous: the commit waited for a standby of the `sync` key, and only one of those may lead next.

use tamada_model::Job;

use super::{Seen, Violation};
use crate::Host;
use crate::ledger::Acknowledged;
use crate::postgres::News;
use crate::wal::Point;
use crate::world::World;

#[derive(Debug, Default)]
pub struct NoLoss {
    /// It stops for a switchover.
    stopping: Option<Host>,
    /// Where its WAL ended when it gave the lock away.
    handed_over: Option<(Host, Point)>,
}

impl NoLoss {
    pub fn begins(&mut self, host: Host, job: &Job) {
        match job {
            Job::Stop(stop) if stop.purpose.starts_with("switchover") => self.stopping = Some(host),
            Job::Promote { .. } | Job::StartPrimary { .. } if self.stopping == Some(host) => self.forget(),
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.stopping = None;
        self.handed_over = None;
    }

    /// What an operator takes away is no longer the agents' to keep.
    pub fn meddled(&mut self) {
        self.forget();
    }

    /// It gave the lock away, and did not just lose it.
    pub fn released(&mut self, host: Host, world: &World) {
        let stopped = self.stopping.take() == Some(host) && !world.fleet.is_writable(host);
        self.handed_over = world.fleet.data(host).filter(|_| stopped).map(|point| (host, point));
    }

    pub fn news(&mut self, news: &News, world: &World) -> Seen {
        let News::Promoted { host, branch } = news else {
            return Ok(());
        };
        // It was about to be promoted, and slept: nobody will lead from here.
        if world.just_woke(*host) {
            return Ok(());
        }
        let wal = world.fleet.wal();
        let here = (*branch, wal.branch(*branch).end);
        let handed_over = self.handed_over.take().filter(|(from, _)| from != host);
        let promised = |write: &Acknowledged| {
            write.synchronous || handed_over.is_some_and(|(_, end)| wal.is_ancestor(write.end, end))
        };
        // Older ones were looked for when those were promoted who have them.
        let mut lost = world.ledger.newest().take(500).filter(|write| !wal.is_ancestor(write.end, here));
        match lost.find(promised) {
            None => Ok(()),
            Some(write) => {
                let (by, to) = (write.host.name(), host.name());
                let how = if write.synchronous { "synchronously " } else { "" };
                let what = format!("write {} was acknowledged {how}by {by}, and {to} leads without it", write.id);
                Err(Violation::new("I1 nothing is lost", what))
            }
        }
    }
}
