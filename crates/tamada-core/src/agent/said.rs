//! What the log has heard lately. The original says one sentence in each loop, and monitoring counts on that (log-lines.md
//! 1.5); we look much more often while something is in motion, which is no news each time.

use std::time::Duration;

use tamada_model::Mono;

use crate::decision::{Note, Reason};

#[derive(Debug, Default)]
pub struct Said {
    /// The last pass that had a sentence, and the last step in between that had none.
    spoken: Option<(Reason, String, Mono)>,
    silent: Option<(Reason, Mono)>,
    notes: Vec<Note>,
}

impl Said {
    /// Whether this pass says something else than the one before, or the same so much later.
    pub fn is_news(&mut self, because: &Reason, sentence: Option<&str>, now: Mono, every: Duration) -> bool {
        let recent = |at: &Mono| now.since(*at) < every;
        let repeats = match sentence {
            Some(sentence) => self
                .spoken
                .as_ref()
                .is_some_and(|(last, said, at)| recent(at) && (said == sentence || counts_down(last, because))),
            None => self.silent.as_ref().is_some_and(|(last, at)| recent(at) && last == because),
        };
        if !repeats {
            match sentence {
                Some(sentence) => self.spoken = Some((because.clone(), sentence.to_owned(), now)),
                None => self.silent = Some((because.clone(), now)),
            }
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
