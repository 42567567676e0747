//! The lock is another's (ha-loop.md 11, 23). A primary without the lock stops at once; a standby follows the leader, or
//! its configured upstream, and finds out whether its data still fits whenever that is in doubt.

use std::sync::Arc;

use tamada_model::{Answers, Asks, Cluster, Job, MemberName, PgMajor, RecoveryMatch, Role, Timeline, Upstream};

use crate::decision::{Chore, Decision, Fact, Note, Reason, Step, Verdict};
use crate::memory::{Mark, Rewind, StepDownMode};
use crate::restart::InThisPass;
use crate::view::View;
use crate::{restart, slots, upstream};

use super::doubt::{Doubt, doubt, is_in_line, with};
use super::namesake::{Former, Pointing, former, left_alone, may_point_at, may_stay_at};

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    let Some(leader) = cluster.leader_name() else {
        return Decision::stay(Reason::PausedWithNobodyToFollow { unfit: None }).into();
    };
    let promotes = view.promotes() && !view.settings.pause;
    if view.is_primary() || promotes {
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
        Rewind::Failed if is_elsewhere(view, cluster) => Reason::RewindFailed { leader: leader.clone() },
        Rewind::Failed
        | Rewind::Unsuspected
        | Rewind::Suspected
        | Rewind::Needed
        | Rewind::NotNeeded
        | Rewind::Useless
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

/// 11.10 and 23.2: a doubt is open, our timeline is not the leader's, or this instance was just adopted.
fn in_doubt(view: &View<'_>, cluster: &Cluster) -> bool {
    let rewind = view.memory.rewind;
    match rewind {
        Rewind::Suspected | Rewind::Needed | Rewind::Failed => return true,
        Rewind::Done => return false,
        // It may be copied anew.
        Rewind::Useless if view.settings.remove_data_directory_on_diverged_timelines => return true,
        Rewind::Unsuspected | Rewind::NotNeeded | Rewind::Useless => {}
    }
    let adopted = !view.postgres().callback_called && matches!(rewind, Rewind::Unsuspected | Rewind::Useless);
    adopted || is_elsewhere(view, cluster)
}

/// On another timeline than the leader, an earlier or a later one, and not about to get to it.
fn is_elsewhere(view: &View<'_>, cluster: &Cluster) -> bool {
    let leaders = cluster.leader_member().and_then(|leader| leader.timeline);
    let differs = view.timeline().zip(leaders).is_some_and(|(mine, leaders)| mine != leaders);
    differs && !is_receiving(view, leaders)
}

/// The receiver streams on the leader's timeline: PostgreSQL itself has found that our data fits.
fn is_receiving(view: &View<'_>, leaders: Option<Timeline>) -> bool {
    let receiver = view.live().and_then(|live| live.standby()).and_then(|standby| standby.receiver.as_ref());
    receiver.is_some_and(|receiver| receiver.status == "streaming" && receiver.timeline == leaders)
}

/// 11.7–11.11: the recovery configuration points where it should.
fn follow(view: &View<'_>, cluster: &Cluster, leader: &MemberName, because: Reason) -> Step {
    let target = upstream::wanted(view, cluster);
    if view.memory.rewind.is_beyond_help() {
        match may_point_at(view, cluster, &target) {
            Pointing::Ask(fact) => return Step::ask(fact),
            Pointing::Never(because) => return alone(view, cluster, because),
            Pointing::Allowed if is_in_line(view) => {
                return with(
                    point(view, cluster, leader, target, because),
                    vec![Mark::Rewind(Rewind::NotNeeded)],
                    vec![],
                );
            }
            Pointing::Allowed | Pointing::NotYet(_) => {}
        }
    }
    point(view, cluster, leader, target, because)
}

fn point(view: &View<'_>, cluster: &Cluster, leader: &MemberName, target: Upstream, because: Reason) -> Step {
    let Some((_, found)) = view.seen.asked.recovery_match.as_ref().filter(|(asked, _)| *asked == target) else {
        return Step::ask(Fact::RecoveryMatch(target));
    };
    match former(view, cluster, &target, *found) {
        Former::Asked => let_go(leader),
        Former::Heard => {
            let because = "WAL may still arrive from whom we followed before".to_owned();
            in_step(view, cluster, Reason::DivergenceUnclear { leader: leader.clone(), because })
        }
        Former::Gone => point_or_stay(view, cluster, leader, target, *found, because),
    }
}

fn let_go(leader: &MemberName) -> Step {
    changed(Upstream::Nobody, Reason::LettingGo { leader: leader.clone() }, Repointing::ByReload).into()
}

fn point_or_stay(
    view: &View<'_>,
    cluster: &Cluster,
    leader: &MemberName,
    target: Upstream,
    found: RecoveryMatch,
    because: Reason,
) -> Step {
    let pointing = match found {
        RecoveryMatch::Same => may_stay_at(view, cluster, &target),
        RecoveryMatch::Reload(_) | RecoveryMatch::Restart => may_point_at(view, cluster, &target),
    };
    match (pointing, found) {
        (Pointing::Ask(fact), _) => Step::ask(fact),
        (Pointing::Allowed, RecoveryMatch::Same) if view.settings.pause && target == Upstream::Nobody => {
            in_step(view, cluster, Reason::PausedWithNobodyToFollow { unfit: None })
        }
        (Pointing::Allowed | Pointing::NotYet(_), RecoveryMatch::Same) => in_step(view, cluster, because),
        (Pointing::Allowed, RecoveryMatch::Reload(_)) => point_at(target, leader, Repointing::ByReload),
        (Pointing::Allowed, RecoveryMatch::Restart) => point_at(target, leader, Repointing::ByRestart),
        (Pointing::NotYet(unclear), RecoveryMatch::Reload(_) | RecoveryMatch::Restart) => {
            in_step(view, cluster, unclear)
        }
        (Pointing::Never(because), RecoveryMatch::Reload(Asks::Nobody)) => stay_alone(view, cluster, because),
        (Pointing::Never(because), _) => away_from(view, because),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repointing {
    ByReload,
    ByRestart,
}

fn point_at(upstream: Upstream, leader: &MemberName, how: Repointing) -> Step {
    let restart = how == Repointing::ByRestart;
    let because = Reason::Repointing { leader: leader.clone(), to: upstream.clone(), restart };
    changed(upstream, because, how).mark(Mark::SuspectDivergence).into()
}

fn changed(upstream: Upstream, because: Reason, how: Repointing) -> Decision {
    let role = Role::Replica;
    match how {
        Repointing::ByReload => Decision::new(Verdict::Repoint { upstream, role }, because),
        Repointing::ByRestart => Decision::run(Job::ChangeUpstream { upstream, role }, because),
    }
}

/// Not with the upstream it had before either: that one may be given the leader's data at any time.
fn away_from(view: &View<'_>, because: Reason) -> Step {
    let reloads = view.present().and_then(|present| present.major) >= Some(PgMajor::of(13));
    let how = if reloads { Repointing::ByReload } else { Repointing::ByRestart };
    let (marks, notes) = left_alone(view);
    with(changed(Upstream::Nobody, because, how).into(), marks, notes)
}

/// It stays without an upstream until it is copied, or another leads.
fn alone(view: &View<'_>, cluster: &Cluster, because: Reason) -> Step {
    match view.seen.asked.recovery_match.as_ref().filter(|(asked, _)| *asked == Upstream::Nobody) {
        None => Step::ask(Fact::RecoveryMatch(Upstream::Nobody)),
        Some((_, RecoveryMatch::Reload(_) | RecoveryMatch::Restart)) => away_from(view, because),
        Some((_, RecoveryMatch::Same)) => stay_alone(view, cluster, because),
    }
}

fn stay_alone(view: &View<'_>, cluster: &Cluster, because: Reason) -> Step {
    let (marks, notes) = left_alone(view);
    with(in_step(view, cluster, because), marks, notes)
}

fn in_step(view: &View<'_>, cluster: &Cluster, because: Reason) -> Step {
    let because = match (view.memory.lost_race, because) {
        (true, Reason::Following { leader }) => Reason::FollowingAfterLostRace { leader, was_primary: false },
        (_, because) => because,
    };
    let mut decision = Decision::stay(because).mark(Mark::RaceSettled);
    if role_is_stale(view) && !view.promotes() {
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
