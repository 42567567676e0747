//! `nofailover` is kept: a member with the tag never takes the lock over from another, unless an operator asked for it.

use super::{Seen, Violation};
use crate::Host;
use crate::fault::{Fault, Operation};
use crate::store::{Changed, Changes};
use crate::world::World;

#[derive(Debug, Default)]
pub struct NofailoverKept {
    /// Who had the lock last.
    last: Option<Host>,
    /// Whom an operator asked for, or promoted by hand.
    asked_for: Vec<Host>,
}

impl NofailoverKept {
    pub fn store_changed(&mut self, changes: &Changes, world: &World) -> Seen {
        if changes.has(Changed::Failover) {
            self.asked_for.extend(world.hosts().filter(|host| world.is_asked_for(*host)));
        }
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
        let by_hand = world.fleet.is_primary(holder) || self.asked_for.contains(&holder);
        if !from_another || by_hand || !has_the_tag(holder, world) {
            return Ok(());
        }
        Err(Violation::new("nofailover is kept", format!("{} has the tag, and takes the lock", holder.name())))
    }
}

/// All the time: whoever is given the tag may be in the middle of a race.
fn has_the_tag(host: Host, world: &World) -> bool {
    let changes_it = |fault: &Fault| match fault {
        Fault::Operator(Operation::Tag { host: other, .. }) => *other == host,
        _ => false,
    };
    let changed = world.script.faults.iter().any(|planned| changes_it(&planned.fault));
    world.script.nofailover.contains(&host) && !changed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::hands::{B, promote, unattended, whole};
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
        let mut promise = NofailoverKept { last: Some(Host(0)), ..NofailoverKept::default() };
        assert_eq!(promise.lock_moved(&world), Ok(()), "without the tag");
    }

    #[test]
    fn who_was_asked_for_does_and_so_does_who_was_promoted_by_hand() {
        let (mut world, mut promise) = (whole(), NofailoverKept::default());
        world.store.put_raw("failover", r#"{"member": "b"}"#, world.now);
        assert_eq!(moves_to_b(&mut world, &mut promise), Ok(()));
        let (mut world, mut promise) = (unattended(), NofailoverKept::default());
        promote(&mut world, B);
        assert_eq!(moves_to_b(&mut world, &mut promise), Ok(()));
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
