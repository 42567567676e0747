//! May our data be pointed at the leader? PostgreSQL refuses what does not fit, with one exception: where the leader and
//! we were on two timelines of one number (see [`crate::divergence`]) it sees only the number, streams, and mixes them.
//!
//! 1. a is promoted to timeline 2, writes, and is stopped; its last WAL reached nobody.
//! 2. b was behind, though not too far. It is promoted from an earlier place, and its timeline is a 2 as well.
//! 3. a comes back, finds itself on the leader's timeline, and starts as its standby.
//!
//! Therefore we look before data that has left the first timeline, or has received WAL of another, is pointed at a
//! leader, allowed to rewind or not.
//!
//! 1. a is promoted to timeline 2 and dies; b stood still, and is still to hear of that. c leads, on a timeline 2 as well.
//! 2. b wakes. We look: it is on timeline 1, and fits. Then what a had sent arrives.
//! 3. b is pointed at c, and mixes the two timelines 2.
//!
//! Therefore it is first pointed at nobody; then we look; then it is pointed at the leader. Nor does it stay with the
//! former upstream if the leader cannot be asked: that one may be given the leader's data at any time.

use tamada_model::{Asks, Cluster, Control, Divergence, MemberName, RecoveryMatch, Timeline, Upstream};

use crate::decision::{Fact, Note, Reason};
use crate::divergence::{Judgement, Meanwhile, judge};
use crate::memory::{Mark, Rewind};
use crate::view::View;

pub enum Pointing {
    Allowed,
    Ask(Fact),
    /// Until more is known.
    NotYet(Reason),
    /// As long as we have this data.
    Never(Reason),
}

/// Whom a standby follows until it is pointed at the leader.
pub enum Former {
    Asked,
    /// No more, but WAL may still arrive from there.
    Heard,
    Gone,
}

/// What only a restart can change stands still meanwhile.
pub fn former(view: &View<'_>, cluster: &Cluster, upstream: &Upstream, found: RecoveryMatch) -> Former {
    let receives = view.live().and_then(|live| live.standby()).is_some_and(|standby| standby.receiver.is_some());
    match found {
        _ if named(cluster, upstream).is_none() => Former::Gone,
        RecoveryMatch::Reload(Asks::Another) => Former::Asked,
        RecoveryMatch::Reload(Asks::Nobody) if receives => Former::Heard,
        RecoveryMatch::Same | RecoveryMatch::Reload(Asks::Nobody | Asks::Wanted) | RecoveryMatch::Restart => {
            Former::Gone
        }
    }
}

pub fn may_point_at(view: &View<'_>, cluster: &Cluster, upstream: &Upstream) -> Pointing {
    let Some(leader) = named(cluster, upstream) else {
        return Pointing::Allowed;
    };
    match (&view.seen.asked.divergence, may_have_namesakes(view)) {
        (None, false) => Pointing::Allowed,
        (None, true) => Pointing::Ask(Fact::Divergence(upstream.clone())),
        (Some(found), true) => by_look(found, leader),
        // What we know of our timeline may be older than the look.
        (Some(found), false) => match by_look(found, leader) {
            Pointing::Never(reason) => Pointing::Never(reason),
            Pointing::Allowed | Pointing::Ask(_) | Pointing::NotYet(_) => Pointing::Allowed,
        },
    }
}

/// What a look that was made for another reason says; nobody is asked.
pub fn may_stay_at(view: &View<'_>, cluster: &Cluster, upstream: &Upstream) -> Pointing {
    match (named(cluster, upstream), &view.seen.asked.divergence) {
        (Some(leader), Some(found)) => by_look(found, leader),
        (None, _) | (_, None) => Pointing::Allowed,
    }
}

fn by_look(found: &Divergence, leader: &MemberName) -> Pointing {
    let not_yet = |because| Pointing::NotYet(Reason::NotYetFollowing { leader: leader.clone(), because });
    match found {
        Divergence::Unread(unread) => not_yet(unread.to_string()),
        Divergence::Compared(facts) => match judge(facts) {
            Judgement::InLine | Judgement::Diverged => Pointing::Allowed,
            Judgement::TooEarly { meanwhile: Meanwhile::Follow, .. } => Pointing::Allowed,
            Judgement::TooEarly { because, meanwhile: Meanwhile::StayAway } => not_yet(because),
            Judgement::DivergedUnseen(timeline) | Judgement::BeyondRewind(timeline) => {
                Pointing::Never(Reason::NamesakeTimelines { leader: leader.clone(), timeline })
            }
        },
    }
}

/// The leader, if that is whom we would follow. A member chosen by tag `replicatefrom` follows it in its turn, and cannot
/// be compared with a primary.
fn named<'c>(cluster: &'c Cluster, upstream: &Upstream) -> Option<&'c MemberName> {
    let Upstream::Member(member) = upstream else { return None };
    cluster.leader_name().filter(|leader| **leader == member.name)
}

/// The first timeline of a cluster began with it: there is one only. WAL of another may have been received, though, and
/// not replayed.
fn may_have_namesakes(view: &View<'_>) -> bool {
    let Some(present) = view.present() else { return true };
    let recorded = present.control.as_ref().and_then(Control::timeline);
    [view.timeline().or(recorded), present.newest_timeline] != [Some(Timeline::FIRST); 2]
}

/// What goes with staying as it is, without the leader, until the operator has it copied. Nothing is open then: there will
/// be another look whenever it would be pointed at a leader. A rewind that has just ended well, and changed nothing, is
/// not begun again: pg_rewind does not see what we see.
pub fn left_alone(view: &View<'_>) -> (Vec<Mark>, Vec<Note>) {
    let settled = match view.memory.rewind {
        Rewind::Failed => Vec::new(),
        Rewind::Done => vec![Mark::Rewind(Rewind::Failed)],
        Rewind::Unsuspected | Rewind::Suspected | Rewind::Needed | Rewind::NotNeeded | Rewind::Useless => {
            vec![Mark::Rewind(Rewind::Useless)]
        }
    };
    (settled, compared(view))
}

fn compared(view: &View<'_>) -> Vec<Note> {
    match &view.seen.asked.divergence {
        Some(Divergence::Compared(facts)) => super::doubt::compared(facts).into(),
        Some(Divergence::Unread(_)) | None => Vec::new(),
    }
}
