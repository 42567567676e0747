//! I5: a data directory is never removed unless another member has everything that is in it, or an operator agreed.

use std::collections::BTreeSet;

use tamada_model::Job;

use super::{Seen, Violation};
use crate::Host;
use crate::postgres::{News, Remover};
use crate::world::World;

#[derive(Debug, Default)]
pub struct DataKept {
    allowed: BTreeSet<Host>,
}

impl DataKept {
    pub fn allowed(&mut self, host: Host) {
        self.allowed.insert(host);
    }

    /// What an operator agreed to is done once.
    pub fn begins(&mut self, host: Host, job: &Job) {
        match job {
            Job::Promote { .. } | Job::StartPrimary { .. } => drop(self.allowed.remove(&host)),
            _ => {}
        }
    }

    pub fn news(&mut self, news: &News, world: &World) -> Seen {
        let News::Removed { host, by, had } = news else {
            return Ok(());
        };
        let wal = world.fleet.wal();
        let elsewhere = world
            .hosts()
            .filter(|other| other != host)
            .filter_map(|other| world.fleet.data(other))
            .any(|point| wal.is_ancestor(*had, point));
        // What a bootstrap made that came to nothing is put aside, not removed.
        let aside = *by == Remover::AbandonBootstrap;
        if elsewhere || aside || *by == Remover::Hand || self.allowed.contains(host) {
            return Ok(());
        }
        let what = format!("{} removed its data, and nobody has all of it", host.name());
        Err(Violation::new("I5 data is kept", what))
    }
}
