//! Faults begin, last, and are over.

use std::time::Duration;

use tamada_core::Event;

use super::{Due, Resume, World};
use crate::fault::{Cue, Fault, LostKey, Operation, When};
use crate::member::Runs;
use crate::{Host, Moment};

impl World {
    pub(super) fn fault_is_due(&mut self, number: usize) {
        match self.script.faults[number].when {
            When::Then => self.fault_begins(number),
            When::After(..) => self.awaiting.push(number),
        }
    }

    /// Something is done that faults may have waited for. Each comes once.
    pub(super) fn cue(&mut self, given: Cue) {
        if self.awaiting.is_empty() {
            return;
        }
        for number in std::mem::take(&mut self.awaiting) {
            match self.script.faults[number].when {
                When::After(cue, later) if cue == given => self.queue.put(self.now + later, Due::Begins(number)),
                When::After(..) | When::Then => self.awaiting.push(number),
            }
        }
    }

    pub(super) fn fault_begins(&mut self, number: usize) {
        // Its cue came too late: by now everything is to be well.
        if self.now >= Moment::new(self.script.faults_end) {
            return;
        }
        let planned = self.script.faults[number].clone();
        self.diary.note(self.now, None, || format!("FAULT {number}: {:?} for {:?}", planned.fault, planned.lasts));
        if !self.can_happen(&planned.fault) {
            return;
        }
        self.watch(|promises, world| promises.fault_begins(number, &planned.fault, world));
        let over = (self.now + planned.lasts).min(Moment::new(self.script.faults_end)).max(self.now);
        self.queue.put(over, Due::Over(number));
        match planned.fault {
            Fault::FreezeAgent(host) => self.members[host.0].agent_runs = Runs::Still,
            Fault::KillAgent(host) => {
                self.members[host.0].kept_down += 1;
                self.kill_agent(host, "is killed");
            }
            Fault::StopAgent(host) => {
                self.members[host.0].kept_down += 1;
                self.watch(|promises, _| promises.leaves(host));
                self.hear_later(host, Duration::ZERO, Event::Shutdown);
            }
            Fault::KillGuard(host) => self.kill_guard(host),
            Fault::Suspend(host) => self.suspend(host),
            Fault::PowerOff(host) => self.power_off(host),
            Fault::Blackout => {
                self.hosts().for_each(|host| self.power_off(host));
                self.store_is.away += 1;
            }
            Fault::StepCalendar(host, by) => self.members[host.0].clock.wall_error += by,
            Fault::KillPostgres(host) => self.with_fleet(|fleet, now, _| fleet.kill_postmaster(host, now)),
            Fault::CrashBackend(host) => self.with_fleet(|fleet, now, _| fleet.crash_backend(host, now)),
            Fault::FreezePostgres(host) => self.fleet.freeze(host),
            Fault::HangPostgres(host) => self.fleet.hang(host, over),
            Fault::SlowHost(host, factor) => self.fleet.slow(host, factor, self.now),
            Fault::FullDisk(host) => self.fleet.disk_full(host, true),
            Fault::StartsFail(host) => self.fleet.starts_fail(host, 3),
            Fault::StopTakesLong(host) => self.fleet.stop_takes(host, Some(planned.lasts), self.now),
            Fault::LateReplay(host) => self.fleet.replay_lag(host, planned.lasts, self.now),
            Fault::ClonesFail(host) => self.fleet.clones_fail(host, 3),
            Fault::RewindsFail(host) => self.fleet.rewinds_fail(host, 3),
            Fault::WalIsGone(host) => self.fleet.lose_wal(host),
            Fault::LoseData(host) => self.lose_data(host),
            Fault::Net(rule) => self.net.disturb(number, rule),
            Fault::StoreAway => self.store_is.away += 1,
            Fault::StoreSlow(most) => self.store_is.slow = most,
            Fault::StoreMute => self.store_is.mute += 1,
            Fault::StoreElects => self.store.new_leader(self.now),
            Fault::StoreLoses(key) => {
                self.watch(|promises, world| promises.meddled(world));
                self.store.delete_raw(&key.key(), self.now);
                self.store_changed();
            }
            Fault::Operator(operation) => self.operator(number, operation),
        }
    }

    pub(super) fn fault_ends(&mut self, number: usize) {
        let planned = self.script.faults[number].clone();
        self.diary.note(self.now, None, || format!("over {number}: {:?}", planned.fault));
        self.watch(|promises, world| promises.fault_ends(number, &planned.fault, world));
        match planned.fault {
            Fault::FreezeAgent(host) => {
                self.members[host.0].agent_runs = Runs::On;
                self.thaw(host);
            }
            Fault::KillAgent(host) | Fault::StopAgent(host) => {
                self.members[host.0].kept_down -= 1;
                self.start_again(host);
            }
            Fault::Suspend(host) => self.wake(host),
            Fault::PowerOff(host) => self.power_on(host),
            Fault::Blackout => {
                let mut parts: Vec<Resume> = self.hosts().map(Resume::Host).collect();
                parts.push(Resume::Store);
                for part in parts {
                    let after = self.chance.between(Duration::ZERO, Duration::from_secs(20));
                    self.queue.put(self.now + after, Due::Resume(part));
                }
            }
            // On a host that sleeps it stands still with all the rest.
            Fault::FreezePostgres(host) if self.members[host.0].host_runs == Runs::Still => {}
            Fault::FreezePostgres(host) => self.with_fleet(|fleet, now, _| fleet.thaw(host, now)),
            Fault::SlowHost(host, _) => self.fleet.slow(host, 1, self.now),
            Fault::FullDisk(host) => self.fleet.disk_full(host, false),
            Fault::StartsFail(host) => self.fleet.starts_fail(host, 0),
            Fault::StopTakesLong(host) => self.fleet.stop_takes(host, None, self.now),
            Fault::LateReplay(host) => self.fleet.replay_lag(host, Duration::ZERO, self.now),
            Fault::ClonesFail(host) => self.fleet.clones_fail(host, 0),
            Fault::RewindsFail(host) => self.fleet.rewinds_fail(host, 0),
            Fault::Net(_) => self.net.mend(number),
            Fault::StoreAway => self.store_is.away -= 1,
            Fault::StoreSlow(_) => self.store_is.slow = Duration::ZERO,
            Fault::StoreMute => self.store_is.mute -= 1,
            Fault::Operator(Operation::Pause) => self.resume_cluster(),
            Fault::Operator(Operation::Ttl { .. }) => self.usual_times(),
            Fault::Operator(Operation::Tag { host, .. }) => self.untag(host),
            Fault::KillGuard(_)
            | Fault::StepCalendar(..)
            | Fault::KillPostgres(_)
            | Fault::CrashBackend(_)
            | Fault::HangPostgres(_)
            | Fault::WalIsGone(_)
            | Fault::LoseData(_)
            | Fault::StoreElects
            | Fault::StoreLoses(_)
            | Fault::Operator(
                Operation::Switchover { .. }
                | Operation::Failover { .. }
                | Operation::Restart(_)
                | Operation::Reinitialize(_)
                | Operation::PromoteByHand(_)
                | Operation::StopByHand(_),
            ) => {}
        }
    }

    /// That an agent and its guard go together is beyond both: this is what the kernel's watchdog is for.
    ///
    /// Nobody deletes the cluster's identity while nobody leads who would write it anew: that takes an operator to mend.
    fn can_happen(&self, fault: &Fault) -> bool {
        if *fault == Fault::StoreLoses(LostKey::Initialize) && self.store.leader().is_none() {
            return false;
        }
        let Some(member) = fault.process_of().map(|host| &self.members[host.0]) else {
            return true;
        };
        let spares_one = match fault {
            Fault::KillGuard(_) => member.answers(),
            Fault::KillAgent(_) | Fault::FreezeAgent(_) => member.guard.lives,
            _ => true,
        };
        spares_one && member.host_runs == Runs::On
    }

    fn suspend(&mut self, host: Host) {
        if self.members[host.0].host_runs == Runs::On {
            self.members[host.0].host_runs = Runs::Still;
            self.fleet.freeze(host);
        }
    }

    fn wake(&mut self, host: Host) {
        if self.members[host.0].host_runs == Runs::Still {
            self.with_fleet(|fleet, now, _| fleet.thaw(host, now));
            self.members[host.0].host_runs = Runs::On;
            self.members[host.0].woke = Some(self.now);
            self.thaw(host);
        }
    }

    /// Only where somebody else has everything, whole, and may lead: what the last copy loses nobody can bring back.
    fn lose_data(&mut self, host: Host) {
        let has_all = |other: Host| {
            let points = self.fleet.data(host).zip(self.fleet.data(other));
            let may_lead = !self.is_tagged(other);
            let newest = self
                .hosts()
                .filter_map(|host| self.fleet.data(host))
                .map(|(branch, _)| self.fleet.wal().timeline(branch))
                .max();
            let up_to_date = self.fleet.data(other).map(|(branch, _)| self.fleet.wal().timeline(branch)) == newest;
            other != host
                && may_lead
                && self.fleet.is_whole(other)
                && up_to_date
                && points.is_some_and(|(lost, kept)| self.fleet.wal().is_ancestor(lost, kept))
        };
        if self.hosts().any(has_all) {
            self.fleet.wipe_data(host, self.now);
        }
    }

    /// What waited is heard now, in the order in which it came.
    pub(super) fn thaw(&mut self, host: Host) {
        for due in std::mem::take(&mut self.members[host.0].held) {
            self.queue.put(self.now, due);
        }
    }

    fn power_off(&mut self, host: Host) {
        if self.members[host.0].host_runs == Runs::Off {
            return;
        }
        self.kill_agent(host, "loses its host");
        self.with_fleet(|fleet, now, _| fleet.power_off(host, now));
        let member = &mut self.members[host.0];
        member.host_runs = Runs::Off;
        member.agent_runs = Runs::On;
        member.held.clear();
        // tmpfs is gone with it.
        member.guard.arm = tamada_core::Arm::Off;
        member.guard.version += 1;
    }

    fn power_on(&mut self, host: Host) {
        if self.members[host.0].host_runs == Runs::Off {
            self.members[host.0].host_runs = Runs::On;
            self.with_fleet(|fleet, now, _| fleet.power_on(host, now));
            self.start_again(host);
        }
    }

    pub(super) fn resume(&mut self, part: Resume) {
        match part {
            Resume::Host(host) => self.power_on(host),
            Resume::Store => self.store_is.away -= 1,
        }
    }

    /// If it has not gone yet, it is started when it goes.
    fn start_again(&mut self, host: Host) {
        let epoch = self.members[host.0].epoch;
        self.queue.put(self.now, Due::StartAgent { host, epoch });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diary::Diary;
    use crate::fault::Planned;
    use crate::plant::Plants;
    use crate::script::{Script, Times};

    #[test]
    fn a_disk_hangs_no_longer_than_anything_may_go_wrong() {
        let (at, lasts) = (Duration::from_secs(30), Duration::from_secs(300));
        let hangs = Planned { at, when: When::Then, lasts, fault: Fault::HangPostgres(Host(0)) };
        let faults_end = Duration::from_secs(40);
        let script = Script { faults_end, faults: vec![hangs], ..Script::calm(1, Times::QUICK) };
        let mut world = World::new(script, Plants::none(), Diary::Closed);
        world.passes(Duration::from_secs(35));
        assert!(!world.fleet.is_writable(Host(0)));
        world.passes(Duration::from_secs(60));
        let leader = world.hosts().find(|host| world.fleet.is_writable(*host)).expect("somebody leads");
        assert!(world.hosts().all(|host| host == leader || world.follows(host, leader)));
    }
}
