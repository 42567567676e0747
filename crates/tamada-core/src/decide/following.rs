//! The lock is another's (ha-loop.md 11, 23). A primary without the lock stops at once; a standby follows the leader, or
//! its configured upstream, and finds out whether its data still fits whenever that is in doubt.

use std::sync::Arc;

use tamada_model::{
    Answers, CloneSource, Cluster, Divergence, Job, MemberName, PgMajor, RecoveryMatch, Role, Timeline, Upstream,
    UpstreamMember,
};

use crate::decision::{Chore, Decision, Fact, Note, Reason, Step, Verdict};
use crate::divergence::{Judgement, judge};
use crate::memory::{Mark, Rewind, StepDownMode};
use crate::plant::{Plant, is_planted};
use crate::restart::InThisPass;
use crate::view::View;
use crate::{restart, slots, upstream};

use super::down::{crash_recovery_before_rewind, rewind_allowed};

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    let Some(leader) = cluster.leader_name() else {
        return Decision::stay(Reason::PausedWithNobodyToFollow { unfit: None }).into();
    };
    if view.is_primary() {
        return primary_without_lock(view, leader);
    }
    // 19.4
    match restart::in_this_pass(view) {
        InThisPass::Aside(marks, notes) => with(as_standby(view, cluster, leader), marks, notes),
        InThisPass::Restart(restart) => Step::Do(*restart),
    }
}

fn as_standby(view: &View<'_>, cluster: &Arc<Cluster>, leader: &MemberName) -> Step {
    let doubt = if in_doubt(view, cluster) { doubt(view, cluster) } else { Doubt::None };
    let following = match view.memory.rewind {
        Rewind::Failed if is_behind(view, cluster) => Reason::RewindFailed { leader: leader.clone() },
        Rewind::Failed
        | Rewind::Unsuspected
        | Rewind::Suspected
        | Rewind::Needed
        | Rewind::NotNeeded
        | Rewind::Done => Reason::Following { leader: leader.clone() },
    };
    match doubt {
        Doubt::None => follow(view, cluster, leader, following),
        Doubt::Settled(notes) => {
            with(follow(view, cluster, leader, following), vec![Mark::Rewind(Rewind::NotNeeded)], notes.into())
        }
        // Look again in a later pass; following meanwhile does no harm, PostgreSQL refuses what does not fit.
        Doubt::Open(because) => {
            let unclear = Reason::DivergenceUnclear { leader: leader.clone(), because };
            with(follow(view, cluster, leader, unclear), vec![Mark::SuspectDivergence], Vec::new())
        }
        Doubt::Decided(step) => step,
    }
}

/// Adds what was found out to what is done next; first, because a new upstream raises the doubt again.
fn with(step: Step, marks: Vec<Mark>, notes: Vec<Note>) -> Step {
    match step {
        Step::Ask(facts) => Step::Ask(facts),
        Step::Do(mut decision) => {
            decision.marks.splice(0..0, marks);
            decision.notes(notes).into()
        }
    }
}

/// 11.3, 11.4. In pause the original rewinds such a primary if a rewind is found necessary; we leave it running: in pause
/// what an operator left running is not taken from him.
fn primary_without_lock(view: &View<'_>, leader: &MemberName) -> Step {
    if view.settings.pause {
        let decision = Decision::stay(Reason::PausedPrimaryWithoutLock { unfit: None });
        return match view.role() {
            Role::Primary => decision.into(),
            Role::Replica | Role::StandbyLeader | Role::Promoted | Role::Demoted | Role::Uninitialized => {
                decision.chore(Chore::SetRole(Role::Primary)).into()
            }
        };
    }
    let because = match view.memory.lost_race {
        true => Reason::FollowingAfterLostRace { leader: leader.clone(), was_primary: true },
        false => Reason::PrimaryWithoutLock { leader: leader.clone() },
    };
    Decision::new(Verdict::StepDown(StepDownMode::ImmediateNoLock), because).mark(Mark::RaceSettled).into()
}

/// 11.10 and 23.2: a doubt is open, our timeline is behind the leader's, or this instance was just adopted.
fn in_doubt(view: &View<'_>, cluster: &Cluster) -> bool {
    let rewind = view.memory.rewind;
    match rewind {
        Rewind::Suspected | Rewind::Needed | Rewind::Failed => return true,
        Rewind::Done => return false,
        Rewind::Unsuspected | Rewind::NotNeeded => {}
    }
    let adopted = !view.postgres().callback_called && rewind == Rewind::Unsuspected;
    adopted || is_behind(view, cluster)
}

fn is_behind(view: &View<'_>, cluster: &Cluster) -> bool {
    let leaders = cluster.leader_member().and_then(|leader| leader.timeline);
    let behind = view.timeline().zip(leaders).is_some_and(|(mine, leaders)| mine < leaders);
    behind && !is_receiving(view, leaders)
}

/// The receiver streams on the leader's timeline: PostgreSQL itself has found that our data fits.
fn is_receiving(view: &View<'_>, leaders: Option<Timeline>) -> bool {
    let receiver = view.live().and_then(|live| live.standby()).and_then(|standby| standby.receiver.as_ref());
    receiver.is_some_and(|receiver| receiver.status == "streaming" && receiver.timeline == leaders)
}

/// What is known about our data having left the leader's history.
pub enum Doubt {
    None,
    /// Found to fit.
    Settled([Note; 2]),
    /// Cannot be told now, and why.
    Open(String),
    /// To be asked, or acted on.
    Decided(Step),
}

/// 23.3
pub fn doubt(view: &View<'_>, cluster: &Cluster) -> Doubt {
    if is_planted(Plant::RewindSkipped) {
        return Doubt::None;
    }
    match view.memory.rewind {
        Rewind::Unsuspected | Rewind::NotNeeded | Rewind::Suspected if !rewind_allowed(view) => Doubt::None,
        Rewind::Unsuspected | Rewind::NotNeeded | Rewind::Suspected => investigate(view, cluster),
        Rewind::Done => Doubt::None,
        Rewind::Failed => removal_after_failure(view, cluster).map_or(Doubt::None, Doubt::Decided),
        Rewind::Needed => diverged(view, cluster).map_or(Doubt::None, Doubt::Decided),
    }
}

/// 23.4: the leader, if it is another member with an address that calls itself primary.
fn rewind_source(view: &View<'_>, cluster: &Cluster) -> Option<UpstreamMember> {
    let is_primary = cluster.leader_member().and_then(|leader| leader.role) == Some(Role::Primary);
    upstream::leader(view, cluster).filter(|_| is_primary)
}

fn investigate(view: &View<'_>, cluster: &Cluster) -> Doubt {
    let Some(leader) = rewind_source(view, cluster) else {
        return Doubt::Open("no leader that calls itself primary".into());
    };
    match &view.seen.asked.divergence {
        None => Doubt::Decided(Step::ask(Fact::Divergence(Upstream::Member(leader)))),
        Some(Divergence::Undecided { because }) => Doubt::Open(because.clone()),
        Some(Divergence::Compared(facts)) => {
            let notes = [
                Note::info(format!("Local timeline={} lsn={}", facts.local_timeline, facts.local_lsn)),
                Note::info(format!("primary_timeline={}", facts.leader_timeline)),
            ];
            match judge(facts) {
                Judgement::InLine => Doubt::Settled(notes),
                Judgement::Diverged => match diverged(view, cluster) {
                    Some(step) => Doubt::Decided(with(step, vec![Mark::Rewind(Rewind::Needed)], notes.into())),
                    None => Doubt::Open(format!("we have left the history of {}", leader.name)),
                },
            }
        }
    }
}

/// The data left the leader's history: rewind if that can be done, else copy anew if the operator allows it.
pub fn diverged(view: &View<'_>, cluster: &Cluster) -> Option<Step> {
    let leader = rewind_source(view, cluster)?;
    if view.settings.pause && cluster.is_unlocked() {
        return None;
    }
    if !view.postgres().can_rewind && !view.has_unfinished_rewind() {
        return view.settings.remove_data_directory_on_diverged_timelines.then(|| copy_anew(view, cluster, leader));
    }
    let record = cluster.leader_member()?;
    let modern = record.agent_version().is_some_and(|version| version.at_least(&[1, 5, 7]));
    if modern && record.checkpoint_after_promote.is_some() {
        let because = Reason::WaitingForLeadersCheckpoint { leader: leader.name.clone() };
        let note = Note::info(format!("Waiting for checkpoint on {} before rewind", leader.name));
        return Some(Decision::stay(because).note(note).into());
    }
    if let Some(step) = crash_recovery_before_rewind(view) {
        return Some(step);
    }
    let from = leader.name.clone();
    let job = Job::Rewind { from: Upstream::Member(leader), from_agent_can_be_trusted: modern };
    Some(Decision::run(job, Reason::Diverged { from }).into())
}

fn copy_anew(view: &View<'_>, cluster: &Cluster, leader: UpstreamMember) -> Step {
    let source =
        upstream::clone_source(view, cluster).unwrap_or(CloneSource::Member { member: leader, is_leader: true });
    let job = Job::Reinitialize { source, then_follow: upstream::wanted(view, cluster), only_basebackup: false };
    Decision::run(job, Reason::DivergedBeyondRewind).mark(Mark::Rewind(Rewind::Unsuspected)).into()
}

/// 23.8: a rewind failed although the leader was fine. With the operator's leave the data is removed and copied anew.
pub fn removal_after_failure(view: &View<'_>, cluster: &Cluster) -> Option<Step> {
    let allowed = view.settings.remove_data_directory_on_rewind_failure
        || view.settings.remove_data_directory_on_diverged_timelines;
    let leader = rewind_source(view, cluster).filter(|_| allowed)?;
    let option = match view.settings.remove_data_directory_on_rewind_failure {
        true => "remove_data_directory_on_rewind_failure",
        false => "remove_data_directory_on_diverged_timelines",
    };
    match copy_anew(view, cluster, leader) {
        Step::Ask(facts) => Some(Step::Ask(facts)),
        Step::Do(decision) => Some(decision.note(Note::warning(format!("{option} is set. removing..."))).into()),
    }
}

/// 11.7–11.11: the recovery configuration points where it should.
fn follow(view: &View<'_>, cluster: &Cluster, leader: &MemberName, because: Reason) -> Step {
    let target = upstream::wanted(view, cluster);
    let Some((_, found)) = view.seen.asked.recovery_match.as_ref().filter(|(asked, _)| *asked == target) else {
        return Step::ask(Fact::RecoveryMatch(target));
    };
    let repointing = |restart| Reason::Repointing { leader: leader.clone(), to: target.clone(), restart };
    let role = Role::Replica;
    match found {
        RecoveryMatch::Same if view.settings.pause && target == Upstream::Nobody => {
            in_step(view, cluster, Reason::PausedWithNobodyToFollow { unfit: None })
        }
        RecoveryMatch::Same => in_step(view, cluster, because),
        RecoveryMatch::Reload => {
            let verdict = Verdict::Repoint { upstream: target.clone(), role };
            Decision::new(verdict, repointing(false)).mark(Mark::SuspectDivergence).into()
        }
        RecoveryMatch::Restart => {
            let job = Job::ChangeUpstream { upstream: target.clone(), role };
            Decision::run(job, repointing(true)).mark(Mark::SuspectDivergence).into()
        }
    }
}

fn in_step(view: &View<'_>, cluster: &Cluster, because: Reason) -> Step {
    let because = match (view.memory.lost_race, because) {
        (true, Reason::Following { leader }) => Reason::FollowingAfterLostRace { leader, was_primary: false },
        (_, because) => because,
    };
    let mut decision = Decision::stay(because).mark(Mark::RaceSettled);
    if role_is_stale(view) {
        decision = decision.chore(Chore::SetRole(Role::Replica));
    }
    if replay_is_stuck(view) {
        decision =
            decision.chore(Chore::ResumeReplay).note(Note::info("Resuming paused WAL replay for PostgreSQL 14+"));
    }
    if let Some(plan) = slots::plan(view, cluster).filter(|_| view.live().is_some()) {
        decision = decision.chore(Chore::SyncSlots(plan));
    }
    if !view.postgres().callback_called && view.live().is_some() {
        decision = decision.chore(Chore::FireOnStart);
    }
    decision.into()
}

fn role_is_stale(view: &View<'_>) -> bool {
    match view.role() {
        Role::Replica => false,
        Role::Primary | Role::StandbyLeader | Role::Promoted | Role::Demoted | Role::Uninitialized => {
            view.live().is_some()
        }
    }
}

/// 11.7: replay that paused because a parameter was too small goes on once it has grown.
fn replay_is_stuck(view: &View<'_>) -> bool {
    let major = view.present().and_then(|present| present.major);
    let paused = match &view.postgres().answers {
        Answers::Live(live) => live.standby().is_some_and(|standby| standby.replay_paused),
        Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => false,
    };
    paused && !view.settings.pause && major >= Some(PgMajor::of(14))
}
