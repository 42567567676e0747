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
        let by_hand = world.fleet.is_writable(holder) || self.asked_for.contains(&holder);
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
