//! Worlds made by hand for the promises' own tests: begun well, and then changed as no script could.

use std::time::Duration;

use crate::Host;
use crate::diary::Diary;
use crate::member::Runs;
use crate::net::{Place, Road, Rule, Trouble};
use crate::plant::Plants;
use crate::script::{Script, Times};
use crate::world::World;

pub(super) const A: Host = Host(0);
pub(super) const B: Host = Host(1);
pub(super) const C: Host = Host(2);

/// `a` leads, `b` and `c` follow, clients write.
pub(super) fn whole() -> World {
    let mut world = World::new(Script::calm(1, Times::QUICK), Plants::none(), Diary::Closed);
    world.passes(Duration::from_secs(60));
    assert!(world.fleet.is_writable(A) && world.follows(B, A) && world.follows(C, A));
    world
}

/// The same with nobody to look after it: agents and guards stand still, PostgreSQL goes on.
pub(super) fn unattended() -> World {
    let mut world = whole();
    for member in &mut world.members {
        member.agent_runs = Runs::Still;
        member.guard.lives = false;
    }
    world
}

/// `b` has not heard from `a` for a while, in which clients were told that they had written.
pub(super) fn with_b_behind() -> World {
    let mut world = unattended();
    let (from, to) = (Some(Place::Host(A)), Some(Place::Host(B)));
    world.net.disturb(0, Rule { from, to, road: Some(Road::Postgres), trouble: Trouble::Cut });
    world.net.disturb(0, Rule { from: to, to: from, road: Some(Road::Postgres), trouble: Trouble::Cut });
    world.passes(Duration::from_secs(5));
    assert!(world.fleet.data(A) != world.fleet.data(B));
    world
}

/// An operator makes it a primary, whatever its agent thinks of it.
pub(super) fn promote(world: &mut World, host: Host) {
    world.with_fleet(|fleet, now, _| fleet.promote_by_hand(host, now));
    for _ in 0..1000 {
        if world.fleet.is_writable(host) {
            return;
        }
        world.passes(Duration::from_millis(10));
    }
    panic!("{} was not promoted", host.name());
}
