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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::hands::{A, B, with_b_behind};
    use super::*;

    fn removed(world: &World, host: Host, by: Remover) -> News {
        News::Removed { host, by, had: world.fleet.data(host).expect("it had data") }
    }

    #[test]
    fn what_others_have_may_go() {
        let world = with_b_behind();
        let news = removed(&world, B, Remover::Clone);
        assert_eq!(DataKept::default().news(&news, &world), Ok(()));
    }

    #[test]
    fn what_nobody_else_has_may_not_unless_by_hand() {
        let mut world = with_b_behind();
        // Then nobody but `a` has its last writes.
        world.with_fleet(|fleet, now, _| fleet.wipe_data(Host(2), now));
        world.passes(Duration::from_secs(1));
        for by in [Remover::Clone, Remover::Reinitialize, Remover::RemoveData] {
            let news = removed(&world, A, by);
            assert!(DataKept::default().news(&news, &world).is_err(), "{by:?}");
        }
        let news = removed(&world, A, Remover::Hand);
        assert_eq!(DataKept::default().news(&news, &world), Ok(()));
    }

    #[test]
    fn an_operator_agrees_for_one_time() {
        let mut world = with_b_behind();
        world.with_fleet(|fleet, now, _| fleet.wipe_data(Host(2), now));
        world.passes(Duration::from_secs(1));
        let news = removed(&world, A, Remover::Reinitialize);
        let mut promise = DataKept::default();
        promise.allowed(A);
        assert_eq!(promise.news(&news, &world), Ok(()));
        promise.begins(A, &Job::Promote { wait: Duration::from_secs(1) });
        assert!(promise.news(&news, &world).is_err());
    }
}
