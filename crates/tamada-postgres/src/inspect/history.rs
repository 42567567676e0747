//! Timeline history: which timelines led to this one, and where each was left (postgres.md 6.6).

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use tamada_model::{HistoryFile, Lsn, Timeline};

/// `%08X.history`
pub(crate) fn file_name(timeline: Timeline) -> String {
    format!("{:08X}.history", timeline.number())
}

/// Lines of exactly three fields separated by tabs: timeline, position, reason. Others are comments.
pub(crate) fn lines(text: &str) -> Vec<(u32, Lsn, String)> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [timeline, lsn, reason] = fields.as_slice() else { return None };
            Some((timeline.trim().parse().ok()?, Lsn::parse(lsn)?, (*reason).to_owned()))
        })
        .collect()
}

/// The lines near the place where `local` was left, for the log: a history grows with every failover, and is shown
/// with every look.
pub(crate) fn around(text: &str, local: Timeline) -> String {
    let lines = lines(text);
    let left = lines.iter().position(|(timeline, _, _)| *timeline >= local.number()).unwrap_or(lines.len());
    let (from, to) = (left.saturating_sub(2), (left + 2).min(lines.len()));
    let mut shown: Vec<String> =
        lines[from..to].iter().map(|(timeline, lsn, why)| format!("{timeline}\t{lsn}\t{why}")).collect();
    if from > 0 {
        shown.insert(0, "...".to_owned());
    }
    if to < lines.len() {
        shown.push("...".to_owned());
    }
    shown.join("\n")
}

/// The parents of a timeline with the place where each was left.
pub(crate) fn parents(text: &str) -> Vec<(Timeline, Lsn)> {
    parents_in(&lines(text))
}

pub(crate) fn parents_in(lines: &[(u32, Lsn, String)]) -> Vec<(Timeline, Lsn)> {
    lines.iter().filter_map(|(timeline, lsn, _)| Some((Timeline::new(*timeline)?, *lsn))).collect()
}

/// The local file; `None` if there is none or it cannot be read.
pub(crate) fn read(data_dir: &Path, timeline: Timeline) -> Option<HistoryFile> {
    let path = data_dir.join("pg_wal").join(file_name(timeline));
    let text = fs::read_to_string(&path).ok()?;
    let modified = fs::metadata(&path).ok()?.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    Some(HistoryFile {
        timeline,
        lines: lines(&text),
        modified: local_time(since.as_secs() as i64, since.subsec_micros()),
    })
}

/// PostgreSQL looks for the files one after the other, and takes the last before a gap (findNewestTimeLine in its
/// timeline.c).
pub(crate) fn newest(data_dir: &Path, from: Timeline) -> Timeline {
    let is_here = |timeline: &Timeline| data_dir.join("pg_wal").join(file_name(*timeline)).exists();
    std::iter::successors(Some(from), |timeline| Some(timeline.next()).filter(is_here)).last().unwrap_or(from)
}

/// Whether that position lies on the way to the timeline with this history; its end belongs to it, its beginning, too
/// (tliOfPointInHistory in PostgreSQL's timeline.c).
pub(crate) fn goes_through(history: &[(Timeline, Lsn)], last: Timeline, (timeline, lsn): (Timeline, Lsn)) -> bool {
    let at = history.iter().position(|(parent, _)| *parent == timeline).or((last == timeline).then_some(history.len()));
    at.is_some_and(|at| {
        let begun = at.checked_sub(1).map_or(Lsn::ZERO, |before| history[before].1);
        begun <= lsn && history.get(at).is_none_or(|(_, left)| lsn <= *left)
    })
}

/// ISO 8601 with microseconds and the local zone's offset: `2026-11-23T09:00:00.123456+01:00`.
fn local_time(seconds: i64, micros: u32) -> String {
    // SAFETY: localtime_r writes only into the structure we give it.
    let parts = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut parts);
        parts
    };
    let offset = parts.tm_gmtoff / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    // Python's isoformat, which consumers of the history key know, leaves out a fraction of zero.
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{sign}{:02}:{:02}",
        parts.tm_year + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec,
        offset.abs() / 60,
        offset.abs() % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_fields_make_a_line() {
        let text =
            "1\t0/3000060\tno recovery target specified\n\n# comment\n2\t0/4000000\treason\textra\n3\t0/50000A0\tx\n";
        let read = lines(text);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], (1, Lsn::parse("0/3000060").unwrap(), "no recovery target specified".to_owned()));
        assert_eq!(parents(text)[1], (Timeline::new(3).unwrap(), Lsn::parse("0/50000A0").unwrap()));
        assert_eq!(file_name(Timeline::new(26).unwrap()), "0000001A.history");
    }

    #[test]
    fn a_position_lies_between_the_beginning_of_its_timeline_and_its_end() {
        let timeline = |number| Timeline::new(number).unwrap();
        let history = [(timeline(1), Lsn::new(0x100)), (timeline(2), Lsn::new(0x200))];
        let lies = |number, lsn| goes_through(&history, timeline(3), (timeline(number), Lsn::new(lsn)));
        assert!(lies(1, 0x80) && lies(1, 0x100) && !lies(1, 0x101));
        assert!(!lies(2, 0x80) && lies(2, 0x100) && lies(2, 0x200) && !lies(2, 0x201));
        assert!(!lies(3, 0x180) && lies(3, 0x300) && !lies(4, 0x300));
    }

    #[test]
    fn the_log_shows_what_is_near_the_fork() {
        let text: String = (1..=9).map(|at| format!("{at}\t0/{at}000060\tx\n")).collect();
        let shown = |local| around(&text, Timeline::new(local).unwrap()).replace('\n', " ").replace('\t', ":");
        assert_eq!(shown(5), "... 3:0/3000060:x 4:0/4000060:x 5:0/5000060:x 6:0/6000060:x ...");
        assert_eq!(shown(1), "1:0/1000060:x 2:0/2000060:x ...");
        assert_eq!(shown(9), "... 7:0/7000060:x 8:0/8000060:x 9:0/9000060:x");
    }

    #[test]
    fn time_has_the_local_offset() {
        let text = local_time(1_700_000_000, 5);
        assert!(text.starts_with("2023-11-1") && text.contains(".000005"), "{text}");
        assert_eq!(local_time(1_700_000_000, 0).len(), "2023-11-14T22:13:20+00:00".len());
    }
}
