//! The scenarios of failure-scenarios.md 4 by their numbers, each as scripts with a sentence.
//!
//! The first member is the first leader. Where a number is missing, what it needs is not in the world yet, or is about
//! real processes alone (`docs/safety.md` has the list).

mod data;
mod leases;
mod network;
mod operators;
mod processes;
mod store;

use std::time::Duration;

use crate::Host;
use crate::diary::Diary;
use crate::fault::{Fault, Planned, When};
use crate::invariant::Violation;
use crate::plant::Plants;
use crate::script::{Script, Times, heals_within};
use crate::world::World;

pub struct Scenario {
    pub number: u32,
    pub what: &'static str,
    /// What goes wrong; times are told in leases.
    pub faults: fn(Pen) -> Vec<Planned>,
}

pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [leases::ALL, processes::ALL, network::ALL, store::ALL, data::ALL, operators::ALL].into_iter().flatten()
}

/// Under these times, with these seeds.
const TIMES: [Times; 3] = [Times::USUAL, Times::QUICK, Times::QUICKEST];
const SEEDS: u64 = 5;

const LEADER: Host = Host(0);
const SECOND: Host = Host(1);
const THIRD: Host = Host(2);

/// All variants of a scenario.
pub fn scripts(scenario: &Scenario) -> impl Iterator<Item = Script> {
    TIMES.into_iter().flat_map(move |times| {
        (0..SEEDS).map(move |seed| {
            let pen = Pen { ttl: times.ttl };
            let faults = (scenario.faults)(pen);
            let last = faults.iter().map(|planned| planned.at + planned.lasts).max().unwrap_or_default();
            Script {
                faults,
                faults_end: last + Duration::from_secs(1),
                heals_within: heals_within(times),
                ..Script::calm(seed * 100 + u64::from(scenario.number), times)
            }
        })
    })
}

/// The first promise that a variant breaks, and which.
pub fn run(scenario: &Scenario) -> Option<(Script, Violation)> {
    scripts(scenario).find_map(|script| {
        let violation = World::new(script.clone(), Plants::none(), Diary::Closed).run().violation;
        violation.map(|violation| (script, violation))
    })
}

/// Writes faults down.
#[derive(Clone, Copy)]
pub struct Pen {
    ttl: f64,
}

/// By then everybody is there and follows.
const BEGIN: f64 = 45.0;

impl Pen {
    /// So many leases after the beginning, for so many leases.
    fn at(self, leases: f64, lasts: f64, fault: Fault) -> Planned {
        let at = Duration::from_secs_f64(BEGIN + leases * self.ttl);
        Planned { at, when: When::Then, lasts: Duration::from_secs_f64(lasts * self.ttl), fault }
    }

    /// The same once after the other, with time to heal between.
    fn each(self, faults: impl IntoIterator<Item = (f64, Fault)>) -> Vec<Planned> {
        let mut at = 0.0;
        let rest = 4.0 + 40.0 / self.ttl;
        faults
            .into_iter()
            .map(|(lasts, fault)| {
                let planned = self.at(at, lasts, fault);
                at += lasts + rest;
                planned
            })
            .collect()
    }
}
