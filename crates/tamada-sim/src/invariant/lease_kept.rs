//! I3: no member answers `/primary` with 200, or promotes its PostgreSQL, outside its lease, counted from when the
//! renewal was sent.
//!
//! Looked at from both sides: by true time since the sending, and by the store, which must not have given the lock to
//! somebody else while a primary still shows itself as the leader.

use std::time::Duration;

use tamada_model::Job;

use super::one_primary::after_meddling;
use super::{Seen, Violation, is_promotion};
use crate::store::{Changed, Changes};
use crate::world::World;
use crate::{Host, Moment};

#[derive(Debug, Default)]
pub struct LeaseKept {
    meddled_until: Option<Moment>,
}

impl LeaseKept {
    pub fn told(&self, host: Host, world: &World) -> Seen {
        self.keeps(host, world)
    }

    pub fn look(&self, world: &World) -> Seen {
        world.hosts().try_for_each(|host| self.keeps(host, world))
    }

    pub fn store_changed(&self, changes: &Changes, world: &World) -> Seen {
        match changes.has(Changed::Leader) {
            true => self.look(world),
            false => Ok(()),
        }
    }

    pub fn begins(&self, host: Host, job: &Job, world: &World) -> Seen {
        if !is_promotion(job) || runs(host, world) {
            return Ok(());
        }
        Err(Violation::new("I3 lease", format!("{} is promoted, and its lease has ended", host.name())))
    }

    pub fn meddled(&mut self, world: &World) {
        self.meddled_until = Some(world.now + after_meddling(world));
    }

    fn keeps(&self, host: Host, world: &World) -> Seen {
        let member = &world.members[host.0];
        if !member.says_primary(world.now) {
            return Ok(());
        }
        let broken = |what: String| Err(Violation::new("I3 lease", what));
        if !runs(host, world) {
            let since = member.renewed.map(|(sent, _)| world.now.since(sent));
            return broken(format!("{} says that it leads, and asked for the lock {since:?} ago", host.name()));
        }
        let meddled = self.meddled_until.is_some_and(|until| world.now < until);
        match world.store.leader() {
            Some((holder, _)) if holder.as_str() != host.name() && world.fleet.is_writable(host) && !meddled => {
                broken(format!("{} says that it leads and takes writes, and {holder} has the lock", host.name()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn runs(host: Host, world: &World) -> bool {
    let renewed = world.members[host.0].renewed;
    renewed.is_some_and(|(sent, ttl)| world.now.since(sent) <= ttl + slack(ttl, world))
}

/// A clock may run slow by as much as the script says.
fn slack(ttl: Duration, world: &World) -> Duration {
    ttl.mul_f64(world.script.drift as f64 * 1e-6) + Duration::from_millis(1)
}

#[cfg(test)]
mod tests {
    use super::super::hands::{A, whole};
    use super::*;

    #[test]
    fn a_leader_within_its_lease_may_say_so() {
        let world = whole();
        assert!(world.members[A.0].says_primary(world.now));
        assert_eq!(LeaseKept::default().look(&world), Ok(()));
        assert_eq!(LeaseKept::default().told(A, &world), Ok(()));
    }

    #[test]
    fn one_whose_renewal_is_older_than_its_ttl_may_not() {
        let mut world = whole();
        let ttl = Duration::from_secs(5);
        world.members[A.0].renewed = Some((world.now - ttl, ttl));
        assert_eq!(LeaseKept::default().look(&world), Ok(()));
        world.members[A.0].renewed = Some((world.now - ttl - ttl / 10, ttl));
        assert!(LeaseKept::default().look(&world).is_err());
        world.members[A.0].renewed = None;
        assert!(LeaseKept::default().told(A, &world).is_err());
    }

    #[test]
    fn nor_is_it_promoted() {
        let (mut world, ttl) = (whole(), Duration::from_secs(5));
        let (promote, restart) = (Job::Promote { wait: ttl }, Job::Restart { timeout: None });
        assert_eq!(LeaseKept::default().begins(A, &promote, &world), Ok(()));
        world.members[A.0].renewed = Some((world.now - ttl * 2, ttl));
        assert!(LeaseKept::default().begins(A, &promote, &world).is_err());
        assert_eq!(LeaseKept::default().begins(A, &restart, &world), Ok(()));
    }

    #[test]
    fn nor_one_that_the_store_does_not_name_any_more_unless_an_operator_took_the_lock_away() {
        let mut world = whole();
        let mut promise = LeaseKept::default();
        world.store.put_raw("leader", "b", world.now);
        assert!(promise.store_changed(&world.store.take_changes(), &world).is_err());
        promise.meddled(&world);
        assert_eq!(promise.look(&world), Ok(()));
    }
}
