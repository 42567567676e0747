//! Faults that the simulator plants in this crate, to show that it finds them.
//!
//! Only with the feature `planted`, which nothing that is shipped has; without it [`is_planted`] is a constant `false`,
//! and what hangs on it is not compiled. Each fault is one that an agent of this kind has had, or could have.

/// One line done wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Plant {
    /// The lease begins with the store's answer.
    LeaseCountedFromAnswer,
    /// A renewal that nobody answered counts as one that succeeded.
    UnclearRenewalCounts,
    /// Whoever else the store names, the lease runs on.
    LeaseOutlivesReading,
    /// Whether the lease still runs is not asked before a promotion.
    PromotionUnchecked,
    /// What was seen before a freeze is decided on after it.
    OldViewReused,
    /// PostgreSQL is stopped when the lock is seen to be lost, not before.
    NoGivingUp,
    /// The lock is given away before PostgreSQL has stopped.
    ReleaseBeforeStop,
    /// The lock is given away whether or not a successor has all WAL.
    ReleaseWithoutSuccessor,
    /// An old primary takes its lock back whatever was promoted since.
    RaceIgnoresTimeline,
    /// Nobody is asked before the lock is taken: whoever does not speak is taken to be behind.
    RaceAsksNobody,
    RaceIgnoresLag,
    /// A primary that answers is no obstacle.
    RaceIgnoresPrimary,
    NofailoverIgnored,
    PauseIgnoredByRace,
    /// A store that cannot be read looks like an empty cluster.
    OutageIsEmptyCluster,
    RewindSkipped,
    /// The end of a long action is not heard if a pass is under way.
    JobEndLost,
    /// An action is begun while another one is at work.
    TwoJobs,
    HistoryNotWritten,
    /// The guard is let go as soon as the lease is lost.
    GuardLetGo,
    /// The guard is told only after PostgreSQL was promoted.
    GuardToldLate,
    /// A look that was overtaken by the end of a job is decided on.
    OvertakenLookCounts,
}

#[cfg(feature = "planted")]
mod switch {
    use super::Plant;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// On this thread, from now on.
    pub fn plant(plant: Option<Plant>) {
        PLANTED.set(plant);
    }

    pub(crate) fn is_planted(plant: Plant) -> bool {
        PLANTED.get() == Some(plant)
    }
}

#[cfg(feature = "planted")]
pub use switch::plant;

#[cfg(feature = "planted")]
pub(crate) use switch::is_planted;

#[cfg(not(feature = "planted"))]
pub(crate) const fn is_planted(_: Plant) -> bool {
    false
}
