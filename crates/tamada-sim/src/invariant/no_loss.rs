//! I1: what was acknowledged is not lost, where that is promised: by a switchover, and in synchronous and quorum mode.
//!
//! A switchover: the old leader stopped cleanly, waited for a successor that has everything, and gave the lock away.
//! Synchronous: the commit waited for a standby of the `sync` key, and only one of those may lead next, unless an operator
//! wants another.

use std::collections::BTreeSet;
use std::time::Duration;

use tamada_model::Job;
use tamada_wire::keys;

use super::{Seen, Violation};
use crate::ledger::Acknowledged;
use crate::postgres::News;
use crate::store::{Changed, Changes};
use crate::wal::{Point, WriteId};
use crate::world::World;
use crate::{Host, Moment};

/// Whoever proved to have everything has so long to take the lock. If it is gone by then, it is a failover like any other.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct NoLoss {
    /// It stops for a switchover.
    stopping: Option<Host>,
    /// Where its WAL ended when it gave the lock away, and when that was.
    handed_over: Option<(Host, Point, Moment)>,
    /// Somebody told these to promote themselves.
    by_hand: BTreeSet<Host>,
    /// The same, and they have not written the `sync` key since. Nobody says for whom their commits wait.
    unsettled: BTreeSet<Host>,
    /// What such a one has acknowledged, and all that was before one took the lock, or before somebody was promoted at an
    /// operator's wish: it discards what it lacks.
    unpromised: BTreeSet<WriteId>,
    unpromised_before: WriteId,
}

impl NoLoss {
    pub fn begins(&mut self, host: Host, job: &Job) {
        match job {
            Job::Stop(stop) if stop.purpose.starts_with("switchover") => self.stopping = Some(host),
            Job::Promote { .. } | Job::StartPrimary { .. } if self.stopping == Some(host) => self.forget(),
            // It has given up the switchover, and kept its lock.
            Job::StartStandby { .. } if self.stopping == Some(host) => self.stopping = None,
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.stopping = None;
        self.handed_over = None;
    }

    /// It is to be shut down: it goes whether or not anybody has everything.
    pub fn leaves(&mut self, host: Host) {
        if self.stopping == Some(host) {
            self.forget();
        }
    }

    /// Its agent is gone before it gave the lock away. The next one knows of no switchover: it begins anew, or, in pause,
    /// leaves a PostgreSQL that is down to the others, as after any crash.
    pub fn dies(&mut self, host: Host) {
        self.stopping.take_if(|stopping| *stopping == host);
    }

    /// What an operator takes away is no longer the agents' to keep.
    pub fn meddled(&mut self) {
        self.forget();
    }

    /// It may take its time: whoever is handed the lock meanwhile is somebody else.
    pub fn promoted_by_hand(&mut self, host: Host) {
        self.by_hand.insert(host);
        self.unsettled.insert(host);
    }

    /// The request is gone, and the lock is not: the switchover was given up. Whatever makes it give the lock away now (a
    /// disk that hangs), that is a failover like any other.
    pub fn store_changed(&mut self, changes: &Changes, world: &World) {
        let discards = |host: &Host| self.unsettled.contains(host) || world.leads_at_any_cost(*host);
        if world.hosts().filter(|host| leads(*host, world)).any(|host| discards(&host)) {
            self.unpromised_before = next_write(world);
        }
        if changes.has(Changed::Sync) {
            let key = world.store.raw(keys::SYNC).map(|text| keys::parse_sync(text.as_bytes()));
            let leader = key.and_then(|key| key.leader);
            self.unsettled.retain(|host| leader.as_ref().is_none_or(|leader| leader.as_str() != host.name()));
        }
        let request = world.store.raw(keys::FAILOVER).and_then(|text| keys::parse_failover(text.as_bytes()));
        if changes.has(Changed::Failover) && request.is_none() {
            self.stopping.take_if(|host| leads(*host, world));
        }
    }

    /// It gave the lock away, and did not just lose it.
    pub fn released(&mut self, host: Host, world: &World) {
        let stopped = self.stopping.take() == Some(host) && !world.fleet.is_writable(host);
        self.handed_over = world.fleet.data(host).filter(|_| stopped).map(|point| (host, point, world.now));
    }

    pub fn news(&mut self, news: &News, world: &World) -> Seen {
        if let News::PostmasterGone { host } = news {
            self.by_hand.remove(host);
        }
        if let News::Acked { write, host, .. } = news
            && self.unsettled.contains(host)
        {
            self.unpromised.insert(*write);
        }
        let News::Promoted { host, branch } = news else {
            return Ok(());
        };
        if self.by_hand.remove(host) && !leads(*host, world) {
            return Ok(());
        }
        // It was about to be promoted, and slept: nobody will lead from here.
        if world.just_woke(*host) {
            return Ok(());
        }
        let wal = world.fleet.wal();
        let here = (*branch, wal.branch(*branch).end);
        let counts =
            |from: Host, at: Moment| from != *host && world.now.since(at) < PATIENCE && !world.leads_at_any_cost(*host);
        let handed_over = self.handed_over.take().filter(|(from, _, at)| counts(*from, *at));
        let promised = |write: &Acknowledged| {
            let waited = write.synchronous && write.id >= self.unpromised_before;
            waited && !self.unpromised.contains(&write.id)
                || handed_over.is_some_and(|(_, end, _)| wal.is_ancestor(write.end, end))
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

fn next_write(world: &World) -> WriteId {
    world.ledger.newest().next().map_or(0, |write| write.id + 1)
}

fn leads(host: Host, world: &World) -> bool {
    world.store.leader().is_some_and(|(holder, _)| holder.as_str() == host.name())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tamada_model::{CheckpointFirst, Stop, StopMode};

    use super::super::hands::{A, B, C, promote, with_b_behind};
    use super::*;
    use crate::ledger::Fate;

    fn promoted(world: &mut World, host: Host) -> News {
        promote(world, host);
        let (branch, _) = world.fleet.data(host).expect("it is a primary");
        News::Promoted { host, branch }
    }

    fn stop_for_a_switchover() -> Job {
        Job::Stop(Stop {
            mode: StopMode::Fast,
            checkpoint: CheckpointFirst::Yes,
            timeout: None,
            report_shutdown: true,
            purpose: "switchover".into(),
        })
    }

    /// `a` has stopped for a switchover and gives the lock away.
    fn handed_over(promise: &mut NoLoss, world: &mut World) {
        promise.begins(A, &stop_for_a_switchover());
        world.with_fleet(|fleet, now, _| fleet.stop_by_hand(A, StopMode::Fast, now));
        world.passes(Duration::from_secs(10));
        promise.released(A, world);
    }

    #[test]
    fn a_switchover_to_one_that_lacks_something_breaks_it_and_to_one_that_has_all_does_not() {
        for (to, keeps) in [(B, false), (C, true)] {
            let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
            handed_over(&mut promise, &mut world);
            let news = promoted(&mut world, to);
            assert_eq!(promise.news(&news, &world).is_ok(), keeps, "{to:?}");
        }
    }

    #[test]
    fn a_failover_may_lose_what_was_not_waited_for() {
        let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
        let news = promoted(&mut world, B);
        assert_eq!(promise.news(&news, &world), Ok(()));
    }

    #[test]
    fn a_failover_may_not_lose_what_a_standby_was_waited_for() {
        let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
        let end = world.fleet.data(A).expect("it leads");
        let write = world.ledger.begin(0, world.now);
        world.ledger.settle(write, Fate::Acknowledged { host: A, at: world.now, end, synchronous: true });
        let news = promoted(&mut world, B);
        assert!(promise.news(&news, &world).is_err());
    }

    #[test]
    fn one_that_is_shut_down_meanwhile_does_not_wait_for_anybody() {
        let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
        promise.begins(A, &stop_for_a_switchover());
        promise.leaves(A);
        world.with_fleet(|fleet, now, _| fleet.stop_by_hand(A, StopMode::Fast, now));
        world.passes(Duration::from_secs(10));
        promise.released(A, &world);
        let news = promoted(&mut world, B);
        assert_eq!(promise.news(&news, &world), Ok(()));
    }

    #[test]
    fn one_whose_agent_died_before_it_gave_the_lock_away_is_a_failover() {
        let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
        promise.begins(A, &stop_for_a_switchover());
        world.with_fleet(|fleet, now, _| fleet.stop_by_hand(A, StopMode::Fast, now));
        world.passes(Duration::from_secs(10));
        promise.dies(A);
        promise.released(A, &world);
        let news = promoted(&mut world, B);
        assert_eq!(promise.news(&news, &world), Ok(()));
    }

    #[test]
    fn one_that_was_given_up_is_no_switchover_any_more() {
        let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
        promise.begins(A, &stop_for_a_switchover());
        world.with_fleet(|fleet, now, _| fleet.stop_by_hand(A, StopMode::Fast, now));
        world.store.put_raw("leader", "a", world.now);
        world.store.put_raw("failover", "{}", world.now);
        promise.store_changed(&world.store.take_changes(), &world);
        world.passes(Duration::from_secs(10));
        promise.released(A, &world);
        let news = promoted(&mut world, B);
        assert_eq!(promise.news(&news, &world), Ok(()));
    }

    #[test]
    fn one_that_was_promoted_by_hand_is_no_successor_unless_it_has_the_lock() {
        for (holder, excused) in [("c", true), ("b", false)] {
            let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
            promise.promoted_by_hand(B);
            handed_over(&mut promise, &mut world);
            world.store.put_raw("leader", holder, world.now);
            let news = promoted(&mut world, B);
            assert_eq!(promise.news(&news, &world).is_ok(), excused, "{holder}");
        }
    }

    #[test]
    fn one_whose_successor_is_lost_is_over_for_whom_an_operator_names_then() {
        for (named, keeps) in [(B, true), (C, false)] {
            let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
            handed_over(&mut promise, &mut world);
            world.names_in_a_manual_failover(named);
            world.gives_the_lock_to(B);
            let news = promoted(&mut world, B);
            assert_eq!(promise.news(&news, &world).is_ok(), keeps, "{named:?}");
        }
    }

    #[test]
    fn a_switchover_that_an_operator_cut_short_is_theirs() {
        let (mut world, mut promise) = (with_b_behind(), NoLoss::default());
        handed_over(&mut promise, &mut world);
        promise.meddled();
        let news = promoted(&mut world, B);
        assert_eq!(promise.news(&news, &world), Ok(()));
    }
}
