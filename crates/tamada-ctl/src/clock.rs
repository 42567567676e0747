//! The time as people read it on the terminal, local and in the forms of ctl.md; and how long we wait.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tamada_model::Wall;
use tamada_wire::time::{self, Moment, Reading};

use crate::failure::Failure;

/// `2026-11-23 09:00:00`, before the tables of `list -t` (ctl.md 3).
pub fn stamp() -> String {
    seconds(now())
}

/// `2026-11-23 09:00:00.12345`: five digits (ctl.md 5).
pub fn fine_stamp() -> String {
    let now = now();
    format!("{}.{:05}", seconds(now), now.micros().rem_euclid(1_000_000) / 10)
}

/// `2026-11-23 09:00:00,123`, at the head of log lines (ctl.md 1).
pub fn log_stamp() -> String {
    let now = now();
    format!("{},{:03}", seconds(now), now.micros().rem_euclid(1_000_000) / 1000)
}

fn seconds(at: Wall) -> String {
    Moment::local(at).iso().chars().take(19).collect::<String>().replacen('T', " ", 1)
}

/// An hour from now as `2026-11-23T10:00`: the example in questions for a time.
pub fn in_an_hour() -> String {
    let later = Wall::from_micros(now().micros() + 3_600_000_000);
    Moment::local(later).iso().chars().take(16).collect()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the calendar")]
fn now() -> Wall {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}

/// The end of what we are willing to wait.
#[derive(Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// When an operator wants something done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum When {
    Now,
    At(Moment),
}

impl When {
    /// `now` and nothing mean now; a time without a zone is local (ctl.md 4.2).
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if text.is_empty() || text == "now" {
            return Ok(When::Now);
        }
        let moment = match time::read(text) {
            Reading::Zoned(moment) => Some(moment),
            Reading::Unzoned(local) => local.in_local_zone(),
            Reading::Unreadable => None,
        };
        moment.map(When::At).ok_or_else(|| {
            Failure::Command(format!(
                "Unable to parse scheduled timestamp ({text}). It should be in an unambiguous format (e.g. ISO 8601)"
            ))
        })
    }

    /// As REST and the store carry it; `None` for now.
    pub fn iso(&self) -> Option<String> {
        match self {
            When::Now => None,
            When::At(moment) => Some(moment.iso()),
        }
    }
}
