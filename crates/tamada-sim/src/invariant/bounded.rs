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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::hands::{A, B, whole};
    use super::*;
    use crate::world::Due;

    fn looks(promise: &mut Bounded, world: &World, times: u64) -> Seen {
        (0..times).try_for_each(|_| promise.look(world))
    }

    #[test]
    fn a_pass_now_and_then_is_work_and_hundreds_a_second_are_none() {
        let (mut promise, mut world) = (Bounded::default(), whole());
        assert_eq!(looks(&mut promise, &world, SPAN), Ok(()));
        world.members[B.0].passes += PASSES;
        assert_eq!(looks(&mut promise, &world, SPAN), Ok(()));
        world.members[B.0].passes += PASSES + 1;
        assert!(looks(&mut promise, &world, SPAN).is_err());
    }

    #[test]
    fn what_waits_has_an_end() {
        let mut world = whole();
        let later = world.now + Duration::from_secs(1);
        (0..WAITING).for_each(|_| world.queue.put(later, Due::Look));
        assert!(Bounded::default().look(&world).is_err());
    }

    #[test]
    fn wal_is_not_kept_for_ever() {
        let world = whole();
        assert!(world.kept_wal(A) < KEPT);
        assert_eq!(looks(&mut Bounded::default(), &world, SPAN), Ok(()));
    }
}
