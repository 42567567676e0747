//! One long action at a time: nothing is begun on a member's PostgreSQL while something else is at work on it.

use tamada_model::Job;

use super::{Seen, Violation};
use crate::Host;
use crate::world::World;

#[derive(Debug, Default)]
pub struct OneAction;

impl OneAction {
    pub fn begins(&self, host: Host, job: &Job, world: &World) -> Seen {
        match world.fleet.is_at_work(host) {
            true => {
                Err(Violation::new("one action", format!("{} begins '{}', and is at work", host.name(), job.text())))
            }
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hands::{A, B, whole};
    use super::*;

    #[test]
    fn an_action_is_begun_when_nothing_is_at_work() {
        let mut world = whole();
        let restart = Job::Restart { timeout: None };
        assert_eq!(OneAction.begins(A, &restart, &world), Ok(()));
        world.with_fleet(|fleet, now, net| fleet.begin(A, 99, &restart, now, net));
        assert!(OneAction.begins(A, &restart, &world).is_err());
        assert_eq!(OneAction.begins(B, &restart, &world), Ok(()), "another's does not matter");
    }
}
