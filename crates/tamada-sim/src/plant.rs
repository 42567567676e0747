//! Faults that are planted on purpose: a proof that cannot fail proves nothing.
//!
//! Each is one line of the shipped core done wrong (`tamada-core/src/plant.rs`), or one of what stands around it. The
//! swarm must find every one of them, and `make test` shows that it still does.

use tamada_core::plant::Plant as InCore;

/// The ones that are not in the core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Planted {
    /// Nobody stops a primary whose agent is gone.
    NoGuard,
    /// The store carries out a compare-and-swap over a value that is no more: a late one, or one that comes twice.
    StaleSwapAccepted,
    /// Data that does not fit is removed to make room for a copy, before there is anybody to copy from.
    RemovedBeforeCopy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Where {
    Core(InCore),
    Around(Planted),
}

/// One planted fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plant {
    pub name: &'static str,
    place: Where,
    /// A seed of the swarm that finds it.
    pub seed: u64,
}

const fn core(name: &'static str, plant: InCore, seed: u64) -> Plant {
    Plant { name, place: Where::Core(plant), seed }
}

const fn around(name: &'static str, plant: Planted, seed: u64) -> Plant {
    Plant { name, place: Where::Around(plant), seed }
}

pub const PLANTS: &[Plant] = &[
    core("lease-counted-from-answer", InCore::LeaseCountedFromAnswer, 5),
    core("unclear-renewal-counts", InCore::UnclearRenewalCounts, 28),
    core("reading-renews", InCore::ReadingRenews, 1),
    core("promotion-unchecked", InCore::PromotionUnchecked, 5),
    core("old-view-reused", InCore::OldViewReused, 187),
    core("no-giving-up", InCore::NoGivingUp, 3),
    core("release-before-stop", InCore::ReleaseBeforeStop, 12),
    core("release-without-successor", InCore::ReleaseWithoutSuccessor, 182),
    core("race-ignores-timeline", InCore::RaceIgnoresTimeline, 172),
    core("race-asks-nobody", InCore::RaceAsksNobody, 920),
    core("race-ignores-lag", InCore::RaceIgnoresLag, 30),
    core("race-ignores-answers", InCore::RaceIgnoresAnswers, 132),
    core("nofailover-ignored", InCore::NofailoverIgnored, 12),
    core("pause-ignored-by-race", InCore::PauseIgnoredByRace, 40),
    core("outage-is-empty-cluster", InCore::OutageIsEmptyCluster, 1732),
    core("rewind-skipped", InCore::RewindSkipped, 4),
    core("job-end-lost", InCore::JobEndLost, 4),
    core("two-jobs", InCore::TwoJobs, 1),
    core("history-not-written", InCore::HistoryNotWritten, 3),
    core("guard-let-go", InCore::GuardLetGo, 95),
    core("guard-told-late", InCore::GuardToldLate, 831),
    core("overtaken-look-counts", InCore::OvertakenLookCounts, 413),
    around("no-guard", Planted::NoGuard, 3),
    around("stale-swap-accepted", Planted::StaleSwapAccepted, 130),
    around("removed-before-copy", Planted::RemovedBeforeCopy, 97),
];

/// What is planted in one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Plants(Option<Plant>);

impl Plants {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn named(name: &str) -> Option<Self> {
        PLANTS.iter().find(|plant| plant.name == name).map(Plant::plants)
    }

    pub fn has(&self, planted: Planted) -> bool {
        self.0.is_some_and(|plant| plant.place == Where::Around(planted))
    }

    /// The core of this thread has it from now on, and no other.
    pub(crate) fn sow(&self) {
        let in_core = self.0.and_then(|plant| match plant.place {
            Where::Core(plant) => Some(plant),
            Where::Around(_) => None,
        });
        tamada_core::plant::plant(in_core);
    }
}

impl Plant {
    pub fn plants(&self) -> Plants {
        Plants(Some(*self))
    }
}
