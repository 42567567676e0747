//! I2: in asynchronous mode a failover loses no more than was promised: `maximum_lag_on_failover`, and what the old
//! primary wrote after it published its position for the last time.

use std::time::Duration;

use tamada_model::Lsn;
use tamada_wire::keys::{HISTORY, parse_history};

use super::{Seen, Violation};
use crate::postgres::News;
use crate::wal::BranchId;
use crate::world::World;
use crate::{Host, Moment};

#[derive(Debug, Default)]
pub struct BoundedLoss {
    meddled_until: Option<Moment>,
}

impl BoundedLoss {
    /// An operator may take somebody who is further behind.
    pub fn meddled(&mut self, world: &World) {
        self.meddled_until = Some(world.now + super::one_primary::after_meddling(world) + Duration::from_secs(60));
    }

    /// Where the new leader's WAL parted from the old one's. On another timeline it may have come further than that; who
    /// does not want timelines to be checked in a race, or cannot know of the last one, has only the numbers.
    fn parted(&self, branch: BranchId, fork: Lsn, published: Lsn, world: &World) -> Lsn {
        let told = world.store.raw(HISTORY).unwrap_or_default();
        let last = parse_history(told.as_bytes()).unwrap_or_default().pop().map_or(0, |entry| entry.timeline);
        let is_known = |branch: &BranchId| world.fleet.wal().timeline(*branch).number() <= last + 1;
        match world.published_on().filter(|published_on| world.script.check_timeline && is_known(published_on)) {
            Some(published_on) => world.fleet.wal().fork((published_on, published), (branch, fork)).1,
            None => fork,
        }
    }

    pub fn news(&self, news: &News, world: &World) -> Seen {
        let News::Promoted { host, branch } = news else {
            return Ok(());
        };
        self.promoted(*host, *branch, world)
    }

    fn promoted(&self, host: Host, branch: BranchId, world: &World) -> Seen {
        let Some((_, fork)) = world.fleet.wal().branch(branch).parent else {
            return Ok(());
        };
        let published = world.published();
        let fork = self.parted(branch, fork, published, world);
        let allowed = Lsn::new(fork.bytes().saturating_add(world.script.maximum_lag));
        let wished = world.leads_at_any_cost(host);
        let meddled = self.meddled_until.is_some_and(|until| world.now < until);
        // Where commits wait for standbys, what was acknowledged counts instead.
        let synchronous = world.sync_key().is_some();
        let excused = wished || meddled || synchronous || world.just_woke(host);
        if excused || published <= allowed {
            return Ok(());
        }
        // Two promotions at one place differ by their first record alone.
        let wrote = |published_on| world.fleet.wal().has_writes(fork, (published_on, published));
        if world.published_on().is_some_and(|published_on| !wrote(published_on)) {
            return Ok(());
        }
        let what = format!("{} leads from {fork} on, {published} had been published", host.name());
        Err(Violation::new("I2 bounded loss", what))
    }
}

#[cfg(test)]
mod tests {
    use tamada_model::Status;
    use tamada_wire::keys::{FAILOVER, STATUS, status_json};

    use super::super::hands::{A, B, C, promote, with_b_behind};
    use super::*;

    /// `a` has published where it is, and then another is promoted.
    fn after_a_failover(to: Host, maximum_lag: u64) -> (World, News) {
        let mut world = with_b_behind();
        world.script.maximum_lag = maximum_lag;
        let (_, optime) = world.fleet.data(A).expect("it leads");
        let status = status_json(&Status { optime, ..Status::default() });
        world.store.put_raw(STATUS, &status, world.now);
        world.store_changed();
        promote(&mut world, to);
        let (branch, _) = world.fleet.data(to).expect("it is a primary");
        (world, News::Promoted { host: to, branch })
    }

    #[test]
    fn whoever_leads_has_what_was_published_but_for_the_lag_that_is_allowed() {
        for (to, maximum_lag, keeps) in [(C, 0, true), (B, 1 << 20, true), (B, 0, false)] {
            let (world, news) = after_a_failover(to, maximum_lag);
            assert_eq!(BoundedLoss::default().news(&news, &world).is_ok(), keeps, "{to:?} with {maximum_lag}");
        }
    }

    #[test]
    fn where_timelines_are_checked_wal_of_one_that_was_left_does_not_count() {
        for (check_timeline, keeps) in [(true, false), (false, true)] {
            let promise = BoundedLoss::default();
            let (mut world, _) = after_a_failover(B, 0);
            world.script.check_timeline = check_timeline;
            world.gives_the_lock_to(B);
            world.store.put_raw(HISTORY, r#"[[1, 100, ""]]"#, world.now);
            let write = world.ledger.begin(0, world.now);
            assert!(world.with_fleet(|fleet, now, net| fleet.write(B, write, now, net)));
            world.passes(Duration::from_millis(50));
            // By its number alone, this is behind `c`.
            let (_, optime) = world.fleet.data(B).expect("it leads");
            let status = status_json(&Status { optime, ..Status::default() });
            world.store.put_raw(STATUS, &status, world.now);
            world.store_changed();
            promote(&mut world, C);
            let (branch, _) = world.fleet.data(C).expect("it is a primary");
            assert_eq!(promise.news(&News::Promoted { host: C, branch }, &world).is_ok(), keeps);
        }
    }

    #[test]
    fn whom_a_manual_failover_names_may_lack_more_however_late_it_reads_of_that() {
        for (request, keeps) in
            [(r#"{"member":"b"}"#, true), (r#"{"member":"c"}"#, false), (r#"{"leader":"a","member":"b"}"#, false)]
        {
            let (mut world, news) = after_a_failover(B, 0);
            world.store.put_raw(FAILOVER, request, world.now);
            world.gives_the_lock_to(B);
            assert_eq!(BoundedLoss::default().news(&news, &world).is_ok(), keeps, "{request}");
        }
    }

    #[test]
    fn what_follows_when_an_operator_took_the_lock_away_is_theirs_for_a_while() {
        let (world, news) = after_a_failover(B, 0);
        let mut promise = BoundedLoss::default();
        promise.meddled(&world);
        assert_eq!(promise.news(&news, &world), Ok(()));
    }
}
