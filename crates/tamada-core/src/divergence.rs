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

use tamada_model::Comparison;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    InLine,
    Diverged,
}

pub fn judge(facts: &Comparison) -> Judgement {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match facts.local_timeline.cmp(&facts.leader_timeline) {
        Greater => Judgement::Diverged,
        Equal => Judgement::InLine,
        Less => match &facts.leader_history {
            // The leader's history could not be had. Following finds out: PostgreSQL refuses what does not fit.
            None => Judgement::InLine,
            Some(history) => judge_by_history(facts, history),
        },
    }
}

fn judge_by_history(facts: &Comparison, history: &[(tamada_model::Timeline, tamada_model::Lsn)]) -> Judgement {
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
