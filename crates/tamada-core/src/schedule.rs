//! When a scheduled action is due (ha-loop.md 14.2). The original sleeps inside its loop until the instant; here the
//! agent wakes for it.

use std::time::Duration;

use tamada_model::{Schedule, Wall};

use crate::Note;

#[derive(Clone, PartialEq, Debug)]
pub enum Due {
    /// Not scheduled.
    Unscheduled,
    /// Its time has come.
    Now(Note),
    Later(Note),
    /// Too late, or unreadable: to be deleted.
    Stale(Note),
}

/// `what`: `switchover`, `failover` or `restart`, for the log line.
pub fn due(schedule: Option<&Schedule>, what: &str, now: Wall, loop_wait: Duration) -> Due {
    let Some(schedule) = schedule else {
        return Due::Unscheduled;
    };
    let Some(at) = schedule.at else {
        return Due::Stale(Note::warning(format!("Incorrect value of scheduled_at: {}", schedule.text)));
    };
    let seconds = at.seconds_from(now);
    if seconds > 0.0 {
        Due::Later(Note::info(format!("Awaiting {what} at {} (in {seconds:.0} seconds)", schedule.text)))
    } else if seconds < -(1.5 * loop_wait.as_secs_f64()).trunc().max(1.0) {
        Due::Stale(Note::warning(format!("Found a stale {what} value, cleaning up: {}", schedule.text)))
    } else {
        Due::Now(Note::info(format!("Manual scheduled {what} at {}", schedule.text)))
    }
}

/// As the original prints times that come from PostgreSQL: `2026-07-23 12:26:40+00:00`.
pub fn in_words(at: Wall) -> String {
    let (day, of_day) = (at.seconds().div_euclid(86_400), at.seconds().rem_euclid(86_400));
    // Days are counted from 0000-03-01, so that a leap day ends its year; 719468 lie before 1970.
    let days = day + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let micros = at.micros().rem_euclid(1_000_000);
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}{fraction}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_runs_when_due_and_is_dropped_when_long_past() {
        let at = |seconds: i64| Schedule { text: "t".into(), at: Some(Wall::from_micros(seconds * 1_000_000)) };
        let loop_wait = Duration::from_secs(10);
        let now = Wall::from_micros(1_000_000_000);
        assert_eq!(due(None, "switchover", now, loop_wait), Due::Unscheduled);
        let note = Note::info("Awaiting switchover at t (in 10 seconds)");
        assert_eq!(due(Some(&at(1010)), "switchover", now, loop_wait), Due::Later(note));
        let note = Note::info("Manual scheduled switchover at t");
        assert_eq!(due(Some(&at(990)), "switchover", now, loop_wait), Due::Now(note));
        assert!(matches!(due(Some(&at(980)), "switchover", now, loop_wait), Due::Stale(_)));
        assert!(matches!(
            due(Some(&Schedule { text: "x".into(), at: None }), "restart", now, loop_wait),
            Due::Stale(_)
        ));
    }

    #[test]
    fn times_are_printed_as_postgresql_prints_them() {
        let at = |seconds: i64, micros: i64| in_words(Wall::from_micros(seconds * 1_000_000 + micros));
        assert_eq!(at(0, 0), "1970-01-01 00:00:00+00:00");
        assert_eq!(at(1_709_208_000, 0), "2024-02-29 12:00:00+00:00");
        assert_eq!(at(1_784_809_600, 120_000), "2026-07-23 12:26:40.120000+00:00");
    }
}
