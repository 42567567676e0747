//! `nofailover` is kept: a member with the tag never takes the lock over from another, unless an operator has made it a
//! primary by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Seen, Violation};
use crate::fault::{Fault, Operation};
use crate::postgres::News;
use crate::store::{Changed, Changes};
use crate::world::World;
use crate::{Host, Moment};

#[derive(Debug, Default)]
pub struct NofailoverKept {
    /// Who had the lock last.
    last: Option<Host>,
    primaries: BTreeSet<Host>,
    /// When a primary was lost: its agent may have looked at it just before, and asked the store since.
    lost: BTreeMap<Host, Moment>,
}

impl NofailoverKept {
    pub fn news(&mut self, news: &News, world: &World) {
        match news {
            News::Writable { host } => drop(self.primaries.insert(*host)),
            News::PostmasterGone { host } if self.primaries.remove(host) => {
                self.lost.insert(*host, world.now);
            }
            News::PostmasterGone { .. }
            | News::JobEnded { .. }
            | News::JobProgress { .. }
            | News::Checkpointed { .. }
            | News::Acked { .. }
            | News::Failed { .. }
            | News::Removed { .. }
            | News::Rewound { .. }
            | News::Promoted { .. }
            | News::Mixed { .. }
            | News::Noted { .. } => {}
        }
    }

    pub fn store_changed(&mut self, changes: &Changes, world: &World) -> Seen {
        match changes.has(Changed::Leader) {
            true => self.lock_moved(world),
            false => Ok(()),
        }
    }

    fn lock_moved(&mut self, world: &World) -> Seen {
        let Some(holder) = world.store.leader().and_then(|(name, _)| world.host(name.as_str())) else {
            return Ok(());
        };
        let last = self.last.replace(holder);
        let from_another = last.is_some_and(|last| last != holder);
        // One that was made a primary behind its agent's back keeps what it is.
        let by_hand = self.was_primary(holder, world);
        if !from_another || by_hand || !has_the_tag(holder, world) {
            return Ok(());
        }
        Err(Violation::new("nofailover is kept", format!("{} has the tag, and takes the lock", holder.name())))
    }

    /// When its agent looked last: a question to the store is given up after `retry_timeout`.
    fn was_primary(&self, host: Host, world: &World) -> bool {
        let a_pass = Duration::from_secs_f64(world.script.settings.retry_timeout);
        let lost = self.lost.get(&host).is_some_and(|lost| world.now.since(*lost) <= a_pass);
        lost || world.fleet.is_primary(host)
    }
}

/// All the time: whoever is given the tag may be in the middle of a race.
fn has_the_tag(host: Host, world: &World) -> bool {
    let changes_it = |fault: &Fault| match fault {
        Fault::Operator(Operation::Tag { host: other, .. }) => *other == host,
        _ => false,
    };
    let changed = world.script.faults.iter().any(|planned| changes_it(&planned.fault));
    world.is_tagged(host) && !changed
}

#[cfg(test)]
mod tests {
    use super::super::hands::{A, B, promote, unattended, whole};
    use super::*;
    use crate::fault::{Planned, Switch, When};

    /// The lock was a's, and is now b's, who has the tag.
    fn moves_to_b(world: &mut World, promise: &mut NofailoverKept) -> Seen {
        world.script.nofailover = vec![B];
        for holder in ["a", "b"] {
            world.store.put_raw("leader", holder, world.now);
            promise.store_changed(&world.store.take_changes(), world)?;
        }
        Ok(())
    }

    #[test]
    fn who_has_the_tag_takes_the_lock_from_nobody() {
        let (mut world, mut promise) = (whole(), NofailoverKept::default());
        assert!(moves_to_b(&mut world, &mut promise).is_err());
        world.script.nofailover.clear();
        let mut promise = NofailoverKept { last: Some(A), ..NofailoverKept::default() };
        assert_eq!(promise.lock_moved(&world), Ok(()), "without the tag");
    }

    #[test]
    fn nor_does_who_is_named_in_a_manual_failover() {
        let (mut world, mut promise) = (whole(), NofailoverKept::default());
        world.names_in_a_manual_failover(B);
        assert!(moves_to_b(&mut world, &mut promise).is_err());
    }

    #[test]
    fn who_was_promoted_by_hand_keeps_what_it_is_also_while_it_begins_anew() {
        let (mut world, mut promise) = (unattended(), NofailoverKept::default());
        promote(&mut world, B);
        assert_eq!(moves_to_b(&mut world, &mut promise), Ok(()));
        world.with_fleet(|fleet, now, _| fleet.crash_backend(B, now));
        assert!(!world.fleet.is_writable(B));
        assert_eq!(moves_to_b(&mut world, &mut NofailoverKept::default()), Ok(()));
    }

    #[test]
    fn who_was_promoted_by_hand_and_lost_a_moment_ago_has_asked_as_a_primary() {
        let (mut world, mut promise) = (unattended(), NofailoverKept::default());
        promote(&mut world, B);
        promise.news(&News::Writable { host: B }, &world);
        world.with_fleet(|fleet, now, _| fleet.kill_postmaster(B, now));
        promise.news(&News::PostmasterGone { host: B }, &world);
        world.script.nofailover = vec![B];
        promise.last = Some(A);
        world.store.put_raw("leader", "b", world.now);
        assert_eq!(promise.lock_moved(&world), Ok(()));
        world.now = world.now + Duration::from_secs(60);
        promise.last = Some(A);
        assert!(promise.lock_moved(&world).is_err());
    }

    #[test]
    fn who_keeps_the_lock_does_not_take_it_from_another() {
        let (mut world, mut promise) = (whole(), NofailoverKept { last: Some(B), ..NofailoverKept::default() });
        world.script.nofailover = vec![B];
        world.store.put_raw("leader", "b", world.now);
        assert_eq!(promise.store_changed(&world.store.take_changes(), &world), Ok(()));
    }

    #[test]
    fn a_tag_that_comes_and_goes_says_nothing() {
        let (mut world, mut promise) = (whole(), NofailoverKept::default());
        let fault = Fault::Operator(Operation::Tag { host: B, nofailover: Switch::Off });
        let (at, lasts) = (Duration::ZERO, Duration::ZERO);
        world.script.faults.push(Planned { at, when: When::Then, lasts, fault });
        assert_eq!(moves_to_b(&mut world, &mut promise), Ok(()));
    }
}
