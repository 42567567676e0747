//! The guards: each knows an instant, and stops PostgreSQL if nobody has moved it on by then.

use std::time::Duration;

use tamada_core::Arm;

use super::{Due, GuardAct, World};
use crate::Host;
use crate::member::{Life, Runs};
use crate::plant::Planted;

/// How soon a living agent has another guard.
const RETURNS: Duration = Duration::from_millis(30);
/// An instant that passed stays in force: what is started later, by a job of an agent that stands still, is stopped too.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl World {
    pub(super) fn arm_guard(&mut self, host: Host, arm: Arm) {
        self.diary.note(self.now, Some(host), || match arm {
            Arm::Until { fence_at, .. } => format!("guard: until {fence_at:?}"),
            Arm::Off => "guard: off".into(),
        });
        let paused = self.pauses(host);
        let guard = &mut self.members[host.0].guard;
        guard.arm = arm;
        guard.rests_in_pause = paused && arm == Arm::Off;
        guard.version += 1;
        if guard.lives {
            self.set_guards_alarm(host);
        }
    }

    fn set_guards_alarm(&mut self, host: Host) {
        let member = &self.members[host.0];
        let Arm::Until { fence_at, ends_at } = member.guard.arm else {
            return;
        };
        let version = member.guard.version;
        for (at, act) in [(fence_at, GuardAct::Fence), (ends_at, GuardAct::Kill)] {
            let at = member.clock.moment(at).max(self.now);
            self.queue.put(at, Due::Guard { host, version, act });
        }
    }

    pub(super) fn kill_guard(&mut self, host: Host) {
        let member = &mut self.members[host.0];
        member.guard.lives = false;
        let version = member.guard.version;
        self.queue.put(self.now + RETURNS, Due::Guard { host, version, act: GuardAct::Return });
    }

    pub(super) fn guard_acts(&mut self, host: Host, version: u32, act: GuardAct) {
        let member = &mut self.members[host.0];
        match act {
            GuardAct::Return => {
                let agent_is_there = match member.life {
                    Life::Dead => false,
                    Life::Waking(_) | Life::Up(_) => member.agent_runs == Runs::On,
                };
                if agent_is_there {
                    member.guard.lives = true;
                    self.set_guards_alarm(host);
                } else if !member.guard.lives {
                    // Whoever is started or thawed sees it first thing.
                    self.queue.put(self.now + RETURNS, Due::Guard { host, version, act });
                }
            }
            GuardAct::Fence | GuardAct::Kill | GuardAct::LookAgain
                if !member.guard.lives || member.guard.version != version => {}
            GuardAct::Fence | GuardAct::Kill | GuardAct::LookAgain if self.plants.has(Planted::NoGuard) => {}
            GuardAct::Fence => {
                self.diary.note(self.now, Some(host), || "the guard stops PostgreSQL".into());
                self.with_fleet(|fleet, now, _| fleet.fence(host, now));
            }
            GuardAct::Kill => {
                self.diary.note(self.now, Some(host), || "the guard kills what is left of PostgreSQL".into());
                self.with_fleet(|fleet, now, _| fleet.kill_postmaster(host, now));
                self.queue.put(self.now + LOOK_AGAIN, Due::Guard { host, version, act: GuardAct::LookAgain });
            }
            GuardAct::LookAgain => self.look_again(host, version),
        }
    }

    /// As long as there is an agent that might start something.
    fn look_again(&mut self, host: Host, version: u32) {
        match self.members[host.0].life {
            Life::Dead => {}
            Life::Waking(_) | Life::Up(_) if self.fleet.is_running(host) => {
                self.guard_acts(host, version, GuardAct::Kill);
            }
            Life::Waking(_) | Life::Up(_) => {
                self.queue.put(self.now + LOOK_AGAIN, Due::Guard { host, version, act: GuardAct::LookAgain });
            }
        }
    }
}
