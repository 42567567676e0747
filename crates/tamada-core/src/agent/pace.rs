//! When the agent looks again: at the lease's instants, soon while something moves, later after a failure.

use std::time::Duration;

use tamada_model::{Job, Mono, Now};

use super::Agent;
use crate::decision::Reason;

impl Agent {
    /// When to be woken at the latest if nothing happens until then.
    pub fn next_wake(&self, now: Now) -> Mono {
        let fence = self.memory.lease.map(|lease| lease.fence_at()).filter(|at| *at > now.mono);
        let pass = match (self.is_resting(), self.not_before) {
            // The pass under way ends by an event.
            (false, _) => now.mono + Duration::from_secs(60),
            (true, Some(not_before)) => self.next_pass(now).max(not_before),
            (true, None) => self.next_pass(now),
        };
        fence.map_or(pass, |fence| pass.min(fence))
    }

    pub(super) fn next_pass(&self, now: Now) -> Mono {
        let Some(last) = self.last_pass.filter(|_| !self.again) else {
            return now.mono;
        };
        let mut wake = last + self.pace();
        if let Some(lease) = self.memory.lease {
            let dues = [lease.renew_at(), lease.give_up_at(self.setup.settings.retry_timeout), lease.ends_at()];
            wake = dues.into_iter().filter(|due| *due > last).fold(wake, Mono::min);
        }
        if let Some(at) = self.memory.step_down.as_ref().and_then(|step_down| step_down.released_at) {
            let due = Some(at + crate::decide::SUCCESSOR_PATIENCE).filter(|due| *due > last);
            wake = due.map_or(wake, |due| wake.min(due));
        }
        if let Some(seconds) = self.seconds_to_next_schedule(now) {
            wake = wake.min(now.mono + Duration::from_secs_f64(seconds.max(0.0)));
        }
        wake
    }

    /// How soon the next pass comes if nothing is heard: `loop_wait`, or less while something is in motion.
    pub(super) fn pace(&self) -> Duration {
        let loop_wait = self.setup.settings.loop_wait;
        let moving = match &self.because {
            None => Duration::from_millis(100),
            Some(
                Reason::WaitingForSuccessorsWal { .. }
                | Reason::NotHealthiest { because: crate::Unfit::BehindPublishedPosition { .. }, .. },
            ) => Duration::from_millis(50),
            Some(
                Reason::StillStarting { .. }
                | Reason::PromotionUnderWay
                | Reason::RecoveryAfterBootstrap
                | Reason::ShutDownButKept { .. },
            ) => Duration::from_millis(200),
            Some(
                Reason::StoreDark { .. }
                | Reason::StoreDarkAndLeading { .. }
                | Reason::NotHealthiest { .. }
                | Reason::RaceBackoff { .. }
                | Reason::WaitingForSuccessor
                | Reason::WaitingForLeadersCheckpoint { .. }
                | Reason::WaitingForLeaderToBootstrap { .. }
                | Reason::StartTimedOutButAlone
                | Reason::DivergenceUnclear { .. }
                | Reason::RewindCutShort { .. }
                | Reason::Repointing { .. }
                | Reason::PostgresSilent { .. },
            ) => Duration::from_secs(1),
            Some(_) if self.memory.rewind.is_open() => Duration::from_secs(1),
            Some(_) => loop_wait,
        };
        moving.min(loop_wait)
    }

    pub(super) fn seconds_to_next_schedule(&self, now: Now) -> Option<f64> {
        if self.setup.settings.pause {
            return None;
        }
        let failover = self.cluster().and_then(|cluster| cluster.failover.as_ref());
        let switchover = failover.and_then(|request| request.value.scheduled_at.as_ref()).and_then(|at| at.at);
        let restart = self.memory.scheduled_restart.as_ref().and_then(|plan| plan.schedule.at);
        [switchover, restart]
            .into_iter()
            .flatten()
            .map(|at| at.seconds_from(now.wall))
            .filter(|left| *left > 0.0)
            .reduce(f64::min)
    }

    /// At most `wish`, and never past the moment at which a leader would have to give up.
    pub(super) fn patience(&self, now: Now, wish: Duration) -> Duration {
        let least = Duration::from_millis(100);
        match self.memory.lease {
            Some(lease) if now.mono < lease.ends_at() => {
                let left = now.mono.until(lease.give_up_at(self.setup.settings.retry_timeout));
                wish.min(left.max(least))
            }
            Some(_) | None => wish,
        }
    }

    /// A failure is not repeated at once, whatever rings. What costs others something (a copy, a rewind) is tried again
    /// after a second, then two, four, up to `loop_wait`; PostgreSQL is started again after a second.
    pub(super) fn hold_off(&mut self, job: &Job, now: Now) {
        let costly = match job {
            Job::Bootstrap | Job::Clone { .. } | Job::Reinitialize { .. } | Job::Rewind { .. } => true,
            Job::PostBootstrap
            | Job::StartPrimary { .. }
            | Job::StartStandby { .. }
            | Job::ChangeUpstream { .. }
            | Job::Restart { .. }
            | Job::Promote { .. }
            | Job::CrashRecovery
            | Job::Stop(_)
            | Job::AbandonBootstrap
            | Job::RemoveData => false,
        };
        let doublings = if costly { self.failures.min(6) } else { 0 };
        self.failures += 1;
        self.pause(Duration::from_secs(1) * 2u32.pow(doublings), now);
    }

    pub(super) fn wait_a_second(&mut self, now: Now) {
        self.pause(Duration::from_secs(1), now);
    }

    /// No pass for so long, but never beyond the renewal of the lease.
    fn pause(&mut self, pause: Duration, now: Now) {
        let until = now.mono + pause.min(self.setup.settings.loop_wait);
        let renewal = self.memory.lease.map(|lease| lease.renew_at()).filter(|due| *due > now.mono);
        self.not_before = Some(renewal.map_or(until, |due| until.min(due)));
    }

    pub(super) fn pause_after_failure(&mut self, now: Now) {
        self.pause(Duration::from_millis(300), now);
    }
}
