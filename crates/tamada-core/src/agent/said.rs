//! What the log has heard lately. The original says one sentence in each loop, and monitoring counts on that (log-lines.md
//! 1.5); we look much more often while something is in motion, which is no news each time.

use std::time::Duration;

use tamada_model::Mono;

use crate::decision::{Note, Reason};

#[derive(Debug, Default)]
pub struct Said {
    last: Option<(Reason, Option<String>, Mono)>,
    notes: Vec<Note>,
}

impl Said {
    /// Whether this pass says something else than the one before, or the same so much later.
    pub fn is_news(&mut self, because: &Reason, sentence: Option<&str>, now: Mono, every: Duration) -> bool {
        let repeats = self.last.as_ref().is_some_and(|(last, said, at)| {
            (said.as_deref() == sentence || counts_down(last, because)) && now.since(*at) < every
        });
        if !repeats {
            self.last = Some((because.clone(), sentence.map(str::to_owned), now));
            self.notes.clear();
        }
        !repeats
    }

    /// Whether to log a note beside it.
    pub fn note(&mut self, note: &Note, news: bool) -> bool {
        let known = self.notes.contains(note);
        if !known {
            self.notes.push(note.clone());
        }
        news || !known
    }
}

/// Only the seconds differ.
fn counts_down(last: &Reason, now: &Reason) -> bool {
    match (last, now) {
        (Reason::StillStarting { .. }, Reason::StillStarting { .. })
        | (Reason::RaceBackoff { .. }, Reason::RaceBackoff { .. }) => true,
        (_, _) => false,
    }
}
