//! Operators and what they write and ask for.

use std::time::Duration;

use serde_json::Value;
use tamada_core::Event;
use tamada_model::{FailoverRequest, Reinitialize, Request, RestartConditions, StopMode, Tags};
use tamada_wire::keys;

use super::{Due, World};
use crate::Host;
use crate::fault::{Operation, Switch};

impl World {
    pub(super) fn operator(&mut self, number: usize, operation: Operation) {
        let leader = self.store.cluster().leader_name().cloned();
        match operation {
            Operation::Switchover { to } => {
                // Without a leader there is nothing to switch over from, and tools refuse.
                if let Some(leader) = leader {
                    let candidate = to.map(|host| host.name().into());
                    self.ask_for(FailoverRequest { leader: Some(leader), candidate, scheduled_at: None });
                }
            }
            // Whoever insists on one that may not lead has a cluster that does not heal.
            Operation::Failover { to } if self.is_tagged(to) => {}
            Operation::Failover { to } => {
                self.ask_for(FailoverRequest { leader: None, candidate: Some(to.name().into()), scheduled_at: None })
            }
            Operation::Restart(host) => {
                self.request(host, number, Request::Restart(RestartConditions::default()));
            }
            Operation::Reinitialize(host) => {
                self.watch(|promises, _| promises.allowed(host));
                self.request(host, number, Request::Reinitialize(Reinitialize::default()));
            }
            Operation::Pause => self.patch_config(&[("pause", true.into())]),
            Operation::Ttl { ttl, loop_wait, retry_timeout } => {
                self.set_times(ttl.into(), loop_wait.into(), retry_timeout.into())
            }
            Operation::Tag { host, nofailover } => self.tag(host, nofailover),
            Operation::PromoteByHand(host) => {
                self.watch(|promises, world| promises.promoted_by_hand(host, world));
                self.with_fleet(|fleet, now, _| fleet.promote_by_hand(host, now));
            }
            Operation::StopByHand(host) => {
                self.with_fleet(|fleet, now, _| fleet.stop_by_hand(host, StopMode::Fast, now))
            }
        }
    }

    fn request(&mut self, host: Host, number: usize, request: Request) {
        if self.members[host.0].answers() {
            self.hear_later(host, Duration::ZERO, Event::Request(number as u64 + 1, request));
        }
    }

    fn ask_for(&mut self, request: FailoverRequest) {
        self.store.put_raw(keys::FAILOVER, &keys::failover_json(&request), self.now);
        self.store_changed();
    }

    pub(super) fn resume_cluster(&mut self) {
        self.patch_config(&[("pause", false.into())]);
    }

    pub(super) fn usual_times(&mut self) {
        let times = self.script.settings;
        self.set_times(times.ttl.into(), times.loop_wait.into(), times.retry_timeout.into());
    }

    fn set_times(&mut self, ttl: Value, loop_wait: Value, retry_timeout: Value) {
        self.patch_config(&[("ttl", ttl), ("loop_wait", loop_wait), ("retry_timeout", retry_timeout)]);
    }

    fn patch_config(&mut self, changes: &[(&str, Value)]) {
        let config = self.store.cluster().config.clone();
        // Somebody has deleted it: written anew, as it was first.
        let mut value = config.map_or_else(|| super::agents::first_configuration(&self.script), |config| config.value);
        value.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.store.put_raw(keys::CONFIG, &keys::config_json(&value), self.now);
        self.store_changed();
    }

    fn tag(&mut self, host: Host, nofailover: Switch) {
        let tags = match nofailover {
            Switch::On => Tags([("nofailover".to_owned(), true.into())].into_iter().collect()),
            Switch::Off => Tags::default(),
        };
        let member = &mut self.members[host.0];
        member.setup.me.tags = tags;
        let epoch = member.epoch;
        self.queue.put(self.now, Due::Reload { host, epoch });
    }

    /// It has the tag `nofailover`, as long as no operator changes that for a while.
    pub(crate) fn is_tagged(&self, host: Host) -> bool {
        self.script.nofailover.contains(&host)
    }

    pub(super) fn untag(&mut self, host: Host) {
        let was = if self.is_tagged(host) { Switch::On } else { Switch::Off };
        self.tag(host, was);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diary::Diary;
    use crate::member::Runs;
    use crate::plant::Plants;
    use crate::script::{Script, Times};

    #[test]
    fn a_reload_that_had_to_wait_brings_what_is_in_force_when_it_is_heard() {
        let mut world = World::new(Script::calm(1, Times::QUICK), Plants::none(), Diary::Closed);
        let a = Host(0);
        world.passes(Duration::from_secs(20));
        world.members[a.0].agent_runs = Runs::Still;
        world.tag(a, Switch::On);
        world.passes(Duration::from_secs(1));
        let shorter = world.members[a.0].setup.settings.ttl / 2;
        world.members[a.0].setup.settings.ttl = shorter;
        world.members[a.0].agent_runs = Runs::On;
        world.thaw(a);
        world.passes(Duration::from_millis(1));
        let agent = world.members[a.0].agent().expect("nothing has ended it");
        assert_eq!(agent.settings().ttl, shorter);
    }
}
