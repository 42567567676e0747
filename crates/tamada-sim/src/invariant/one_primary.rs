//! I1: at most one member acknowledges writes at a time.
//!
//! "Writable" is asked of PostgreSQL itself, not of what agents believe. Three exceptions, all outside what an agent can
//! do: an operator who promotes or unlocks by hand; who is paused, or was and has lost the agent that would hear of the
//! end; and the instants after a suspended host woke, in which what was under way on it ends before its guard, first
//! thing, stops it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Seen, Violation};
use crate::postgres::News;
use crate::world::World;
use crate::{Host, Moment};

#[derive(Debug, Default)]
pub struct OnePrimary {
    meddled_until: Option<Moment>,
    /// Promoted behind their agents' backs, and still writable.
    by_hand: BTreeSet<Host>,
    ever_by_hand: bool,
}

impl OnePrimary {
    pub fn news(&self, news: &News, world: &World) -> Seen {
        match news {
            News::Acked { host, .. } | News::Promoted { host, .. } | News::Writable { host } => {
                self.alone(*host, world)
            }
            // Who is promoted by hand takes a number that another may take as well.
            News::Mixed { .. } if self.ever_by_hand => Ok(()),
            // It goes on asking whom it was pointed at, and that one may have become another's meanwhile.
            News::Mixed { host, .. } if knows_nothing(*host, world) => Ok(()),
            News::Mixed { host, upstream } => {
                let what = format!("{} streams from {}, whose history is another", host.name(), upstream.name());
                Err(Violation::new("I1 one history", what))
            }
            News::JobEnded { .. }
            | News::JobProgress { .. }
            | News::PostmasterGone { .. }
            | News::Checkpointed { .. }
            | News::Failed { .. }
            | News::Removed { .. }
            | News::Rewound { .. }
            | News::Noted { .. } => Ok(()),
        }
    }

    pub fn promoted_by_hand(&mut self, host: Host) {
        self.by_hand.insert(host);
        self.ever_by_hand = true;
    }

    pub fn look(&mut self, world: &World) -> Seen {
        let leads = |host: &Host| world.store.leader().is_some_and(|(name, _)| name.as_str() == host.name());
        let settled = |host: &Host| !world.fleet.is_running(*host) || leads(host);
        self.by_hand.retain(|host| !world.members[host.0].answers() || !settled(host));
        world.hosts().filter(|host| world.fleet.is_writable(*host)).try_for_each(|host| self.alone(host, world))
    }

    /// For as long as a lease that they may have broken could have run, and whoever they promoted needs to be stopped.
    pub fn meddled(&mut self, world: &World) {
        self.meddled_until = Some(world.now + after_meddling(world));
    }

    fn alone(&self, host: Host, world: &World) -> Seen {
        let meddled = !self.by_hand.is_empty() || self.meddled_until.is_some_and(|until| world.now < until);
        let excused = |host: Host| world.just_woke(host) || world.is_left_alone(host);
        if meddled || excused(host) {
            return Ok(());
        }
        match world.hosts().find(|other| *other != host && world.fleet.is_writable(*other) && !excused(*other)) {
            Some(other) => {
                let what = format!("{} takes writes, and so does {}", host.name(), other.name());
                Err(Violation::new("I1 one primary", what))
            }
            None => Ok(()),
        }
    }
}

pub fn after_meddling(world: &World) -> Duration {
    let times = world.script.settings;
    Duration::from_secs_f64(2.0 * times.ttl.max(5.0) + times.loop_wait + 10.0)
}

/// Its agent is gone, stands still, or has not been able to read the store for longer than a lease.
fn knows_nothing(host: Host, world: &World) -> bool {
    let member = &world.members[host.0];
    let seen = member.report.as_ref().and_then(|report| report.cluster_seen_at);
    let lease = Duration::from_secs_f64(world.script.settings.ttl);
    !member.answers() || seen.is_none_or(|seen| member.now(world.now).mono.since(seen) > lease)
}

#[cfg(test)]
mod tests {
    use super::super::hands::{A, B, promote, unattended, whole};
    use super::*;

    #[test]
    fn one_who_takes_writes_is_as_it_should_be_and_two_are_not() {
        let mut promise = OnePrimary::default();
        assert_eq!(promise.look(&whole()), Ok(()));
        let mut world = unattended();
        promote(&mut world, B);
        assert!(promise.look(&world).is_err());
        assert!(promise.news(&News::Writable { host: B }, &world).is_err());
    }

    #[test]
    fn what_an_operator_does_is_excused_and_only_for_a_while() {
        let mut promise = OnePrimary::default();
        let mut world = unattended();
        promise.meddled(&world);
        promote(&mut world, B);
        assert_eq!(promise.look(&world), Ok(()));
        world.passes(after_meddling(&world));
        assert!(promise.look(&world).is_err());
        promise.promoted_by_hand(B);
        assert_eq!(promise.look(&world), Ok(()));
    }

    #[test]
    fn one_that_has_just_woken_has_an_instant() {
        let mut promise = OnePrimary::default();
        let mut world = unattended();
        promote(&mut world, B);
        world.members[A.0].woke = Some(world.now);
        assert_eq!(promise.look(&world), Ok(()));
        world.passes(Duration::from_millis(60));
        assert!(promise.look(&world).is_err());
    }

    #[test]
    fn in_pause_nobody_is_stopped_and_after_it_who_has_no_agent_is_not() {
        let promise = OnePrimary::default();
        let mut world = unattended();
        promote(&mut world, B);
        world.members[B.0].setup.settings.pause = true;
        assert_eq!(promise.alone(A, &world), Ok(()));
        world.members[B.0].setup.settings.pause = false;
        assert!(promise.alone(A, &world).is_err());
        world.members[B.0].guard.rests_in_pause = true;
        assert_eq!(promise.alone(A, &world), Ok(()));
    }

    #[test]
    fn wal_of_two_histories_does_not_mix() {
        let promise = OnePrimary::default();
        assert!(promise.news(&News::Mixed { host: B, upstream: A }, &whole()).is_err());
    }
}
