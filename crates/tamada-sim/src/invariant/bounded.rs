//! I7: nothing grows without bound, and nobody spins.

use super::{Seen, Violation};
use crate::world::World;

#[derive(Debug, Default)]
pub struct Bounded {
    passes: Vec<u64>,
    looks: u64,
}

/// Over so many seconds passes are counted.
const SPAN: u64 = 30;
/// A pass each 50 ms is the most that anything in motion asks for, and bells and jobs ring besides.
const PASSES: u64 = SPAN * 40;
const WAITING: usize = 20_000;
/// WAL that is kept for others: more than a run writes would mean that a slot points nowhere.
const KEPT: u64 = 1 << 30;

impl Bounded {
    pub fn look(&mut self, world: &World) -> Seen {
        let broken = |what: String| Err(Violation::new("I7 bounded", what));
        if world.waiting() > WAITING {
            return broken(format!("{} things wait to happen", world.waiting()));
        }
        self.looks += 1;
        if !self.looks.is_multiple_of(SPAN) {
            return Ok(());
        }
        if let Some(host) = world.hosts().find(|host| world.kept_wal(*host) > KEPT) {
            return broken(format!("{} keeps {} bytes of WAL", host.name(), world.kept_wal(host)));
        }
        let passes: Vec<u64> = world.members.iter().map(|member| member.passes).collect();
        let before = std::mem::replace(&mut self.passes, passes.clone());
        let spun = before.iter().zip(&passes).position(|(before, now)| now - before > PASSES);
        match spun {
            Some(index) => broken(format!(
                "{} makes {} passes in {SPAN} s",
                crate::Host(index).name(),
                passes[index] - before[index]
            )),
            None => Ok(()),
        }
    }
}
