//! Whether what the clients were told agrees with what the watchers saw, revision by revision.
//!
//! `linear` looks for any order that would explain a history. The store claims a certain one: that of its revisions, over
//! all keys. The watchers have seen it. So each change must be one that somebody asked
//! for, each acknowledged one must be where the store said, each reading must be what the changes up to its revision
//! amount to, and the revisions must be in the order of time.

use std::collections::BTreeMap;
use std::time::Duration;

use tamada_raft::Revision;

use super::history::{Act, End, Entry, Op};

/// A change of one key, as the watchers saw it; `None`: deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub revision: Revision,
    pub key: usize,
    pub value: Option<u64>,
}

/// All complaints are about the first thing that is wrong.
pub fn check(ops: &[Op], seen: &[Seen]) -> Result<(), String> {
    each_change_was_asked_for(ops, seen)?;
    let story = Story::new(seen);
    for op in ops {
        let End::Done { saw, left, revision } = op.end else { continue };
        check_answer(&story, op, saw, left, revision).map_err(|why| format!("{why}: {op}"))?;
    }
    revisions_follow_time(ops)
}

fn each_change_was_asked_for(ops: &[Op], seen: &[Seen]) -> Result<(), String> {
    let writes: BTreeMap<u64, &Op> = ops.iter().filter_map(|op| Some((op.value()?, op))).collect();
    let mut deletions = Deletions::of(ops);
    let mut written = BTreeMap::new();
    for change in seen {
        let Some(value) = change.value else {
            deletions.take(change)?;
            continue;
        };
        match writes.get(&value) {
            Some(op) if op.key == change.key && may_have_done(op, change.revision) => {}
            Some(op) => return Err(format!("{change:?} is not what was asked for and answered: {op}")),
            None => return Err(format!("nobody asked for {change:?}")),
        }
        if let Some(before) = written.insert(value, change.revision) {
            return Err(format!("{change:?} was written before, at revision {before}"));
        }
    }
    Ok(())
}

fn may_have_done(op: &Op, at: Revision) -> bool {
    match op.end {
        End::Done { revision, .. } => revision == at,
        End::Unclear => true,
        End::Failed => false,
    }
}

/// Deletions carry no value by which one could tell whose they are.
struct Deletions {
    done: BTreeMap<Revision, usize>,
    /// How many of each key may have happened.
    unclear: BTreeMap<usize, usize>,
}

impl Deletions {
    fn of(ops: &[Op]) -> Self {
        let mut deletions = Self { done: BTreeMap::new(), unclear: BTreeMap::new() };
        for op in ops.iter().filter(|op| op.act == Act::Delete) {
            match op.end {
                End::Done { saw: Some(_), revision, .. } => drop(deletions.done.insert(revision, op.key)),
                End::Unclear => *deletions.unclear.entry(op.key).or_default() += 1,
                End::Done { saw: None, .. } | End::Failed => {}
            }
        }
        deletions
    }

    fn take(&mut self, change: &Seen) -> Result<(), String> {
        if self.done.remove(&change.revision) == Some(change.key) {
            return Ok(());
        }
        match self.unclear.get_mut(&change.key) {
            Some(left @ 1..) => {
                *left -= 1;
                Ok(())
            }
            Some(0) | None => Err(format!("nobody asked for {change:?}")),
        }
    }
}

/// What each key held, revision by revision.
struct Story(BTreeMap<usize, BTreeMap<Revision, Option<u64>>>);

impl Story {
    fn new(seen: &[Seen]) -> Self {
        let mut keys: BTreeMap<usize, BTreeMap<Revision, Option<u64>>> = BTreeMap::new();
        for change in seen {
            keys.entry(change.key).or_default().insert(change.revision, change.value);
        }
        Self(keys)
    }

    fn at(&self, key: usize, revision: Revision) -> Option<Entry> {
        let (modified, value) = self.0.get(&key)?.range(..=revision).next_back()?;
        value.map(|value| Entry { value, modified: *modified })
    }
}

fn check_answer(
    story: &Story,
    op: &Op,
    saw: Option<Entry>,
    left: Option<Entry>,
    revision: Revision,
) -> Result<(), String> {
    let before = if op.changed() { revision - 1 } else { revision };
    let (truly_saw, truly_left) = (story.at(op.key, before), story.at(op.key, revision));
    if let Act::GetLate(at_least) = op.act
        && revision < at_least
    {
        return Err(format!("older than revision {at_least}, which it must not be"));
    }
    if saw != truly_saw {
        return Err(format!("the watchers say that it must have seen {truly_saw:?}"));
    }
    if left != truly_left {
        return Err(format!("the watchers say that it left {truly_left:?}"));
    }
    Ok(())
}

/// Whatever was asked for after something had ended has its revision or a later one; a change has a later one.
fn revisions_follow_time(ops: &[Op]) -> Result<(), String> {
    let mut by_end: Vec<(Duration, Revision, &Op)> = Vec::new();
    let mut by_asking = by_end.clone();
    for op in ops {
        let (End::Done { revision, .. }, false) = (op.end, is_late(op)) else { continue };
        by_end.push((op.ended, revision, op));
        by_asking.push((op.asked, revision, op));
    }
    by_end.sort_by_key(|(ended, ..)| *ended);
    by_asking.sort_by_key(|(asked, ..)| *asked);
    let mut ended = by_end.into_iter().peekable();
    let mut newest: Option<(Revision, &Op)> = None;
    for (asked, revision, op) in by_asking {
        while let Some((_, revision, before)) = ended.next_if(|(end, ..)| *end < asked) {
            if newest.is_none_or(|(newest, _)| newest < revision) {
                newest = Some((revision, before));
            }
        }
        let least = if op.changed() { revision - 1 } else { revision };
        if let Some((newest, before)) = newest
            && least < newest
        {
            return Err(format!("time went backwards: {op}\nafter {before}"));
        }
    }
    Ok(())
}

fn is_late(op: &Op) -> bool {
    match op.act {
        Act::GetLate(_) => true,
        Act::Get | Act::Put(_) | Act::Swap { .. } | Act::Delete => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Option<Entry> = None;

    fn op(act: Act, (asked, ended): (u64, u64), end: End) -> Op {
        let at = Duration::from_millis;
        Op { client: 0, key: 0, act, asked: at(asked), ended: at(ended), end }
    }

    fn done(saw: Option<Entry>, left: Option<Entry>, revision: Revision) -> End {
        End::Done { saw, left, revision }
    }

    fn entry(value: u64, modified: Revision) -> Option<Entry> {
        Some(Entry { value, modified })
    }

    fn put(revision: Revision, value: u64) -> Seen {
        Seen { revision, key: 0, value: Some(value) }
    }

    fn deleted(revision: Revision) -> Seen {
        Seen { revision, key: 0, value: None }
    }

    #[test]
    fn a_history_that_agrees_with_the_watch() {
        let ops = [
            op(Act::Put(7), (1, 2), done(NOTHING, entry(7, 2), 2)),
            op(Act::Swap { expected: 2, value: 8 }, (3, 4), End::Unclear),
            op(Act::Get, (5, 6), done(entry(7, 2), entry(7, 2), 2)),
            op(Act::Put(9), (7, 8), End::Failed),
            op(Act::Delete, (9, 10), End::Unclear),
            op(Act::GetLate(2), (11, 12), done(entry(7, 2), entry(7, 2), 2)),
            op(Act::Get, (13, 14), done(NOTHING, NOTHING, 4)),
            op(Act::Put(10), (15, 16), done(NOTHING, entry(10, 5), 5)),
            op(Act::Delete, (17, 18), done(entry(10, 5), NOTHING, 6)),
        ];
        assert_eq!(check(&ops, &[put(2, 7), put(3, 8), deleted(4), put(5, 10), deleted(6)]), Ok(()));
    }

    fn complaint(ops: &[Op], seen: &[Seen]) -> String {
        check(ops, seen).expect_err("something is wrong")
    }

    #[test]
    fn an_acknowledged_write_that_the_watcher_did_not_see() {
        let first = op(Act::Put(7), (1, 2), done(NOTHING, entry(7, 2), 2));
        assert!(complaint(&[first], &[]).contains("left None"));
    }

    #[test]
    fn a_write_that_failed_unclearly_happens_twice() {
        let unclear = op(Act::Put(7), (1, 2), End::Unclear);
        assert!(complaint(&[unclear], &[put(2, 7), put(3, 7)]).contains("was written before"));
        let delete = op(Act::Delete, (3, 4), End::Unclear);
        assert!(complaint(&[unclear, delete], &[put(2, 7), deleted(3), deleted(4)]).contains("nobody asked"));
    }

    #[test]
    fn what_nobody_asked_for() {
        assert!(complaint(&[], &[put(2, 7)]).contains("nobody asked"));
        assert!(complaint(&[], &[deleted(2)]).contains("nobody asked"));
        let failed = op(Act::Put(7), (1, 2), End::Failed);
        assert!(complaint(&[failed], &[put(2, 7)]).contains("is not what was asked for"));
    }

    #[test]
    fn readings_that_do_not_fit_their_revision() {
        let first = op(Act::Put(7), (1, 2), done(NOTHING, entry(7, 2), 2));
        let stale = op(Act::GetLate(0), (3, 4), done(NOTHING, NOTHING, 2));
        assert!(complaint(&[first, stale], &[put(2, 7)]).contains("must have seen Some(7@2)"));
        let older = op(Act::GetLate(2), (3, 4), done(NOTHING, NOTHING, 1));
        assert!(complaint(&[first, older], &[put(2, 7)]).contains("older than revision 2"));
    }

    #[test]
    fn revisions_that_go_backwards() {
        let first = op(Act::Put(7), (1, 2), done(NOTHING, entry(7, 2), 2));
        let back = op(Act::Get, (3, 4), done(NOTHING, NOTHING, 1));
        assert!(complaint(&[first, back], &[put(2, 7)]).contains("time went backwards"));
        let overlapping = op(Act::Get, (2, 4), done(NOTHING, NOTHING, 1));
        assert_eq!(check(&[first, overlapping], &[put(2, 7)]), Ok(()));
        let earlier = op(Act::Put(8), (3, 4), done(NOTHING, entry(8, 2), 2));
        let later = op(Act::Put(7), (1, 2), done(entry(8, 2), entry(7, 3), 3));
        assert!(complaint(&[later, earlier], &[put(2, 8), put(3, 7)]).contains("time went backwards"));
    }
}
