//! Has our data left the leader's history? (ha-loop.md 23.5)
//!
//! ```text
//! leader   tl 4 ──────────────┬ S                 we: tl 4 up to L
//!          tl 5               └────────────►
//! ```
//!
//! Following is possible exactly if everything we have was also in the leader's past: L lies before the fork S. A standby
//! has only what it received; a former primary also wrote a shutdown checkpoint of its own, which is harmless only when
//! the fork lies right behind it.
//!
//! The number of a timeline does not say which timeline it is:
//!
//! ```text
//! a   tl 1 ───────┬ 0/5000
//! b   tl 1 ────┬  └── tl 2          1. a is promoted, writes, and stops.
//!      0/4000  └───── tl 2          2. b has not heard of that timeline, is promoted, and takes the same number.
//! ```
//!
//! PostgreSQL compares numbers: a would stream from b, and end with WAL of both in one file. pg_rewind finds the fork by
//! the histories, but not when both are on timelines of one number: it says that there is nothing to do. Therefore we
//! compare where each timeline began; and where two began at the same place, the WAL that was written there.

use tamada_model::{Begun, Comparison, LastWal, Lsn, Timeline, begun};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    InLine,
    /// PostgreSQL refuses to follow; pg_rewind helps.
    Diverged,
    /// Behind us and the leader are two timelines of this number: PostgreSQL would not notice; pg_rewind helps.
    DivergedUnseen(Timeline),
    /// Two timelines of this number, and neither would notice: the leader and we are on timelines of one number, or the
    /// two began at the same place.
    BeyondRewind(Timeline),
    /// The leader is no primary yet, as far as is known.
    TooEarly {
        because: String,
        meanwhile: Meanwhile,
    },
}

/// What may be done with data of which is not known yet whether it fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meanwhile {
    /// What does not fit, PostgreSQL refuses.
    Follow,
    /// It may not notice.
    StayAway,
}

pub fn judge(facts: &Comparison) -> Judgement {
    let kinship = kinship(facts);
    if let Some(because) = &facts.leader_unready {
        return Judgement::TooEarly { because: because.clone(), meanwhile: before_its_promotion(facts, kinship) };
    }
    let ours = facts.local_timeline;
    match (facts.last_wal, kinship) {
        // Where they began, the histories do not show it, which misleads pg_rewind, too.
        (LastWal::Other(number), _) if number <= ours => Judgement::BeyondRewind(number),
        (LastWal::Other(number), _) => not_replayed(facts, number),
        (LastWal::Same | LastWal::Unknown, Kinship::Namesakes(number)) if number > ours => not_replayed(facts, number),
        (LastWal::Same | LastWal::Unknown, Kinship::Namesakes(number)) if ours == facts.leader_timeline => {
            Judgement::BeyondRewind(number)
        }
        (LastWal::Same | LastWal::Unknown, Kinship::Namesakes(number)) => Judgement::DivergedUnseen(number),
        (LastWal::Same | LastWal::Unknown, Kinship::Unknown) => by_numbers(facts),
    }
}

/// What was received of the other timeline would be replayed by the next start. pg_rewind does not look at it, and
/// replaces it together with everything else if it finds something to do.
fn not_replayed(facts: &Comparison, number: Timeline) -> Judgement {
    match by_numbers(facts) {
        Judgement::Diverged => Judgement::DivergedUnseen(number),
        Judgement::InLine | Judgement::DivergedUnseen(_) | Judgement::BeyondRewind(_) | Judgement::TooEarly { .. } => {
            Judgement::BeyondRewind(number)
        }
    }
}

/// A leader behind our timeline may be about to begin one of the same number.
fn before_its_promotion(facts: &Comparison, kinship: Kinship) -> Meanwhile {
    match (kinship, facts.last_wal) {
        (Kinship::Namesakes(_), _) | (_, LastWal::Other(_)) => Meanwhile::StayAway,
        (Kinship::Unknown, _) if facts.newest_timeline > facts.leader_timeline => Meanwhile::StayAway,
        (Kinship::Unknown, LastWal::Same | LastWal::Unknown) => Meanwhile::Follow,
    }
}

/// What the histories say besides what the numbers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kinship {
    /// This number was begun at two places.
    Namesakes(Timeline),
    /// No such thing is known.
    Unknown,
}

fn kinship(facts: &Comparison) -> Kinship {
    let (Some(ours), Some(theirs)) = (&facts.local_history, &facts.leader_history) else {
        return Kinship::Unknown;
    };
    let theirs: Vec<Begun> = begun(theirs, facts.leader_timeline).collect();
    let has_namesake = |our: &Begun| theirs.iter().any(|their| their.timeline == our.timeline && their != our);
    match begun(ours, facts.newest_timeline).find(has_namesake) {
        Some(our) => Kinship::Namesakes(our.timeline),
        None => Kinship::Unknown,
    }
}

fn by_numbers(facts: &Comparison) -> Judgement {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (facts.local_timeline.cmp(&facts.leader_timeline), &facts.leader_history) {
        (Greater, _) => Judgement::Diverged,
        // By their numbers alone two may look like one.
        (Equal | Less, None) if facts.newest_timeline != Timeline::FIRST => {
            Judgement::TooEarly { because: no_history(facts.leader_timeline), meanwhile: Meanwhile::StayAway }
        }
        // PostgreSQL refuses what does not fit.
        (Equal, _) | (Less, None) => Judgement::InLine,
        (Less, Some(history)) => by_fork(facts, history),
    }
}

/// PostgreSQL needs that file there as much as we do: no standby gets to the timeline without it.
fn no_history(timeline: Timeline) -> String {
    let file = format!("{:08X}.history", timeline.number());
    format!("the leader does not show the history of its timeline {timeline}: is {file} in its pg_wal?")
}

fn by_fork(facts: &Comparison, history: &[(Timeline, Lsn)]) -> Judgement {
    let fork = history
        .iter()
        .take_while(|(parent, _)| *parent <= facts.local_timeline)
        .find(|(parent, _)| *parent == facts.local_timeline);
    let Some((_, fork)) = fork else {
        return Judgement::Diverged;
    };
    let diverged = if facts.in_recovery {
        facts.local_lsn > *fork
    } else {
        facts.local_lsn >= *fork || facts.shutdown_checkpoint_end != Some(*fork)
    };
    if diverged { Judgement::Diverged } else { Judgement::InLine }
}
