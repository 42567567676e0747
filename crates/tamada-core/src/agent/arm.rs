//! What the guard and the watchdog are told: until when PostgreSQL may be writable without us saying so again.
//!
//! 1. a leads and is frozen, or killed. Its PostgreSQL goes on.
//! 2. Its lease ends; b takes the lock and is promoted.
//! 3. Both take writes, until somebody notices.
//!
//! Therefore a second process knows the end of the lease, and stops PostgreSQL if nobody has moved it on by then. It is
//! told before PostgreSQL can become writable, and let go only when PostgreSQL cannot be writable any more: losing the
//! lease, or dying, lets nobody go.

use std::time::Duration;

use tamada_model::{Mono, Now};

use super::{Agent, Effect};
use crate::decision::Reason;
use crate::guard::Watcher;
use crate::plant::{Plant, is_planted};

/// What the guard is to believe from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arm {
    /// Stop PostgreSQL at `fence_at` unless told otherwise; at `ends_at` at the latest nothing of it may be left.
    Until { fence_at: Mono, ends_at: Mono },
    /// There is nothing to stop, or nobody wants it stopped (pause).
    Off,
}

impl Agent {
    /// Tells the guard what has changed: an end that moves, before anything else is done; that it may rest, after.
    pub(super) fn arm(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let born = *self.born.get_or_insert(now.mono);
        let wanted = self.wanted_arm(now.mono.since(born));
        let Some(arm) = wanted.filter(|_| wanted != self.armed) else {
            return;
        };
        self.armed = wanted;
        match arm {
            Arm::Until { .. } => effects.insert(0, Effect::Guard(arm)),
            Arm::Off => effects.push(Effect::Guard(arm)),
        }
    }

    /// `None`: as it was, even if a predecessor of ours said so.
    fn wanted_arm(&self, age: Duration) -> Option<Arm> {
        if self.setup.settings.pause || is_planted(Plant::NoGivingUp) {
            return Some(Arm::Off);
        }
        // 1. The store is silent; we stop PostgreSQL before the lease ends, and start it again as a standby.
        // 2. The lease, which nobody has taken from us, ends.
        // 3. A guard that goes by the lease alone stops the standby, again and again.
        // Therefore it rests whenever nothing can be written, and is woken together with what is to become primary.
        let may_be_writable = match is_planted(Plant::GuardToldLate) {
            true => self.was_writable(),
            false => self.may_be_writable(),
        };
        // 1. Our predecessor had PostgreSQL begin a promotion, and was killed.
        // 2. We are started, see a standby, and let the guard go; then we are frozen.
        // 3. The standby is a primary, and nobody watches it.
        // Therefore what a predecessor armed is let go only when PostgreSQL does not run, or its lease must have ended.
        // A watchdog that is required must run before the promotion begins.
        let watchdog_is_awaited = self.because == Some(Reason::WaitingFor(Watcher::Watchdog));
        let rests = !may_be_writable && !watchdog_is_awaited;
        if let Some(seen) = self.seen.as_ref().filter(|_| rests) {
            let ended = age > self.setup.settings.ttl;
            let ours = self.armed.is_some() || ended || !seen.postgres.process.is_running();
            return ours.then_some(Arm::Off);
        }
        if let Some(lease) = self.memory.lease {
            return Some(Arm::Until { fence_at: lease.fence_at(), ends_at: lease.ends_at() });
        }
        if is_planted(Plant::GuardLetGo) {
            return Some(Arm::Off);
        }
        self.memory.has_released().then_some(Arm::Off)
    }
}
