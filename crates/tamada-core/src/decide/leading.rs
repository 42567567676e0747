//! The lock is ours (ha-loop.md 10.1–10.3, 13). First keep it, then obey the operator, then make PostgreSQL what the
//! lock says it is.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Answers, Cluster, Initialize, Role};

use crate::decision::{Chore, Decision, Fact, Note, Reason, Step, Verdict};
use crate::guard::{Guarding, Watcher, awaited, guarding};
use crate::history::{self, Needed};
use crate::memory::{CheckpointAfterPromote, Mark, Rewind, StepDownMode};
use crate::plant::{Plant, is_planted};
use crate::restart::InThisPass;
use crate::switchover::{Handling, on_leader};
use crate::view::View;
use crate::{HeldLease, race, restart, slots, synchronous};

use super::busy::{Renewal, renew};

/// A promotion that has less of the lease left than this might outlive it.
const LEAST_TO_PROMOTE: Duration = Duration::from_millis(200);

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    // 1. We have won the lock; PostgreSQL was told to promote itself, and replays for minutes.
    // 2. The cluster is paused. We are a standby, and give the lock back; it is resumed, and b is promoted.
    // 3. PostgreSQL is through with replaying, and is a primary.
    // Therefore the lock is kept for a promotion that is under way.
    let unasked = view.promotes() && !is_named(view, cluster);
    let pause = view.settings.pause && !is_planted(Plant::PauseIgnoredByRace);
    if pause && !view.is_primary() && !unasked {
        return paused_standby(view, cluster);
    }
    if let Some(step) = refused(view) {
        return step;
    }
    if let Some(step) = unwatched(view) {
        return step;
    }
    match renew(view) {
        Some(Renewal::Ask(step)) => return step,
        Some(Renewal::Lost) => return lost(view),
        Some(Renewal::Unclear(because)) => return super::dark::decide(view, &because, None),
        None => {}
    }
    let unchecked = view.memory.lease.filter(|_| is_planted(Plant::PromotionUnchecked));
    let Some(lease) = view.memory.lease_runs(view.now.mono).or(unchecked) else {
        return Decision::new(Verdict::Renew, Reason::LeaseDue).into();
    };
    match requested(view, cluster) {
        Requested::Decided(step) => step,
        Requested::GoOn(chores, notes) => beside(enforce(view, cluster, lease), chores, notes),
    }
}

/// 1. b is promoted, a little behind what a published last, and dies before it publishes anything itself.
/// 2. b is back. It is further behind than `maximum_lag_on_failover` allows, and everybody else is on an older timeline.
/// 3. Nobody may lead.
///
/// Therefore the first thing that a new primary does is to publish where it is.
fn is_unpublished(view: &View<'_>) -> bool {
    let new = view.memory.checkpoint == CheckpointAfterPromote::Missing && !is_checkpointed(view);
    let live = view.live().is_some_and(tamada_model::Live::is_primary);
    live && new && view.seen.asked.renewal.is_none() && !view.settings.pause
}

/// 13.2: the operator's script does not want us to lead. The lock goes back and is not renewed before it is gone.
fn refused(view: &View<'_>) -> Option<Step> {
    let refused = view.memory.pre_promote_refused || race::refused_lately(view).is_some();
    if !refused || view.settings.pause || view.is_primary() {
        return None;
    }
    let mut decision = Decision::new(Verdict::Release(None), Reason::PrePromoteRefused)
        .note(Note::warning("Releasing the leader key voluntarily because the pre-promote script failed"));
    if view.memory.pre_promote_refused {
        decision = decision.mark(Mark::PromotionRefused);
    }
    Some(decision.into())
}

/// 13.1, for the watchdog and the guard.
pub fn unwatched(view: &View<'_>) -> Option<Step> {
    let Guarding::Missing(by, because) = guarding(view) else { return None };
    if view.settings.pause {
        return None;
    }
    let was_primary = view.is_primary();
    let reason = Reason::Unwatched { by, because: because.to_owned(), was_primary };
    let (verdict, what) = match was_primary {
        true => (Verdict::StepDown(StepDownMode::Graceful), "Demoting self because"),
        false => (Verdict::Release(None), "Not promoting self because"),
    };
    // The watchdog's sentence, which is the original's, says it already.
    let note = (by == Watcher::Guard).then(|| Note::error(format!("{what} there is no guard")));
    Some(Decision::new(verdict, reason).notes(note).into())
}

/// 10.1: in pause the lock of a standby goes back, unless a named candidate is about to be promoted.
fn paused_standby(view: &View<'_>, cluster: &Cluster) -> Step {
    if !is_named(view, cluster) {
        return Decision::new(Verdict::Release(None), Reason::NotPrimaryWhilePaused).into();
    }
    match view.memory.lease_runs(view.now.mono) {
        // Once: what pre_promote says is not acted on in pause (13.7), and asking it again and again would not help.
        Some(lease) if view.role() != Role::Promoted && !view.memory.pre_promote_refused => {
            promote(view, cluster, lease)
        }
        Some(_) | None => Decision::stay(Reason::WaitingForOwnPromotion).into(),
    }
}

fn is_named(view: &View<'_>, cluster: &Cluster) -> bool {
    cluster.failover.as_ref().and_then(|request| request.value.candidate.as_ref()) == Some(&view.me.name)
}

/// 10.2: the store says that the lock is not ours any more.
fn lost(view: &View<'_>) -> Step {
    let because = Reason::RenewalRefused { was_primary: view.is_primary(), paused: view.settings.pause };
    let error = Note::error("failed to update leader lock");
    if view.is_primary() && !view.settings.pause {
        let verdict = Verdict::StepDown(StepDownMode::ImmediateNoLock);
        return Decision::new(verdict, because).note(error).into();
    }
    Decision::stay(because).note(error).into()
}

/// What a request to move the leader comes to in this pass.
pub enum Requested {
    Decided(Step),
    /// Go on as if there were none, with these on the side.
    GoOn(Vec<Chore>, Vec<Note>),
}

/// 14.5
pub fn requested(view: &View<'_>, cluster: &Arc<Cluster>) -> Requested {
    match on_leader(view, cluster) {
        Handling::Nothing => Requested::GoOn(Vec::new(), Vec::new()),
        Handling::Wait(note) => Requested::GoOn(Vec::new(), vec![note]),
        Handling::Ask(fact) => Requested::Decided(Step::ask(fact)),
        Handling::Drop(chore, notes) => Requested::GoOn(vec![chore], notes),
        Handling::Demote { kind, to, notes } => {
            let verdict = Verdict::StepDown(StepDownMode::Graceful);
            Requested::Decided(Decision::new(verdict, Reason::RequestedDemotion { kind, to }).notes(notes).into())
        }
    }
}

/// What was found on the side goes along with whatever is decided.
pub fn beside(step: Step, chores: Vec<Chore>, notes: Vec<Note>) -> Step {
    match step {
        Step::Ask(facts) => Step::Ask(facts),
        Step::Do(decision) => decision.chores(chores).notes(notes).into(),
    }
}

/// 13: PostgreSQL is to be the primary.
fn enforce(view: &View<'_>, cluster: &Arc<Cluster>, lease: HeldLease) -> Step {
    if view.is_primary() {
        return lead(view, cluster);
    }
    match view.role() {
        Role::Primary | Role::Promoted => promote_again(view, lease),
        Role::Replica | Role::StandbyLeader | Role::Demoted | Role::Uninitialized => promote(view, cluster, lease),
    }
}

/// Enough of the lease must be left for the promotion not to outlive it.
fn promote(view: &View<'_>, cluster: &Cluster, lease: HeldLease) -> Step {
    match &view.postgres().answers {
        Answers::Live(_) => {}
        Answers::Unasked | Answers::Rejecting => return Decision::stay(Reason::PromotionUnderWay).into(),
        Answers::Silent { because } => {
            return Decision::stay(Reason::PostgresSilent { because: because.clone() }).into();
        }
    }
    if let Some(watcher) = awaited(view) {
        return Decision::stay(Reason::WaitingFor(watcher)).into();
    }
    let left = view.now.mono.until(lease.fence_at());
    if left < LEAST_TO_PROMOTE && !is_planted(Plant::PromotionUnchecked) {
        return Decision::stay(Reason::LeaseTooShortToPromote { left }).into();
    }
    if let Some(upkeep) = synchronous::before_promotion(view, cluster) {
        let decision = Decision::stay(Reason::PreparingForCommits).notes(upkeep.notes);
        return upkeep.write.into_iter().fold(decision, Decision::write_sync).into();
    }
    let because = if view.memory.won_race { Reason::PromotingAfterRace } else { Reason::PromotingWithLock };
    Decision::new(Verdict::Promote(lease), because).mark(Mark::RaceSettled).mark(Mark::Promoting).into()
}

/// 1. We promote; PostgreSQL has much to replay and is `promoted` meanwhile.
/// 2. Its recovery starts over (a crash, a restart in between), and the wish to be promoted is gone with it.
/// 3. We hold the lock and wait for a primary that will never be.
///
/// Therefore the promotion is asked for again as long as PostgreSQL says that it recovers; it does no harm to one that is
/// under way. What we took for a primary is first called a replica, so that it is promoted like one.
fn promote_again(view: &View<'_>, lease: HeldLease) -> Step {
    let Some(_standby) = view.live().and_then(|live| live.standby()) else {
        return Decision::stay(Reason::PromotionUnderWay).into();
    };
    if view.role() == Role::Primary {
        return Decision::stay(Reason::PromotionUnderWay).chore(Chore::SetRole(Role::Replica)).into();
    }
    match view.now.mono.until(lease.fence_at()) < LEAST_TO_PROMOTE {
        true => Decision::stay(Reason::PromotionUnderWay).into(),
        false => Decision::new(Verdict::Promote(lease), Reason::PromotionUnderWay).into(),
    }
}

fn lead(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    let (marks, notes) = match restart::in_this_pass(view) {
        InThisPass::Aside(marks, notes) => (marks, notes),
        InThisPass::Restart(restart) => return Step::Do(*restart),
    };
    if let Some(fact) = history_question(view, cluster) {
        return Step::ask(fact);
    }
    if is_unpublished(view) {
        return Decision::new(Verdict::Renew, Reason::PositionUnpublished).into();
    }
    let because = if view.memory.won_race { Reason::AcquiredAsPrimary } else { Reason::LeaderWithLock };
    let mut decision = Decision::stay(because).mark(Mark::RaceSettled).chores(upkeep(view, cluster)).notes(notes);
    decision.marks.extend(marks);
    // It was promoted by hand, and has taken the lock: from now on the others are compared with it.
    if view.memory.rewind.is_beyond_help() {
        decision = decision.mark(Mark::Rewind(Rewind::Unsuspected));
    }
    let synchronous = synchronous::upkeep(view, cluster);
    decision = decision.notes(synchronous.notes);
    if let Some(write) = synchronous.write {
        decision = decision.write_sync(write);
    }
    match view.memory.checkpoint {
        CheckpointAfterPromote::Missing if is_checkpointed(view) => decision = decision.mark(Mark::CheckpointDone),
        CheckpointAfterPromote::Missing => {
            decision = decision.chore(Chore::CheckpointAfterPromote).mark(Mark::CheckpointAsked);
        }
        CheckpointAfterPromote::Asked | CheckpointAfterPromote::Done => {}
    }
    decision.into()
}

/// 23.11: pg_control has seen a checkpoint on our timeline. What we know of it may be old, but timelines only grow.
fn is_checkpointed(view: &View<'_>) -> bool {
    let control = view.present().and_then(|present| present.control.as_ref());
    let timeline = control.and_then(|control| control.checkpoint_timeline);
    timeline.is_some() && timeline == view.timeline()
}

fn history_question(view: &View<'_>, cluster: &Cluster) -> Option<Fact> {
    match history::needed(cluster, view.timeline()?, &view.me.name) {
        Needed::RewriteFrom(timeline) if view.seen.asked.history_file.is_none() => Some(Fact::HistoryFile(timeline)),
        Needed::Nothing | Needed::Emptying | Needed::RewriteFrom(_) => None,
    }
}

/// What a leader keeps in order beside leading: the cluster's keys, its role, the slots (5 steps 5, 6, 15; 22).
fn upkeep(view: &View<'_>, cluster: &Arc<Cluster>) -> Vec<Chore> {
    let mut chores = Vec::new();
    if view.is_primary() && view.role() != Role::Primary && view.live().is_some() {
        chores.push(Chore::SetRole(Role::Primary));
    }
    match (&cluster.initialize, view.system_id()) {
        (Initialize::Done(_), _) | (_, None) => {}
        (Initialize::Absent | Initialize::Underway | Initialize::Invalid(_), Some(id)) => {
            chores.push(Chore::RepairInitialize(id));
        }
    }
    if cluster.config.as_ref().is_none_or(|config| config.value.is_empty()) && !view.dynamic.is_empty() {
        chores.push(Chore::RepairConfig(view.dynamic.clone()));
    }
    chores.extend(history_chore(view, cluster));
    chores.extend(slots::plan(view, cluster).filter(|_| view.live().is_some()).map(Chore::SyncSlots));
    if !view.postgres().callback_called {
        chores.push(Chore::FireOnStart);
    }
    chores
}

fn history_chore(view: &View<'_>, cluster: &Cluster) -> Option<Chore> {
    match history::needed(cluster, view.timeline().filter(|_| view.is_primary())?, &view.me.name) {
        Needed::Nothing => None,
        Needed::Emptying => Some(Chore::WriteHistory(Vec::new())),
        Needed::RewriteFrom(_) => {
            let file = view.seen.asked.history_file.as_ref()?.as_ref()?;
            let keep = view.settings.max_timelines_history;
            Some(Chore::WriteHistory(history::rewritten(cluster, file, &view.me.name, keep)))
        }
    }
}
