//! The last line of defence that this process has: a PostgreSQL that may be writable must not outlive the lease.

use tamada_model::{Answers, Job, Now, Role};

use super::{Agent, Effect};
use crate::decision::Note;
use crate::memory::ComesBack;
use crate::plant::{Plant, is_planted};

impl Agent {
    /// The last line of defence that this process has: PostgreSQL still writable and the lease about to end.
    pub(super) fn fence_if_late(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(lease) = self.memory.lease else {
            return;
        };
        if is_planted(Plant::NoGivingUp) {
            return;
        }
        let late = now.mono >= lease.fence_at() && self.fenced != Some(lease.asked_at);
        if !late || self.memory.has_released() || self.setup.settings.pause || !self.may_be_writable() {
            return;
        }
        self.fenced = Some(lease.asked_at);
        self.memory.comes_back = ComesBack::AsStandby;
        self.overtaken = true;
        effects.push(Effect::Log(Note::error(
            "The lease ends and could not be renewed in time: stopping PostgreSQL immediately",
        )));
        effects.push(Effect::Fence);
        // One that was about to start it must not do so a moment later.
        if self.running.as_ref().is_some_and(|running| !running.job.is_stop()) {
            self.cancel(effects);
        }
        self.again = true;
    }

    pub(super) fn may_be_writable(&self) -> bool {
        let job_makes_primary = self.running.as_ref().is_some_and(|running| self.makes_primary(&running.job));
        job_makes_primary || self.promoted_unseen || self.was_writable()
    }

    /// When we last looked at it.
    pub(super) fn was_writable(&self) -> bool {
        let running = self.seen.as_ref().filter(|seen| seen.postgres.process.is_running());
        running.is_some_and(|seen| match &seen.postgres.answers {
            // A standby that was told to promote itself will be a primary without asking again.
            Answers::Live(live) => live.is_primary() || seen.postgres.role == Role::Promoted,
            Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => seen.postgres.role.is_primary(),
        })
    }

    /// Or leaves it one.
    pub(super) fn makes_primary(&self, job: &Job) -> bool {
        let role = self.seen.as_ref().map(|seen| seen.postgres.role);
        job.makes_primary() || (matches!(job, Job::Restart { .. }) && role.is_some_and(Role::is_primary))
    }
}
