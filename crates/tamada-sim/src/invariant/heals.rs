//! I6: once everything works again, writes are acknowledged within the promised time, and the members follow.

use std::time::Duration;

use super::{Seen, Violation};
use crate::Moment;
use crate::postgres::News;
use crate::script::Script;
use crate::world::World;

#[derive(Debug, Default)]
pub struct Heals {
    faults_end: Duration,
    /// When a write was acknowledged for the last time.
    acknowledged: Option<Moment>,
    whole_since: Option<Moment>,
}

/// So long it must have been whole to count as such: everybody has had a regular look at it, twice.
fn steady(world: &World) -> Duration {
    Duration::from_secs_f64((2.0 * world.script.settings.loop_wait).max(3.0))
}

impl Heals {
    pub fn new(script: &Script) -> Self {
        Self { faults_end: script.faults_end, ..Self::default() }
    }

    pub fn news(&mut self, news: &News, world: &World) {
        if let News::Acked { .. } = news {
            self.acknowledged = Some(world.now);
        }
    }

    /// True when the run may end: it is whole, and has been for a while.
    pub fn look(&mut self, world: &World) -> bool {
        let over = Moment::new(self.faults_end);
        if world.now < over || what_is_missing(world).is_some() {
            self.whole_since = None;
            return false;
        }
        let since = *self.whole_since.get_or_insert(world.now);
        self.acknowledged.is_some_and(|at| at >= since) && world.now.since(since) >= steady(world)
    }

    pub fn at_the_end(&self, world: &World) -> Seen {
        let missing = match (what_is_missing(world), self.whole_since) {
            (Some(missing), _) => missing,
            (None, Some(since)) if self.acknowledged.is_some_and(|at| at >= since) => return Ok(()),
            (None, _) => "no write was acknowledged".into(),
        };
        let since = world.script.heals_within;
        let plight = world.plight().map_or(String::new(), |plight| format!(", and nobody asks for help: {plight:?}"));
        Err(Violation::new("I6 it heals", format!("{since:?} after the last fault: {missing}{plight}")))
    }
}

/// In words; `None`: the cluster is whole.
fn what_is_missing(world: &World) -> Option<String> {
    let Some((leader, _)) = world.store.leader() else {
        return Some("nobody has the lock".into());
    };
    let leader = world.host(leader.as_str())?;
    if !world.fleet.is_writable(leader) {
        return Some(format!("{} has the lock and does not take writes", leader.name()));
    }
    let astray = world.hosts().filter(|host| *host != leader).find(|host| !world.follows(*host, leader))?;
    Some(format!("{} does not follow {}", astray.name(), leader.name()))
}

#[cfg(test)]
mod tests {
    use super::super::hands::{A, B, whole};
    use super::*;
    use crate::script::Times;

    fn promise() -> Heals {
        Heals::new(&Script { faults_end: Duration::from_secs(10), ..Script::calm(1, Times::QUICK) })
    }

    fn acknowledge(promise: &mut Heals, world: &World) {
        let at = world.fleet.data(A).expect("it leads");
        promise.news(&News::Acked { write: 0, host: A, at }, world);
    }

    #[test]
    fn it_is_whole_when_it_has_been_so_for_a_while_and_takes_writes() {
        let (mut promise, mut world) = (promise(), whole());
        assert!(!promise.look(&world));
        world.passes(steady(&world));
        assert!(!promise.look(&world), "nothing was written yet");
        assert!(promise.at_the_end(&world).is_err());
        acknowledge(&mut promise, &world);
        assert!(promise.look(&world));
        assert_eq!(promise.at_the_end(&world), Ok(()));
    }

    #[test]
    fn while_things_go_wrong_nothing_is_expected() {
        let world = whole();
        let mut promise = Heals { faults_end: Duration::from_secs(1000), ..promise() };
        acknowledge(&mut promise, &world);
        assert!(!promise.look(&world));
        assert_eq!(promise.whole_since, None);
    }

    #[test]
    fn without_a_leader_or_with_somebody_astray_it_is_not_whole() {
        let mut world = whole();
        world.with_fleet(|fleet, now, _| fleet.kill_postmaster(B, now));
        world.passes(Duration::from_millis(1));
        assert!(promise().at_the_end(&world).is_err());
        let mut world = whole();
        world.store.delete_raw("leader", world.now);
        let said = promise().at_the_end(&world).expect_err("nobody leads");
        assert!(said.what.ends_with("nobody has the lock"), "{said}");
    }
}
