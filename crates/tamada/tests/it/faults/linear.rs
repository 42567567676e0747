//! Whether a history of one key can be explained: is there an order of its operations in which each one saw exactly what
//! those before it had left, and in which whatever had ended before another began comes first? (Herlihy and Wing call
//! such a history linearizable.)
//!
//! The search is that of Wing and Gong: take any operation that may come next, see whether it fits what the key holds
//! now, go on from there; if nothing fits, go back. As Lowe has it, a point that was reached before (the same operations
//! taken, the same left in the key) is not searched again. Keys are independent of one another, so each is searched alone.
//!
//! It believes nothing of the store's revisions except that two different ones are different; `revisions` does the rest.
//!
//! What becomes of writes whose outcome is unclear:
//!
//! 1. If anybody ever saw the value, it was written, and before that one's answer.
//! 2. If nobody did, it can be left out. Whatever came directly after it, if we know its outcome, saw the value; so
//!    nothing did but another unclear one, of which nothing is known to fit or not to fit.
//! 3. An unclear deletion leaves no trace of its own. It may be anywhere after it was asked for, or nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tamada_raft::Revision;

use super::history::{Act, End, Entry, Op};

/// The key's operations need not be sorted; those on other keys must not be among them. The error tells how far an
/// explanation came.
pub fn check(ops: &[Op]) -> Result<(), String> {
    let (certain, deletions) = steps(ops)?;
    let mut reached = BTreeSet::new();
    let mut open = vec![Point::default()];
    let mut furthest = Point::default();
    while let Some(point) = open.pop() {
        if point.from == certain.len() {
            return Ok(());
        }
        for next in point.next(&certain, &deletions) {
            if reached.insert(next.clone()) {
                if next.taken() > furthest.taken() {
                    furthest = next.clone();
                }
                open.push(next);
            }
        }
    }
    Err(furthest.describe(&certain))
}

/// An operation that took place, as the search sees it.
#[derive(Clone, Copy)]
struct Step<'o> {
    op: &'o Op,
    /// Its place in the order is before this, and after it was asked for.
    ended: Duration,
    fits: Fits,
    left: Option<Entry>,
}

/// What the key must hold for an operation to come next.
#[derive(Clone, Copy)]
enum Fits {
    Exactly(Option<Entry>),
    ModifiedAt(Revision),
    Anything,
}

impl Fits {
    fn with(self, held: Option<Entry>) -> bool {
        match self {
            Self::Exactly(expected) => held == expected,
            Self::ModifiedAt(revision) => modified(held) == revision,
            Self::Anything => true,
        }
    }
}

fn modified(held: Option<Entry>) -> Revision {
    held.map_or(0, |entry| entry.modified)
}

/// The operations that certainly took place, by the time they were asked for; and when deletions were asked for of which
/// that is not known.
fn steps(ops: &[Op]) -> Result<(Vec<Step<'_>>, Vec<Duration>), String> {
    let seen = first_seen(ops)?;
    let mut certain = Vec::new();
    let mut deletions = Vec::new();
    for op in ops {
        match (op.end, op.act) {
            (End::Failed, _) | (_, Act::GetLate(_)) | (End::Unclear, Act::Get) => {}
            (End::Done { saw, left, .. }, act) => {
                if !is_consistent(act, saw, left) {
                    return Err(format!("no operation does this: {op}"));
                }
                certain.push(Step { op, ended: op.ended, fits: Fits::Exactly(saw), left });
            }
            (End::Unclear, Act::Delete) => deletions.push(op.asked),
            (End::Unclear, Act::Put(value)) => certain.extend(seen.get(&value).map(|at| at.step(op, Fits::Anything))),
            (End::Unclear, Act::Swap { expected, value }) => {
                certain.extend(seen.get(&value).map(|at| at.step(op, Fits::ModifiedAt(expected))));
            }
        }
    }
    certain.sort_by_key(|step| step.op.asked);
    Ok((certain, deletions))
}

/// Whether the operation does what it is for.
fn is_consistent(act: Act, saw: Option<Entry>, left: Option<Entry>) -> bool {
    match act {
        Act::Get | Act::GetLate(_) => left == saw,
        Act::Put(value) => left.is_some_and(|left| left.value == value),
        Act::Swap { expected, value } if modified(saw) == expected => left.is_some_and(|left| left.value == value),
        Act::Swap { .. } => left == saw,
        Act::Delete => left.is_none(),
    }
}

/// The first answer in which a value was seen, and with which revision.
struct FirstSeen {
    entry: Entry,
    by: Duration,
}

impl FirstSeen {
    fn step<'o>(&self, op: &'o Op, fits: Fits) -> Step<'o> {
        Step { op, ended: self.by, fits, left: Some(self.entry) }
    }
}

fn first_seen(ops: &[Op]) -> Result<BTreeMap<u64, FirstSeen>, String> {
    let mut seen: BTreeMap<u64, FirstSeen> = BTreeMap::new();
    for op in ops {
        let End::Done { saw, left, .. } = op.end else { continue };
        for entry in saw.into_iter().chain(left) {
            let first = seen.entry(entry.value).or_insert(FirstSeen { entry, by: op.ended });
            if first.entry != entry {
                return Err(format!(
                    "one write was seen as {:?} and as {entry:?}, the second time by {op}",
                    first.entry
                ));
            }
            first.by = first.by.min(op.ended);
        }
    }
    Ok(seen)
}

/// How far an explanation has come: which operations are taken, and what the key then holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Point {
    /// All certain steps before this one are taken,
    from: usize,
    /// and these of those after it.
    beyond: BTreeSet<usize>,
    deletions: BTreeSet<usize>,
    held: Option<Entry>,
}

impl Point {
    fn taken(&self) -> usize {
        self.from + self.beyond.len()
    }

    /// All points that are one operation further. The most promising, what was asked for first, is the last.
    fn next(&self, certain: &[Step<'_>], deletions: &[Duration]) -> Vec<Self> {
        let (candidates, until) = self.candidates(certain);
        let mut next = Vec::new();
        if self.held.is_some() {
            let possible = |&at: &usize| deletions[at] <= until && !self.deletions.contains(&at);
            next.extend((0..deletions.len()).filter(possible).map(|at| self.with_deletion(at)));
        }
        let fitting = candidates.into_iter().rev().filter(|at| certain[*at].fits.with(self.held));
        next.extend(fitting.map(|at| self.with(at, certain[at].left)));
        next
    }

    /// The steps not taken that began before any of them ended, and that end.
    fn candidates(&self, certain: &[Step<'_>]) -> (Vec<usize>, Duration) {
        let mut until = Duration::MAX;
        let mut candidates = Vec::new();
        for (at, step) in certain.iter().enumerate().skip(self.from) {
            if step.op.asked > until {
                break;
            }
            if !self.beyond.contains(&at) {
                until = until.min(step.ended);
                candidates.push(at);
            }
        }
        (candidates, until)
    }

    fn with(&self, at: usize, left: Option<Entry>) -> Self {
        let mut next = Self { held: left, ..self.clone() };
        next.beyond.insert(at);
        while next.beyond.remove(&next.from) {
            next.from += 1;
        }
        next
    }

    fn with_deletion(&self, at: usize) -> Self {
        let mut next = Self { held: None, ..self.clone() };
        next.deletions.insert(at);
        next
    }

    fn describe(&self, certain: &[Step<'_>]) -> String {
        let (candidates, _) = self.candidates(certain);
        let mut text = format!(
            "no order explains these operations. After {} of {} the key holds {:?}, and none of these fits:",
            self.taken(),
            certain.len(),
            self.held
        );
        for at in candidates {
            text.push_str(&format!("\n  {}", certain[at].op));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history in words, one operation a line: when it was asked for, when it ended, what, and with which outcome.
    ///
    /// ```text
    /// 1 4 put 7 saw - at 2        3 9 get saw 7@2        5 6 swap 2 8 saw 7@2 at 3
    /// 1 4 put 7 unclear           1 4 put 7 failed       5 6 delete saw 7@2
    /// ```
    fn history(text: &str) -> Vec<Op> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(op).collect()
    }

    fn op(line: &str) -> Op {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap_or_else(|| panic!("too short: {line}"));
        let mut instant = || Duration::from_millis(number(word()));
        let (asked, ended) = (instant(), instant());
        let act = match word() {
            "get" => Act::Get,
            "put" => Act::Put(number(word())),
            "swap" => Act::Swap { expected: number(word()), value: number(word()) },
            "delete" => Act::Delete,
            other => panic!("{other} is no operation"),
        };
        let end = match word() {
            "unclear" => End::Unclear,
            "failed" => End::Failed,
            _ => {
                let saw = entry(word());
                let revision = words.nth(1).map_or(0, number);
                End::Done { saw, left: left(act, saw, revision), revision }
            }
        };
        Op { client: 0, key: 0, act, asked, ended, end }
    }

    fn left(act: Act, saw: Option<Entry>, revision: Revision) -> Option<Entry> {
        match act {
            Act::Get | Act::GetLate(_) => saw,
            Act::Delete => None,
            Act::Put(value) | Act::Swap { value, .. } if revision > 0 => Some(Entry { value, modified: revision }),
            Act::Put(_) | Act::Swap { .. } => saw,
        }
    }

    fn entry(text: &str) -> Option<Entry> {
        let (value, modified) = text.split_once('@')?;
        Some(Entry { value: number(value), modified: number(modified) })
    }

    fn number(text: &str) -> u64 {
        text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
    }

    fn accepted(text: &str) {
        check(&history(text)).unwrap_or_else(|why| panic!("{why}\nin{text}"));
    }

    fn rejected(text: &str) {
        assert!(check(&history(text)).is_err(), "accepted:{text}");
    }

    #[test]
    fn nothing_happened() {
        accepted("");
        accepted("1 2 get saw -");
        rejected("1 2 get saw 7@2");
    }

    #[test]
    fn one_after_the_other() {
        accepted(
            "1 2 put 7 saw - at 2
             3 4 get saw 7@2
             5 6 swap 2 8 saw 7@2 at 3
             7 8 get saw 8@3
             9 10 delete saw 8@3
             11 12 get saw -
             13 14 swap 0 9 saw - at 5",
        );
    }

    #[test]
    fn operations_at_the_same_time_come_in_any_order() {
        accepted("1 9 put 7 saw - at 2\n 2 3 get saw -\n 4 5 get saw 7@2");
        accepted("1 9 put 7 saw 8@2 at 3\n 1 9 put 8 saw - at 2\n 10 11 get saw 7@3");
        accepted("1 9 put 7 saw - at 2\n 1 9 put 8 saw 7@2 at 3\n 2 3 get saw 8@3");
        rejected("1 9 put 7 saw - at 2\n 2 3 get saw 7@2\n 4 5 get saw -");
    }

    #[test]
    fn a_stale_read() {
        rejected("1 2 put 7 saw - at 2\n 3 4 put 8 saw 7@2 at 3\n 5 6 get saw 7@2");
        rejected("1 2 put 7 saw - at 2\n 3 4 get saw -");
        rejected("1 2 put 7 saw - at 2\n 3 4 delete saw 7@2\n 5 6 get saw 7@2");
    }

    #[test]
    fn a_lost_write() {
        rejected("1 2 put 7 saw - at 2\n 3 4 put 8 saw - at 3\n 5 6 get saw 8@3");
        rejected("1 2 put 7 saw - at 2\n 3 4 put 8 saw 7@2 at 3\n 5 6 put 9 saw 7@2 at 4");
    }

    #[test]
    fn two_swaps_for_one_expectation() {
        let first = "1 2 put 7 saw - at 2\n 3 9 swap 2 8 saw 7@2 at 3\n";
        accepted(&format!("{first} 3 9 swap 2 9 saw 8@3"));
        rejected(&format!("{first} 3 9 swap 2 9 saw 7@2 at 4"));
    }

    #[test]
    fn a_swap_that_does_what_it_should_not() {
        rejected("1 2 put 7 saw - at 2\n 3 4 swap 1 8 saw 7@2 at 3");
        rejected("1 2 put 7 saw - at 2\n 3 4 swap 2 8 saw 7@2");
    }

    #[test]
    fn an_unclear_write_never_happens() {
        accepted("1 2 put 7 unclear\n 3 4 get saw -\n 5 6 put 8 saw - at 2\n 7 8 get saw 8@2");
    }

    #[test]
    fn an_unclear_write_happens_late() {
        accepted("1 2 put 7 unclear\n 3 4 get saw -\n 5 6 put 8 saw - at 2\n 7 8 get saw 7@3");
        accepted("1 2 put 7 unclear\n 3 4 put 8 saw - at 2\n 5 6 put 9 saw 7@3 at 4");
    }

    #[test]
    fn an_unclear_write_happens_once_and_not_before_it_was_asked_for() {
        rejected("1 2 put 7 unclear\n 3 4 get saw 7@2\n 5 6 put 8 saw 7@2 at 3\n 7 8 get saw 7@2");
        rejected("1 2 get saw 7@2\n 3 4 put 7 unclear");
        rejected("1 2 put 7 unclear\n 3 4 get saw 7@2\n 5 6 get saw 7@3");
    }

    #[test]
    fn an_unclear_write_stays_written() {
        rejected("1 2 put 7 unclear\n 3 4 get saw 7@2\n 5 6 get saw -");
    }

    #[test]
    fn an_unclear_swap_meets_its_expectation() {
        let first = "1 2 put 7 saw - at 2\n 3 4 swap 2 8 unclear\n";
        accepted(&format!("{first} 5 6 get saw 8@3"));
        accepted(&format!("{first} 5 6 get saw 7@2\n 7 8 get saw 8@3"));
        rejected(&format!("{first} 5 6 put 9 saw 7@2 at 3\n 7 8 get saw 8@4"));
    }

    #[test]
    fn an_unclear_deletion_happens_late_or_never() {
        let first = "1 2 put 7 saw - at 2\n 3 4 delete unclear\n";
        accepted(&format!("{first} 5 6 get saw 7@2\n 7 8 get saw -"));
        accepted(&format!("{first} 5 6 put 8 saw 7@2 at 3\n 7 8 get saw -"));
        accepted(&format!("{first} 5 6 get saw 7@2"));
        rejected(&format!("{first} 5 6 get saw -\n 7 8 put 8 saw - at 4\n 9 10 get saw -"));
        rejected("1 2 put 7 saw - at 2\n 3 4 get saw -\n 5 6 delete unclear");
    }

    #[test]
    fn a_failed_write_never_happens() {
        accepted("1 2 put 7 failed\n 3 4 get saw -");
        rejected("1 2 put 7 failed\n 3 4 get saw 7@2");
        rejected("1 2 put 7 saw - at 2\n 3 4 delete failed\n 5 6 get saw -");
    }

    /// Ten clients whose operations all overlap, written down in the worst order: the search must end.
    #[test]
    fn many_at_the_same_time() {
        let mut lines: Vec<String> = (0..2000)
            .map(|at| {
                let (revision, before) = (at + 2, if at == 0 { "-".to_owned() } else { format!("{at}@{}", at + 1) });
                format!("{} {} put {} saw {before} at {revision}", at * 10 + 1, at * 10 + 95, at + 1)
            })
            .collect();
        lines.extend((0..12).map(|at| format!("{} {} delete unclear", at * 100, at * 100 + 1)));
        lines.reverse();
        accepted(&lines.join("\n"));
        lines.push("30000 30001 get saw 1999@2000".to_owned());
        rejected(&lines.join("\n"));
    }
}
