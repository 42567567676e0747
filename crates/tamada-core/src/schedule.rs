//! When a scheduled action is due (ha-loop.md 14.2). The original sleeps inside its loop until the instant; here the
//! agent wakes for it.

use std::time::Duration;

use tamada_model::{Schedule, Wall};

use crate::Note;

#[derive(Clone, PartialEq, Debug)]
pub enum Due {
    /// Not scheduled, or its time has come.
    Now,
    /// In this many seconds.
    Later { seconds: f64 },
    /// Too late, or unreadable: to be deleted.
    Stale(Note),
}

/// `what`: `switchover`, `failover` or `restart`, for the log line.
pub fn due(schedule: Option<&Schedule>, what: &str, now: Wall, loop_wait: Duration) -> Due {
    let Some(schedule) = schedule else {
        return Due::Now;
    };
    let Some(at) = schedule.at else {
        return Due::Stale(Note::warning(format!("Incorrect value of scheduled_at: {}", schedule.text)));
    };
    let seconds = at.seconds_from(now);
    if seconds > 0.0 {
        Due::Later { seconds }
    } else if seconds < -(1.5 * loop_wait.as_secs_f64()).max(1.0) {
        Due::Stale(Note::warning(format!("Found a stale {what} value, cleaning up: {}", schedule.text)))
    } else {
        Due::Now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_runs_when_due_and_is_dropped_when_long_past() {
        let at = |seconds: i64| Schedule { text: "t".into(), at: Some(Wall::from_micros(seconds * 1_000_000)) };
        let loop_wait = Duration::from_secs(10);
        let now = Wall::from_micros(1_000_000_000);
        assert_eq!(due(None, "switchover", now, loop_wait), Due::Now);
        assert_eq!(due(Some(&at(1010)), "switchover", now, loop_wait), Due::Later { seconds: 10.0 });
        assert_eq!(due(Some(&at(990)), "switchover", now, loop_wait), Due::Now);
        assert!(matches!(due(Some(&at(980)), "switchover", now, loop_wait), Due::Stale(_)));
        assert!(matches!(
            due(Some(&Schedule { text: "x".into(), at: None }), "restart", now, loop_wait),
            Due::Stale(_)
        ));
    }
}
