//! Many seeds, one after the other, on as many threads as there is room for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub use crate::clock::Stopwatch;

use crate::diary::Diary;
use crate::invariant::Violation;
use crate::plant::{Plant, Plants};
use crate::swarm;
use crate::world::{Outcome, World};

#[derive(Clone, PartialEq, Debug)]
pub struct Campaign {
    pub first: u64,
    /// `None`: as many as there is time for.
    pub seeds: Option<u64>,
    /// `None`: until the seeds are through, or for ever.
    pub time: Option<Duration>,
    pub threads: usize,
}

/// What a campaign has seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub simulated: Duration,
    pub happened: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub promotions: u64,
    /// Runs in which an operator had to help.
    pub helped: u64,
    pub failures: Vec<(u64, Violation)>,
}

/// A line is printed after so many seeds.
const REPORT: u64 = 10_000;
/// More failures than this tell nothing new.
const ENOUGH: usize = 400;

/// One seed of the swarm, without its diary.
pub fn run(seed: u64, plants: Plants) -> Outcome {
    World::new(swarm::script(seed), plants, Diary::Closed).run()
}

/// What the seed says to the planted fault, and only to that: without it, it has nothing to say.
pub fn finds(seed: u64, plant: &Plant) -> Option<Violation> {
    run(seed, plant.plants()).violation.filter(|_| run(seed, Plants::none()).violation.is_none())
}

impl Campaign {
    pub fn work(&self, next: &AtomicU64, stop: &AtomicBool, clock: &Stopwatch) -> Tally {
        let mut tally = Tally::default();
        let last = self.seeds.map(|seeds| self.first + seeds);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let through = last.is_some_and(|last| seed >= last);
            let late = self.time.is_some_and(|time| clock.elapsed() >= time);
            if through || late || stop.load(Ordering::Relaxed) {
                return tally;
            }
            let outcome = run(seed, Plants::none());
            if let Some(violation) = &outcome.violation {
                println!("seed {seed}: {violation}");
            }
            tally.add(seed, outcome);
            if tally.failures.len() >= ENOUGH {
                stop.store(true, Ordering::Relaxed);
            }
            if (seed + 1 - self.first).is_multiple_of(REPORT) {
                println!("{}", progress(seed + 1 - self.first, clock.elapsed()));
            }
        }
    }
}

fn progress(seeds: u64, took: Duration) -> String {
    let per_hour = seeds as f64 / took.as_secs_f64() * 3600.0;
    format!("{seeds} seeds after {:.0} s, {per_hour:.0} per hour", took.as_secs_f64())
}

impl Tally {
    pub fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.happened += outcome.happened;
        self.acknowledged += outcome.acknowledged;
        self.lost += outcome.lost;
        self.promotions += outcome.promotions;
        self.helped += u64::from(outcome.helped > 0);
        self.failures.extend(outcome.violation.map(|violation| (seed, violation)));
    }

    pub fn with(mut self, other: Tally) -> Self {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.happened += other.happened;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.promotions += other.promotions;
        self.helped += other.helped;
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|(seed, _)| *seed);
        self
    }

    pub fn text(&self, took: Duration, threads: usize) -> String {
        let hours = self.simulated.as_secs_f64() / 3600.0;
        let minutes = took.as_secs_f64() / 60.0;
        format!(
            "{} seeds in {:.1} s ({:.0} per hour): {hours:.0} cluster-hours ({:.0} per minute and thread), {} happenings, {} promotions, {} \
             writes acknowledged, {} of them lost within what was promised, {} seeds needed an operator, {} broke a promise",
            self.seeds,
            took.as_secs_f64(),
            self.seeds as f64 / minutes * 60.0,
            hours / minutes / threads as f64,
            self.happened,
            self.promotions,
            self.acknowledged,
            self.lost,
            self.helped,
            self.failures.len(),
        )
    }
}
