//! From a run that breaks a promise to the least that still breaks it: fewer faults first, then less time.

use std::time::Duration;

use crate::diary::Diary;
use crate::invariant::Violation;
use crate::plant::Plants;
use crate::script::Script;
use crate::world::World;

/// The smallest script found, and what it breaks. `None`: nothing is broken to begin with.
pub fn shrink(script: Script, plants: Plants) -> Option<(Script, Violation)> {
    let mut least = (script.clone(), broken(&script, plants)?);
    loop {
        let before = least.0.clone();
        without_groups(&mut least, plants);
        shorter_faults(&mut least, plants);
        if least.0 == before {
            return Some(least);
        }
    }
}

/// The same promise must be broken: another fault of ours found on the way is another matter.
fn still(least: &mut (Script, Violation), script: Script, plants: Plants) -> bool {
    match broken(&script, plants) {
        Some(violation) if violation.promise == least.1.promise => {
            *least = (script, violation);
            true
        }
        Some(_) | None => false,
    }
}

fn broken(script: &Script, plants: Plants) -> Option<Violation> {
    World::new(script.clone(), plants, Diary::Closed).run().violation
}

/// Leaves out halves, quarters, and so on to single faults.
fn without_groups(least: &mut (Script, Violation), plants: Plants) {
    let mut size = least.0.faults.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < least.0.faults.len() {
            let mut script = least.0.clone();
            let to = (from + size).min(script.faults.len());
            script.faults.drain(from..to);
            if !still(least, script, plants) {
                from += size;
            }
        }
        size /= 2;
    }
}

fn shorter_faults(least: &mut (Script, Violation), plants: Plants) {
    if let Some(last) = least.0.faults.iter().map(|planned| planned.at + planned.lasts).max() {
        let script = Script { faults_end: (last + Duration::from_secs(1)).min(least.0.faults_end), ..least.0.clone() };
        still(least, script, plants);
    }
    for index in 0..least.0.faults.len() {
        let mut script = least.0.clone();
        script.faults[index].lasts /= 2;
        if script.faults[index].lasts > Duration::from_millis(10) {
            still(least, script, plants);
        }
    }
}
