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
    /// A reading counts as a renewal: the store has answered, has it not?
    ReadingRenews,
    /// A promotion goes by what was last read: nobody asks before it how old that is, and whether the lease still runs.
    /// (That the lease is renewed, looked at and asserted, and that an old view is thrown away, are lines behind one
    /// another: each alone would do.)
    PromotionUnchecked,
    /// What was seen before a freeze is decided on after it, as if no time had passed.
    OldViewReused,
    /// PostgreSQL is stopped when the lock is seen to be lost, not before.
    NoGivingUp,
    /// The lock is given away before PostgreSQL has stopped.
    ReleaseBeforeStop,
    /// The lock is given away whether or not a successor has all WAL.
    ReleaseWithoutSuccessor,
    /// Timelines say nothing in a race: neither to an old primary that takes its lock back, nor among standbys.
    RaceIgnoresTimeline,
    /// Nobody is asked before the lock is taken: whoever does not speak is taken to be behind.
    RaceAsksNobody,
    RaceIgnoresLag,
    /// Whoever answers is no obstacle, a primary as little as one that has more WAL. (Only the first of these: a primary
    /// without the lock has stopped before anybody could take it.)
    RaceIgnoresAnswers,
    NofailoverIgnored,
    /// And whoever has won is promoted; else it would only give the lock back, and take it, and give it back.
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
    /// The guard is told when PostgreSQL is seen to be writable, and not before it is promoted.
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
