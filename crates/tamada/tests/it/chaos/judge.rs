//! The judgement over a round: what the clients were told, against what is in the members' tables in the end.
//!
//! | Word | A row that |
//! |---|---|
//! | lost | was acknowledged and is not there |
//! | phantom | is there, though nobody asked for it, or the server said that it would not be |
//! | double | is there twice, or was acknowledged twice |
//!
//! And *two at once*: two members that acknowledge rows at one time. Each acknowledgement names the timeline on which it
//! was written. Two members never write on one timeline; and once a row was acknowledged on a later timeline, no row that
//! is asked for after that may be acknowledged on an earlier one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use super::record::{By, End, Write};

/// What may be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    Nothing,
    /// What asynchronous replication promises when a primary is lost: this much WAL of each timeline.
    AtMost(u64),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub acknowledged: usize,
    pub unknown: usize,
    pub refused: usize,
    pub lost: Vec<u64>,
    /// The longest piece of WAL that went with them.
    pub lost_bytes: u64,
}

/// `tables`: the rows that each member has, as often as it has them, in any order. Counted is what was asked for `since`;
/// everything is judged.
pub fn judge(writes: &[Write], since: Duration, tables: &[Vec<u64>], allowed: Loss) -> Result<Tally, String> {
    let table = same_everywhere(tables)?;
    no_doubles(writes, &table)?;
    let rows: BTreeSet<u64> = table.iter().copied().collect();
    no_phantoms(writes, &rows)?;
    never_two_at_once(writes)?;
    let lost: Vec<(u64, By)> = acknowledged(writes)
        .filter(|(write, ..)| !rows.contains(&write.row))
        .map(|(write, _, by)| (write.row, by))
        .collect();
    let lost_bytes = longest_loss(writes, &lost);
    let is_allowed = match allowed {
        Loss::Nothing => lost.is_empty(),
        Loss::AtMost(bytes) => lost_bytes <= bytes,
    };
    if !is_allowed {
        let (first, last) = (&lost[0], &lost[lost.len() - 1]);
        return Err(format!(
            "{} rows are lost, {lost_bytes} bytes of WAL, from {first:?} to {last:?}; allowed: {allowed:?}",
            lost.len()
        ));
    }
    let counted = || writes.iter().filter(|write| write.asked >= since);
    let ended = |how: fn(&End) -> bool| counted().filter(|write| how(&write.end)).count();
    Ok(Tally {
        acknowledged: ended(|end| matches!(end, End::Acknowledged { .. })),
        unknown: ended(|end| matches!(end, End::Unknown)),
        refused: ended(|end| matches!(end, End::Refused)),
        lost: lost.into_iter().map(|(row, _)| row).collect(),
        lost_bytes,
    })
}

fn acknowledged(writes: &[Write]) -> impl Iterator<Item = (&Write, Duration, By)> {
    writes.iter().filter_map(|write| write.acknowledged().map(|(at, by)| (write, at, by)))
}

fn same_everywhere(tables: &[Vec<u64>]) -> Result<Vec<u64>, String> {
    let mut sorted = tables.iter().map(|table| {
        let mut table = table.clone();
        table.sort_unstable();
        table
    });
    let first = sorted.next().ok_or("no table to look into")?;
    match sorted.position(|other| other != first) {
        None => Ok(first),
        Some(at) => Err(format!("the tables of the first member and of number {} differ", at + 1)),
    }
}

fn no_doubles(writes: &[Write], table: &[u64]) -> Result<(), String> {
    if let Some(two) = table.windows(2).find(|two| two[0] == two[1]) {
        return Err(format!("row {} is there twice", two[0]));
    }
    let mut seen = BTreeMap::new();
    for (write, _, by) in acknowledged(writes) {
        if let Some(before) = seen.insert(write.row, by) {
            return Err(format!("row {} was acknowledged twice: {before:?}, {by:?}", write.row));
        }
    }
    Ok(())
}

fn no_phantoms(writes: &[Write], rows: &BTreeSet<u64>) -> Result<(), String> {
    let possible: BTreeSet<u64> =
        writes.iter().filter(|write| write.end != End::Refused).map(|write| write.row).collect();
    match rows.difference(&possible).next() {
        None => Ok(()),
        Some(row) => Err(format!("row {row} is there, and should not be")),
    }
}

fn never_two_at_once(writes: &[Write]) -> Result<(), String> {
    // When each timeline was first known to be writable, and on which member it is.
    let mut timelines: BTreeMap<u32, (Duration, usize)> = BTreeMap::new();
    for (write, at, by) in acknowledged(writes) {
        let (first, member) = timelines.entry(by.timeline).or_insert((at, by.member));
        if *member != by.member {
            return Err(format!(
                "members {member} and {} both wrote on timeline {}: {write:?}",
                by.member, by.timeline
            ));
        }
        *first = at.min(*first);
    }
    for (write, _, by) in acknowledged(writes) {
        let later = timelines.range(by.timeline + 1..).find(|(_, (first, _))| *first < write.asked);
        if let Some((timeline, (first, member))) = later {
            return Err(format!(
                "two at once: member {member} had acknowledged on timeline {timeline} at {first:?}, and then {write:?}"
            ));
        }
    }
    Ok(())
}

/// From the last row that was kept of a timeline to the last one that was not.
fn longest_loss(writes: &[Write], lost: &[(u64, By)]) -> u64 {
    let mut pieces: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (_, by) in lost {
        let (from, to) = pieces.entry(by.timeline).or_insert((by.lsn, by.lsn));
        (*from, *to) = (by.lsn.min(*from), by.lsn.max(*to));
    }
    let is_lost: BTreeSet<u64> = lost.iter().map(|(row, _)| *row).collect();
    let kept_before = |timeline: u32, lsn: u64| {
        let kept =
            acknowledged(writes).filter(|(write, _, by)| by.timeline == timeline && !is_lost.contains(&write.row));
        kept.map(|(_, _, by)| by.lsn).filter(|kept| *kept <= lsn).max().unwrap_or(lsn)
    };
    pieces.iter().map(|(timeline, (from, to))| to - kept_before(*timeline, *from)).max().unwrap_or(0)
}

/// The longest time between two acknowledgements that follow each other.
pub fn longest_gap<'a>(writes: impl Iterator<Item = &'a Write>) -> Duration {
    let mut instants: Vec<Duration> = writes.filter_map(Write::acknowledged).map(|(at, _)| at).collect();
    instants.sort_unstable();
    instants.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Asked for at this millisecond, acknowledged one later; the WAL grows by 100 bytes a millisecond.
    fn ok(row: u64, asked: u64, member: usize, timeline: u32) -> Write {
        let by = By { member, timeline, lsn: asked * 100 };
        Write { row, asked: ms(asked), end: End::Acknowledged { at: ms(asked + 1), by } }
    }

    fn ended(row: u64, end: End) -> Write {
        Write { row, asked: ms(0), end }
    }

    /// Three members that have the same.
    fn found(writes: &[Write], rows: &[u64], allowed: Loss) -> Result<Tally, String> {
        judge(writes, Duration::ZERO, &vec![rows.to_vec(); 3], allowed)
    }

    fn complaint(writes: &[Write], rows: &[u64]) -> String {
        found(writes, rows, Loss::AtMost(u64::MAX)).expect_err("this is wrong")
    }

    #[test]
    fn what_was_acknowledged_is_there_and_what_was_unclear_may_be() {
        let writes = [ok(1, 10, 0, 1), ended(2, End::Unknown), ended(3, End::Unknown), ended(4, End::Refused)];
        let tally = Tally { acknowledged: 1, unknown: 2, refused: 1, ..Tally::default() };
        assert_eq!(found(&writes, &[3, 1], Loss::Nothing), Ok(tally));
    }

    #[test]
    fn a_lost_row_is_found_and_weighed() {
        let writes = [ok(1, 10, 0, 1), ok(2, 20, 0, 1), ok(3, 30, 0, 1), ok(4, 40, 1, 2)];
        assert!(found(&writes, &[1, 4], Loss::Nothing).is_err());
        assert!(found(&writes, &[1, 4], Loss::AtMost(1999)).is_err());
        let tally = found(&writes, &[1, 4], Loss::AtMost(2000)).expect("from row 1 to row 3");
        assert_eq!((tally.lost, tally.lost_bytes), (vec![2, 3], 2000));
    }

    #[test]
    fn phantoms_are_found() {
        assert!(complaint(&[], &[7]).contains("row 7 is there, and should not be"));
        assert!(complaint(&[ended(7, End::Refused)], &[7]).contains("should not be"));
    }

    #[test]
    fn doubles_are_found() {
        assert!(complaint(&[ok(1, 10, 0, 1)], &[1, 1]).contains("there twice"));
        assert!(complaint(&[ok(1, 10, 0, 1), ok(1, 20, 1, 2)], &[1]).contains("acknowledged twice"));
    }

    #[test]
    fn members_that_differ_are_found() {
        let verdict = judge(&[ok(1, 10, 0, 1)], ms(0), &[vec![1], vec![1], vec![]], Loss::Nothing);
        assert!(verdict.expect_err("the third lacks a row").contains("differ"));
    }

    #[test]
    fn two_members_on_one_timeline_are_found() {
        assert!(complaint(&[ok(1, 10, 0, 2), ok(2, 20, 1, 2)], &[1, 2]).contains("both wrote on timeline 2"));
    }

    #[test]
    fn an_old_primary_that_goes_on_is_found_though_its_rows_are_lost_anyway() {
        let writes = [ok(1, 10, 0, 1), ok(2, 20, 1, 2), ok(3, 22, 0, 1)];
        assert!(complaint(&writes, &[1, 2]).contains("two at once"));
    }

    #[test]
    fn an_answer_that_was_on_its_way_is_no_crime() {
        let mut late = ok(3, 20, 0, 1);
        late.end = End::Acknowledged { at: ms(90), by: By { member: 0, timeline: 1, lsn: 2000 } };
        let writes = [ok(1, 10, 0, 1), ok(2, 20, 1, 2), late];
        assert_eq!(found(&writes, &[1, 2, 3], Loss::Nothing).map(|tally| tally.lost), Ok(vec![]));
    }

    #[test]
    fn a_primary_that_comes_back_on_a_later_timeline_is_welcome() {
        let writes = [ok(1, 10, 0, 1), ok(2, 20, 1, 2), ok(3, 30, 0, 3)];
        assert_eq!(found(&writes, &[1, 2, 3], Loss::Nothing).map(|tally| tally.lost), Ok(vec![]));
        assert_eq!(longest_gap(writes.iter()), ms(10));
    }
}
