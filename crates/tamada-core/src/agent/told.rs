//! What this member tells about itself, and what it must take back.

use std::sync::Arc;

use tamada_model::{Member, Now, Report};

use super::{Agent, Effect};
use crate::tell;

impl Agent {
    pub(super) fn tell(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.told_lease = self.memory.lease.map(|lease| lease.ends_at());
        effects.push(Effect::Tell(Arc::new(self.report(now))));
    }

    /// 1. a holds a lease of 30 s, and has told so: `/primary` answers 200 until its end.
    /// 2. An operator makes the ttl 5. a reads that, and renews the lock with it; the store is slow.
    /// 3. The pass goes on, or is begun anew with a fresh look. Before it ends, the five seconds are over, and b leads;
    ///    a is still asked for `/primary`, and sends clients to itself.
    ///
    /// Therefore a lease that ends sooner than we told, or is lost, is told of at once, not at the end of the pass.
    pub(super) fn take_back(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let ends = self.memory.lease.map(|lease| lease.ends_at());
        let too_much = self.told_lease.is_some_and(|told| now.mono < told && ends.is_none_or(|ends| ends < told));
        if too_much {
            self.tell(now, effects);
        }
    }

    /// What this member tells about itself.
    pub fn report(&self, now: Now) -> Report {
        tell::report(&tell::Told {
            setup: &self.setup,
            memory: &self.memory,
            seen: self.seen.as_ref(),
            cluster_seen: self.cluster_seen.as_ref(),
            job: self.job_view(),
            armed: self.armed,
            because: self.because.as_ref(),
            sentence: &self.sentence,
            next_pass: now.mono + self.pace(),
        })
    }

    pub(super) fn member_record(&self) -> Option<Member> {
        let seen = self.seen.as_ref()?;
        Some(tell::member(&self.setup, &self.memory, seen, &self.job_view()))
    }

    /// What is left to tell when the process goes: the record with the stopped state (21.5).
    pub fn farewell(&self) -> Option<Member> {
        self.member_record()
    }
}
