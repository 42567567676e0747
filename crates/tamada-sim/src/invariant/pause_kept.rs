//! Pause is kept: as long as a member knows of it, it promotes nobody, unless an operator asked for that one, now or when
//! it took the lock.

use tamada_model::{Job, Role};

use super::{Seen, Violation, is_promotion};
use crate::Host;
use crate::world::World;

#[derive(Debug, Default)]
pub struct PauseKept;

impl PauseKept {
    pub fn begins(&self, host: Host, job: &Job, world: &World) -> Seen {
        // What was begun before is carried through.
        let begun = world.fleet.role(host) == Role::Promoted;
        if !is_promotion(job) || begun || !world.pauses(host) || world.is_asked_for(host) {
            return Ok(());
        }
        let what = format!("{} is promoted, nobody asked for it, and it knows that the cluster is paused", host.name());
        Err(Violation::new("pause is kept", what))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::hands::{B, C, whole};
    use super::*;

    const PROMOTE: Job = Job::Promote { wait: Duration::from_secs(1) };

    fn paused() -> World {
        let mut world = whole();
        world.members.iter_mut().for_each(|member| member.setup.settings.pause = true);
        world
    }

    #[test]
    fn nobody_is_promoted_in_pause_and_everybody_outside_it() {
        assert!(PauseKept.begins(B, &PROMOTE, &paused()).is_err());
        assert_eq!(PauseKept.begins(B, &PROMOTE, &whole()), Ok(()));
        assert_eq!(PauseKept.begins(B, &Job::Restart { timeout: None }, &paused()), Ok(()));
    }

    #[test]
    fn an_operator_may_ask_for_one() {
        let mut world = paused();
        world.names_in_a_manual_failover(B);
        assert_eq!(PauseKept.begins(B, &PROMOTE, &world), Ok(()));
        assert!(PauseKept.begins(C, &PROMOTE, &world).is_err());
    }

    #[test]
    fn who_has_taken_the_lock_for_that_goes_on_when_the_operator_asks_for_another_one() {
        let mut world = paused();
        world.names_in_a_manual_failover(B);
        world.gives_the_lock_to(B);
        world.names_in_a_manual_failover(C);
        world.now = world.now + Duration::from_secs(60);
        assert_eq!(PauseKept.begins(B, &PROMOTE, &world), Ok(()));
    }

    #[test]
    fn what_the_member_cannot_know_of_binds_it_not() {
        let mut world = paused();
        world.members[B.0].setup.settings.pause = false;
        assert_eq!(PauseKept.begins(B, &PROMOTE, &world), Ok(()));
    }
}
