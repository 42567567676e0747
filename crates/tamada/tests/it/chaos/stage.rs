//! Where a scenario is played, and how much of it.

use super::world::{MEMBERS, World};
use crate::ground::Ground;
use crate::ground::scene::{Machines, with_machines_if_possible};
use crate::store::Kind;
use crate::town::Timing;

pub const EMBEDDED: Kind = Kind::Embedded { witnesses: 0 };
/// For what should happen without any lease running out, on the slowest of machines.
pub const STEADY: Timing = Timing { ttl: 20, loop_wait: 1, retry_timeout: 5 };

/// What a scenario cannot do without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Processes,
    /// Or disks: what only machines of their own have.
    Machines,
}

pub struct Stage {
    number: u32,
    machines: Machines,
}

/// Plays a scenario; `test` is the full name of the test that does.
pub fn scenario(test: &str, number: u32, needs: Needs, play: impl FnOnce(&Stage)) {
    with_machines_if_possible(test, |machines| match (needs, machines) {
        (Needs::Machines, Machines::OneForAll) => {
            eprintln!("{test} is left out: this system grants nobody a machine of his own");
        }
        (Needs::Machines, Machines::OneEach) | (Needs::Processes, _) => play(&Stage { number, machines }),
    });
}

impl Stage {
    /// A cluster that has been started, and is whole.
    pub fn cluster(&self, store: Kind, timing: Timing) -> World {
        let mut world = self.world(store, timing);
        world.begin();
        world
    }

    /// Where cables have weather. `None`: not on this system.
    pub fn cluster_in_weather(&self, store: Kind, timing: Timing) -> Option<World> {
        match Ground::in_weather(MEMBERS + 2) {
            Ok(ground) => {
                let mut world = World::new(self.number, ground, store, timing);
                world.begin();
                Some(world)
            }
            Err(error) => {
                eprintln!(
                    "scenario {} is left out: no network devices that are made of software: {error}",
                    self.number
                );
                None
            }
        }
    }

    /// A cluster that has not been started.
    pub fn world(&self, store: Kind, timing: Timing) -> World {
        let ground = match self.machines {
            Machines::OneEach => Ground::apart(MEMBERS + 2),
            Machines::OneForAll => Ground::loopback(),
        };
        World::new(self.number, ground, store, timing)
    }
}

/// Whether to play everything, as `make chaos` does, or only what belongs to `make test`.
pub fn everything() -> bool {
    std::env::var_os("TAMADA_CHAOS").is_some()
}
