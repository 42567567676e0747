//! The right to lead, and when it ends.
//!
//! ```text
//! asked_at                                give_up_at        fence_at   ends_at
//!    │───────────────── renew every third ─────│──── stop fast ────│─ kill ─│
//! ```
//!
//! 1. a asks to keep the key; the store hears it at once, the answer is four seconds late.
//! 2. a counts its lease from the answer, the store from the question.
//! 3. For four seconds a still believes in a lease that b may already hold.
//!
//! Therefore a lease begins when we ask, whatever time the answer takes, and an unclear answer extends nothing.

use std::time::Duration;

use tamada_model::{Mono, Settings};

/// Proof that the store granted us the lock, and from when it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldLease {
    pub asked_at: Mono,
    pub ttl: Duration,
}

/// How a lease stands at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Runs, and was renewed lately.
    Held,
    /// Runs, and it is time to renew it.
    Due,
    /// Runs, but no renewal has succeeded for so long that PostgreSQL must be stopped now to be down in time.
    Ending,
    Gone,
}

impl HeldLease {
    pub fn ends_at(&self) -> Mono {
        self.asked_at + self.ttl
    }

    /// The same, but at its end not later than a lease of `ttl` that were asked for now.
    pub fn at_most(self, ttl: Duration, now: Mono) -> Self {
        Self { ttl: self.ttl.min(now.since(self.asked_at) + ttl), ..self }
    }

    /// When the next renewal should be asked for: a third of the ttl after the last.
    pub fn renew_at(&self) -> Mono {
        self.asked_at + self.ttl / 3
    }

    /// When to stop hoping and begin a fast shutdown: `retry_timeout` before the end, as the rule
    /// `loop_wait + 2 * retry_timeout <= ttl` leaves room for (ha-loop.md 2.4), and never before half of the lease.
    pub fn give_up_at(&self, retry_timeout: Duration) -> Mono {
        self.asked_at + self.ttl.saturating_sub(retry_timeout).max(self.ttl / 2)
    }

    /// When a PostgreSQL that is still up must be killed: late enough for a fast shutdown to have its chance, early
    /// enough for SIGQUIT to do its work before the end.
    pub fn fence_at(&self) -> Mono {
        self.asked_at + (self.ttl - fence_margin(self.ttl))
    }

    pub fn standing(&self, now: Mono, settings: &Settings) -> Standing {
        // A pass that comes a little before the renewal is due renews too: better than waking again for it alone.
        let early = self.ttl / 30;
        if now >= self.ends_at() {
            Standing::Gone
        } else if now >= self.give_up_at(settings.retry_timeout) {
            Standing::Ending
        } else if now + early >= self.renew_at() {
            Standing::Due
        } else {
            Standing::Held
        }
    }
}

/// A twentieth of the ttl, between 100 ms and 1 s: the postmaster ends its backends within milliseconds of SIGQUIT.
fn fence_margin(ttl: Duration) -> Duration {
    (ttl / 20).clamp(Duration::from_millis(100), Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_the_asking_and_everything_happens_before_its_end() {
        let settings = Settings::default();
        let lease = HeldLease { asked_at: Mono::new(Duration::from_secs(100)), ttl: Duration::from_secs(30) };
        let at = |seconds: u64| Mono::new(Duration::from_secs(100 + seconds));
        assert_eq!(lease.standing(at(1), &settings), Standing::Held);
        assert_eq!(lease.standing(at(10), &settings), Standing::Due);
        assert_eq!(lease.standing(at(20), &settings), Standing::Ending);
        assert_eq!(lease.standing(at(30), &settings), Standing::Gone);
        assert!(lease.renew_at() < lease.give_up_at(settings.retry_timeout));
        assert!(lease.give_up_at(settings.retry_timeout) < lease.fence_at());
        assert!(lease.fence_at() < lease.ends_at());
    }

    #[test]
    fn a_shorter_ttl_ends_it_sooner_and_never_in_the_past() {
        let at = |seconds| Mono::new(Duration::from_secs(seconds));
        let lease = HeldLease { asked_at: at(100), ttl: Duration::from_secs(30) };
        assert_eq!(lease.at_most(Duration::from_secs(20), at(104)).ends_at(), at(124));
        assert_eq!(lease.at_most(Duration::from_secs(5), at(110)).ends_at(), at(115));
        assert_eq!(lease.at_most(Duration::from_secs(60), at(104)), lease);
    }
}
