//! I1: at most one member acknowledges writes at a time.
//!
//! "Writable" is asked of PostgreSQL itself, not of what agents believe. Two exceptions, both outside what an agent can
//! do: an operator who promotes or unlocks by hand, and the instants after a suspended host woke, in which what was under
//! way on it ends before its guard, first thing, stops it.

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
}

impl OnePrimary {
    pub fn news(&self, news: &News, world: &World) -> Seen {
        match news {
            News::Acked { host, .. } | News::Promoted { host, .. } | News::Writable { host } => {
                self.alone(*host, world)
            }
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
        let excused =
            !self.by_hand.is_empty() || world.is_paused() || self.meddled_until.is_some_and(|until| world.now < until);
        if excused || world.just_woke(host) {
            return Ok(());
        }
        match world.hosts().find(|other| *other != host && world.fleet.is_writable(*other) && !world.just_woke(*other))
        {
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
