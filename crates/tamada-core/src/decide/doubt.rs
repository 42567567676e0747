//! Does our data still fit the leader's history, and what is done if not (ha-loop.md 23.3-23.8)?

use tamada_model::{CloneSource, Cluster, Comparison, Divergence, Job, Role, Unread, Upstream, UpstreamMember};

use crate::decision::{Decision, Fact, Note, Reason, Step};
use crate::divergence::{Judgement, judge};
use crate::memory::{Mark, Rewind};
use crate::plant::{Plant, is_planted};
use crate::upstream;
use crate::view::View;

use super::down::{rewind_allowed, start_before_rewind};

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
        Rewind::Unsuspected | Rewind::NotNeeded | Rewind::Suspected | Rewind::Useless if !rewind_allowed(view) => {
            Doubt::None
        }
        Rewind::Unsuspected | Rewind::NotNeeded | Rewind::Suspected | Rewind::Useless => investigate(view, cluster),
        Rewind::Done => Doubt::None,
        Rewind::Failed => settled_since(view)
            .unwrap_or_else(|| removal_after_failure(view, cluster).map_or(Doubt::None, Doubt::Decided)),
        Rewind::Needed => settled_since(view).unwrap_or_else(|| match diverged(view, cluster) {
            Remedy::Now(step) => Doubt::Decided(step),
            Remedy::NotYet(because) => Doubt::Open(because),
            Remedy::None => Doubt::None,
        }),
    }
}

/// The leader of which it was found is followed by one that we fit. A rewind would find nothing to do.
fn settled_since(view: &View<'_>) -> Option<Doubt> {
    match &view.seen.asked.divergence {
        Some(Divergence::Compared(facts)) if is_in_line(view) => Some(Doubt::Settled(compared(facts))),
        Some(Divergence::Compared(_) | Divergence::Unread(_)) | None => None,
    }
}

/// As far as this pass has looked: our data fits, whatever was found about it beside another leader.
pub fn is_in_line(view: &View<'_>) -> bool {
    match &view.seen.asked.divergence {
        Some(Divergence::Compared(facts)) => judge(facts) == Judgement::InLine,
        Some(Divergence::Unread(_)) | None => false,
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
        Some(Divergence::Unread(unread)) => Doubt::Open(unread.to_string()),
        Some(Divergence::Compared(facts)) => {
            let notes = compared(facts);
            match judge(facts) {
                Judgement::InLine => Doubt::Settled(notes),
                Judgement::TooEarly { because, .. } => Doubt::Open(because),
                Judgement::Diverged | Judgement::DivergedUnseen(_) | Judgement::BeyondRewind(_) => {
                    match diverged(view, cluster) {
                        Remedy::Now(step) => {
                            Doubt::Decided(with(step, vec![Mark::Rewind(Rewind::Needed)], notes.into()))
                        }
                        Remedy::NotYet(because) => Doubt::Open(because),
                        Remedy::None => Doubt::Open(format!("we have left the history of {}", leader.name)),
                    }
                }
            }
        }
    }
}

pub fn compared(facts: &Comparison) -> [Note; 2] {
    [
        Note::info(format!("Local timeline={} lsn={}", facts.local_timeline, facts.local_lsn)),
        Note::info(format!("primary_timeline={}", facts.leader_timeline)),
    ]
}

/// What is done with data that left the leader's history.
pub enum Remedy {
    Now(Step),
    /// Before it is known where the leader is, or where we are.
    NotYet(String),
    /// Nobody is there to rewind from, or the operator did not allow what would help.
    None,
}

impl From<Option<Step>> for Remedy {
    fn from(step: Option<Step>) -> Self {
        step.map_or(Remedy::None, Remedy::Now)
    }
}

/// The data left the leader's history: rewind if that can be done, else copy anew if the operator allows it.
pub fn diverged(view: &View<'_>, cluster: &Cluster) -> Remedy {
    let (Some(leader), Some(record)) = (rewind_source(view, cluster), cluster.leader_member()) else {
        return Remedy::None;
    };
    if view.settings.pause && cluster.is_unlocked() {
        return Remedy::None;
    }
    if !view.postgres().can_rewind && !view.has_unfinished_rewind() {
        return copy_anew_if_allowed(view, cluster, leader).into();
    }
    let modern = record.agent_version().is_some_and(|version| version.at_least(&[1, 5, 7]));
    if modern && record.checkpoint_after_promote.is_some() {
        let because = Reason::WaitingForLeadersCheckpoint { leader: leader.name.clone() };
        let note = Note::info(format!("Waiting for checkpoint on {} before rewind", leader.name));
        return Remedy::Now(Decision::stay(because).note(note).into());
    }
    match rewindable(view) {
        Rewindable::Unasked => Remedy::Now(Step::ask(Fact::Divergence(Upstream::Member(leader)))),
        Rewindable::NotYet(because) => Remedy::NotYet(because),
        Rewindable::No => copy_anew_if_allowed(view, cluster, leader).into(),
        Rewindable::AsFarAsKnown => Remedy::Now(start_before_rewind(view).unwrap_or_else(|| {
            let from = leader.name.clone();
            let job = Job::Rewind { from: Upstream::Member(leader), from_agent_can_be_trusted: modern };
            Decision::run(job, Reason::Diverged { from }).into()
        })),
    }
}

enum Rewindable {
    Unasked,
    NotYet(String),
    AsFarAsKnown,
    /// pg_rewind would do nothing, and call that a success.
    No,
}

/// Asked before each rewind: the leader for which it was found necessary may have been followed by another.
///
/// 1. b's data has left a's history; a is restarted, or cut off for a moment, and cannot be asked.
/// 2. b begins its rewind. When it runs, a is there, by now on a timeline that b has a twin of.
/// 3. pg_rewind sees one number, and leaves as it was what b has of the twin.
///
/// Therefore nothing is rewound that was not compared. What runs meanwhile stays up, what does not is started, both
/// without the leader if they might mix: where we are is known then, too. Only half a rewind cannot be started; it goes
/// on, because the job itself sees to it that the source came the same way.
fn rewindable(view: &View<'_>) -> Rewindable {
    match &view.seen.asked.divergence {
        None => Rewindable::Unasked,
        Some(Divergence::Unread(Unread::Ours(_))) if view.has_unfinished_rewind() => Rewindable::AsFarAsKnown,
        Some(Divergence::Unread(unread @ (Unread::Leaders(_) | Unread::Ours(_)))) => {
            Rewindable::NotYet(unread.to_string())
        }
        Some(Divergence::Compared(facts)) => match judge(facts) {
            Judgement::BeyondRewind(_) => Rewindable::No,
            Judgement::TooEarly { because, .. } => Rewindable::NotYet(because),
            Judgement::InLine | Judgement::Diverged | Judgement::DivergedUnseen(_) => Rewindable::AsFarAsKnown,
        },
    }
}

/// A rewind has just ended well, and changed nothing: pg_rewind looks at the last checkpoint's timeline, and may see one
/// where there are two of its number.
pub fn was_rewound_in_vain(view: &View<'_>) -> bool {
    let Some(Divergence::Compared(facts)) = &view.seen.asked.divergence else { return false };
    let diverged = match judge(facts) {
        Judgement::Diverged | Judgement::DivergedUnseen(_) | Judgement::BeyondRewind(_) => true,
        Judgement::InLine | Judgement::TooEarly { .. } => false,
    };
    diverged && view.memory.rewind == Rewind::Done
}

/// As far as this pass has looked.
pub fn is_beyond_rewind(view: &View<'_>) -> bool {
    match rewindable(view) {
        Rewindable::No => true,
        Rewindable::Unasked | Rewindable::NotYet(_) | Rewindable::AsFarAsKnown => false,
    }
}

fn copy_anew_if_allowed(view: &View<'_>, cluster: &Cluster, leader: UpstreamMember) -> Option<Step> {
    view.settings.remove_data_directory_on_diverged_timelines.then(|| copy_anew(view, cluster, leader))
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

/// Adds what was found out to what is done next; first, because a new upstream raises the doubt again.
pub fn with(step: Step, marks: Vec<Mark>, notes: Vec<Note>) -> Step {
    match step {
        Step::Ask(facts) => Step::Ask(facts),
        Step::Do(mut decision) => {
            decision.marks.splice(0..0, marks);
            decision.notes(notes).into()
        }
    }
}
