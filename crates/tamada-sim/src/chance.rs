//! Chance from a seed: the only source of it in a simulated world.

use std::time::Duration;

/// SplitMix64. Small, quick, and the same everywhere for ever, which is all that is asked of it.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of its own for a part of the world: what other parts draw does not change what this one gets.
    pub fn fork(&mut self, part: u64) -> Self {
        Self(self.draw() ^ part.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `most` - 1; 0 for nothing to choose from.
    pub fn below(&mut self, most: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(most)) >> 64) as u64
    }

    /// True in `times` of `of` cases.
    pub fn happens(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_nanos() as u64;
        least + Duration::from_nanos(self.below(span + 1))
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chance_and_another_gives_another() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..8).map(|_| chance.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn all_of_a_range_comes_up_and_nothing_else() {
        let mut chance = Chance::new(1);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| chance.below(5)).collect();
        assert_eq!(drawn, (0..5).collect());
        let (least, most) = (Duration::from_millis(3), Duration::from_millis(4));
        assert!((0..100).map(|_| chance.between(least, most)).all(|span| (least..=most).contains(&span)));
    }
}
