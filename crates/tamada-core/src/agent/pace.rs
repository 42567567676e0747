//! When the agent looks again: at the lease's instants, soon while something moves, later after a failure.

use std::time::Duration;

use tamada_model::{Job, Mono, Now, Wall};

use super::Agent;
use crate::decision::Reason;

impl Agent {
    /// When to be woken at the latest if nothing happens until then.
    pub fn next_wake(&self, now: Now) -> Mono {
        if self.left {
            return now.mono + Duration::from_secs(60);
        }
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
        let Some(Now { mono: last, wall: last_wall }) = self.last_pass.filter(|_| !self.again) else {
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
        if let Some(at) = self.next_schedule(last_wall) {
            wake = wake.min(now.mono + Duration::from_secs_f64(at.seconds_from(now.wall).max(0.0)));
        }
        wake
    }

    /// How soon the next pass comes if nothing is heard: `loop_wait`, or less while something is in motion.
    pub(super) fn pace(&self) -> Duration {
        let loop_wait = self.setup.settings.loop_wait;
        let moving = match &self.because {
            None => Duration::from_millis(100),
            Some(Reason::PreparingForCommits) => Duration::from_millis(20),
            Some(
                Reason::WaitingForSuccessorsWal { .. }
                | Reason::NotHealthiest { because: crate::Unfit::BehindPublishedPosition { .. }, .. },
            ) => Duration::from_millis(50),
            // A reload takes that long; one that does not take is tried again later.
            Some(Reason::LettingGo { .. }) if self.is_news => Duration::from_millis(100),
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
                | Reason::NotYetFollowing { .. }
                | Reason::RewindCutShort(_)
                | Reason::LostLeaderBeforePromote
                | Reason::LostLockDuring { .. }
                | Reason::CrashRecoveryTooLong
                | Reason::StoreDarkForTooLong { .. }
                | Reason::LettingGo { .. }
                | Reason::Repointing { .. }
                | Reason::PostgresSilent { .. },
            ) => Duration::from_secs(1),
            Some(Reason::ActionInProgress { .. }) if self.memory.step_down.is_some() => Duration::from_secs(1),
            Some(_) if self.memory.sync_proof.awaits() => Duration::from_millis(200),
            Some(_) if self.memory.rewind.is_open() => Duration::from_secs(1),
            Some(_) => loop_wait,
        };
        moving.min(loop_wait)
    }

    /// The first scheduled instant that the last pass has not seen come.
    fn next_schedule(&self, last_pass: Wall) -> Option<Wall> {
        if self.setup.settings.pause {
            return None;
        }
        let failover = self.cluster().and_then(|cluster| cluster.failover.as_ref());
        let switchover = failover.and_then(|request| request.value.scheduled_at.as_ref()).and_then(|at| at.at);
        let restart = self.memory.scheduled_restart.as_ref().and_then(|plan| plan.schedule.at);
        [switchover, restart].into_iter().flatten().filter(|at| *at > last_pass).min()
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
    /// after a second, then two, four, up to `loop_wait`; anything else after a second. A failure that is not repeated
    /// but ends something (the bootstrap, our holding the lock) is acted on at once.
    pub(super) fn hold_off(&mut self, job: &Job, now: Now) {
        let again_after = match job {
            Job::Clone { .. } | Job::Reinitialize { .. } | Job::Rewind { .. } => 2u32.pow(self.failures.min(6)),
            Job::Bootstrap | Job::PostBootstrap | Job::AbandonBootstrap => return,
            Job::StartPrimary { .. } | Job::StartStandby { .. } | Job::Restart { .. }
                if self.memory.lease.is_some() =>
            {
                return;
            }
            Job::StartPrimary { .. }
            | Job::StartStandby { .. }
            | Job::Restart { .. }
            | Job::ChangeUpstream { .. }
            | Job::Promote { .. }
            | Job::CrashRecovery
            | Job::Stop(_)
            | Job::RemoveData => 1,
        };
        self.failures += 1;
        self.pause(Duration::from_secs(1) * again_after, now);
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

    /// A store that does not write is asked again after 300 ms, then more and more slowly, at last each second.
    pub(super) fn pause_after_failure(&mut self, now: Now) {
        let pause = Duration::from_millis(300) * 2u32.pow(self.failed_writes.min(2));
        self.failed_writes += 1;
        self.pause(pause.min(Duration::from_secs(1)), now);
    }
}
