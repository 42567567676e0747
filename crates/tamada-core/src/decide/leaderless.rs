//! Nobody holds the lock (ha-loop.md 12). Whoever may lead takes it; a primary that may not stops; a standby that may
//! not keeps its present upstream until a winner is known.
//!
//! The original removes `primary_conninfo` from a loser at once and sets it again when the winner is seen. We leave it:
//! the old primary has stopped by the time its lock is free, and a needless restart (before 13) delays the rejoin.

use std::sync::Arc;

use tamada_model::{Cluster, Role};

use crate::decision::{Chore, Decision, Leave, Note, Reason, Step, Unfit, Verdict};
use crate::memory::{Mark, Rewind, StepDownMode};
use crate::race::{Candidacy, backoff, candidacy};
use crate::view::View;

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    if let Some(step) = unclaimed(view, cluster) {
        return step;
    }
    if let Some(step) = primary_that_could_not_take_it(view) {
        return step;
    }
    if let Some(seconds) = backoff(view, cluster) {
        return Decision::stay(Reason::RaceBackoff { seconds }).mark(Mark::RaceOpened).into();
    }
    match candidacy(view, cluster) {
        Candidacy::Ask(fact) => Step::ask(fact),
        Candidacy::Fit(notes) => Decision::new(Verdict::Acquire, Reason::LockIsFree).notes(notes).into(),
        Candidacy::Unfit(because, notes) => unfit(view, because, notes),
    }
}

/// 6.5: there is data here and the cluster has no identity yet. A primary gives it ours, and so does data that is not
/// running; a replica must not, because nobody knows of what. One that cannot be asked yet is asked later.
pub fn unclaimed(view: &View<'_>, cluster: &Cluster) -> Option<Step> {
    let unlocked = cluster.is_unlocked() && cluster.initialize.system_id().is_none();
    if !unlocked || view.settings.pause || view.postgres().callback_called {
        return None;
    }
    let id = view.system_id()?;
    let standby = match view.live() {
        Some(live) => !live.is_primary(),
        None if view.is_running() && !view.is_primary() => return None,
        None => false,
    };
    if standby && !view.memory.recovering {
        return Some(
            Decision::new(Verdict::Leave(Leave::Refusing), Reason::ReplicaInUninitializedCluster)
                .mark(Mark::JoinAborted)
                .note(Note::error("No initialize key in DCS and PostgreSQL is running as replica, aborting start"))
                .note(Note::error("Please first start Patroni on the node running as primary"))
                .into(),
        );
    }
    let over_existing = cluster.initialize != tamada_model::Initialize::Absent;
    Some(Decision::new(Verdict::ClaimInitialize { id, over_existing }, Reason::ClaimingInitialize).into())
}

/// 1. Our lock vanished; PostgreSQL is writable, and we try to take the lock again.
/// 2. The store does not answer us, or says no, and still shows nobody.
/// 3. Somebody whom it does answer takes the lock, and there are two primaries.
///
/// Therefore one attempt is all that a running primary has (12.2, 17.3).
fn primary_that_could_not_take_it(view: &View<'_>) -> Option<Step> {
    if !view.is_primary() || view.settings.pause {
        return None;
    }
    if let Some(because) = &view.memory.acquire_failed {
        return Some(super::dark::give_up(because));
    }
    view.memory.lost_race.then(|| {
        let verdict = Verdict::StepDown(StepDownMode::ImmediateNoLock);
        Decision::new(verdict, Reason::LockNotObtained).mark(Mark::RaceSettled).into()
    })
}

fn unfit(view: &View<'_>, because: Unfit, notes: Vec<Note>) -> Step {
    let was_primary = view.is_primary() || (view.promotes() && !view.settings.pause);
    let standing = standing(&because);
    if view.settings.pause && standing != Standing::NamedButShort {
        return paused(view, was_primary, because, notes);
    }
    let reason = match because {
        Unfit::NoFailover => Reason::NotAllowedToPromote { was_primary },
        because => Reason::NotHealthiest { was_primary, because },
    };
    if was_primary {
        let verdict = Verdict::StepDown(StepDownMode::ImmediateNoLock);
        return Decision::new(verdict, reason).mark(Mark::RaceOpened).notes(notes).into();
    }
    // Where the winner may be behind us: look before following it.
    let mut decision = Decision::stay(reason).mark(Mark::RaceOpened).notes(notes);
    match standing {
        Standing::WinnerMayBeBehind => decision = decision.mark(Mark::SuspectDivergence),
        // Others hear of it, and do not let us go first.
        Standing::OnAnotherTimeline => decision = decision.mark(Mark::Rewind(Rewind::Useless)),
        Standing::NamedButShort | Standing::Outdone => {}
    }
    if !view.postgres().callback_called && view.live().is_some() {
        // Just adopted (5 step 15): nobody knows what happened to it before.
        decision = decision.chore(Chore::FireOnStart).mark(Mark::SuspectDivergence);
    }
    decision.into()
}

/// How somebody who may not lead now stands to whoever will.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Named by the operator, and still without the last WAL.
    NamedButShort,
    /// Others were chosen for other reasons than their WAL (12.4).
    WinnerMayBeBehind,
    /// Not the cluster's: what we have says nothing beside what the others have.
    OnAnotherTimeline,
    Outdone,
}

fn standing(because: &Unfit) -> Standing {
    match because {
        Unfit::BehindPublishedPosition { .. } => Standing::NamedButShort,
        Unfit::CandidateIsAnother { .. } | Unfit::NoFailover => Standing::WinnerMayBeBehind,
        Unfit::TimelineBesideCluster { .. }
        | Unfit::TwinOfClustersTimeline { .. }
        | Unfit::TimelinePastCluster { .. } => Standing::OnAnotherTimeline,
        Unfit::PromotionRefusedLately { .. }
        | Unfit::Starting
        | Unfit::ForeignSystemId
        | Unfit::TimelineBehindCluster { .. }
        | Unfit::Paused
        | Unfit::NotInFailsafe
        | Unfit::Unwatched { .. }
        | Unfit::LagsBehindLeader { .. }
        | Unfit::PositionUnknown
        | Unfit::TimelineUnknown
        | Unfit::PrimaryAlive { .. }
        | Unfit::OthersMayBeBack { .. }
        | Unfit::NeedsCopy
        | Unfit::OutrankedByTimeline { .. }
        | Unfit::OutrankedByPosition { .. }
        | Unfit::OutrankedByPriority { .. }
        | Unfit::NotSynchronous { .. }
        | Unfit::QuorumNotReached { .. }
        | Unfit::OldLeaderOfSwitchover { .. } => Standing::Outdone,
    }
}

/// 11.4: in pause nothing is stopped and nobody is followed anew.
fn paused(view: &View<'_>, was_primary: bool, unfit: Unfit, notes: Vec<Note>) -> Step {
    let unfit = Some(unfit);
    let (because, role) = match was_primary {
        true => (Reason::PausedPrimaryWithoutLock { unfit }, Role::Primary),
        false => (Reason::PausedWithNobodyToFollow { unfit }, Role::Replica),
    };
    let mut decision = Decision::stay(because).notes(notes);
    if view.role() != role && view.live().is_some() && !view.promotes() {
        decision = decision.chore(Chore::SetRole(role));
    }
    decision.into()
}
