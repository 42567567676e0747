//! Times as an operator reads them: local, `2026-07-24 12:12:29,123`, or by the pattern in `log.dateformat`.

use std::path::Path;

use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use tamada_model::Wall;

const ZONES: &str = "/usr/share/zoneinfo";

pub struct Calendar {
    zone: TimeZone,
    pattern: Option<String>,
}

impl Calendar {
    pub fn new(zone: TimeZone, dateformat: Option<&str>) -> Self {
        Self { zone, pattern: dateformat.filter(|pattern| !pattern.is_empty()).map(str::to_owned) }
    }

    pub fn text(&self, at: Wall) -> String {
        let instant = Timestamp::from_microsecond(at.micros()).unwrap_or_default();
        match &self.pattern {
            Some(pattern) => by_pattern(pattern, ZonedDateTime::new(instant, self.zone.clone())),
            None => {
                let civil = self.zone.to_datetime(instant);
                let (date, time) = (civil.date(), civil.time());
                let milliseconds = at.micros().rem_euclid(1_000_000) / 1000;
                format!(
                    "{:04}-{:02}-{:02} {:02}:{:02}:{:02},{milliseconds:03}",
                    date.year(),
                    date.month(),
                    date.day(),
                    time.hour(),
                    time.minute(),
                    time.second()
                )
            }
        }
    }
}

/// As in C: English names, and a letter that means nothing stands for itself.
fn by_pattern(pattern: &str, at: ZonedDateTime) -> String {
    let as_in_c = Config::new().custom(PosixCustom::new()).lenient(true);
    BrokenDownTime::from(&at).to_string_with_config(&as_in_c, pattern).unwrap_or_else(|_| at.to_string())
}

/// The zone of this host, to be asked for once: it means reading files.
///
/// Containers often say `TZ=Europe/Berlin`. The library looks such a name up in an index of all zones, which we do
/// without because it would stay in memory; the one file is easily found by its name.
pub fn local_zone() -> TimeZone {
    let named = || std::env::var("TZ").ok().and_then(|name| zone_named(Path::new(ZONES), &name));
    TimeZone::try_system().ok().or_else(named).unwrap_or(TimeZone::UTC)
}

fn zone_named(zones: &Path, name: &str) -> Option<TimeZone> {
    let name = name.strip_prefix(':').unwrap_or(name);
    let file = zones.join(name);
    let rules = std::fs::read(file).ok()?;
    TimeZone::tzif(name, &rules).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::record;

    fn text(zone: TimeZone, dateformat: Option<&str>) -> String {
        Calendar::new(zone, dateformat).text(record().at)
    }

    fn east() -> TimeZone {
        TimeZone::posix("<+0530>-5:30").expect("a zone")
    }

    #[test]
    fn local_time_with_milliseconds() {
        assert_eq!(text(TimeZone::UTC, None), "2026-07-24 12:12:29,012");
        assert_eq!(text(east(), None), "2026-07-24 17:42:29,012");
        assert_eq!(text(TimeZone::UTC, Some("")), "2026-07-24 12:12:29,012");
    }

    #[test]
    fn by_the_pattern_without() {
        for (pattern, expected) in [
            ("%Y-%m-%dT%H:%M:%S%z", "2026-07-24T17:42:29+0530"),
            ("%d/%b/%y %I:%M %p", "24/Jul/26 05:42 PM"),
            ("%a %e %B %j %s", "Fri 24 July 205 1784895149"),
            ("%Z %%", "+0530 %"),
            ("%c|%x|%X", "Fri Jul 24 17:42:29 2026|07/24/26|17:42:29"),
            ("%J!", "%J!"),
        ] {
            assert_eq!(text(east(), Some(pattern)), expected, "{pattern}");
        }
    }

    #[test]
    fn a_zone_is_found_by_its_name() {
        let zones = Path::new(ZONES);
        assert!(zone_named(zones, "No/Such").is_none());
        if zones.join("Etc/UTC").exists() {
            assert!(zone_named(zones, "Etc/UTC").is_some());
            assert!(zone_named(zones, ":Etc/UTC").is_some());
        }
    }
}
