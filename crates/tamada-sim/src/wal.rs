//! The truth about WAL: what was ever written anywhere, as a tree of branches.
//!
//! ```text
//! branch 0   tl 1 ────────────┬──────────►  written on by a primary that did not know
//! branch 1   tl 2             ├──────►      promoted by one member
//! branch 2   tl 2             └──────────►  promoted by another, who did not know of it either
//! ```
//!
//! What a member has is a [`Point`] in this tree: everything on the way from the root to there. PostgreSQL itself knows
//! only numbers of timelines, which two branches may share. Nothing is ever copied, removed or changed here.

use std::collections::BTreeMap;

use tamada_model::{Lsn, Timeline, WalBytes};

use crate::{Chance, Moment};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BranchId(pub usize);

/// Everything from the root up to here.
pub type Point = (BranchId, Lsn);

pub type WriteId = u64;

#[derive(Clone, Debug)]
pub struct Branch {
    pub timeline: Timeline,
    pub parent: Option<Point>,
    pub records: Vec<Record>,
    pub end: Lsn,
    pub born: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    pub end: Lsn,
    pub what: Written,
}

/// What a record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    Write(WriteId),
    /// The last word of a server that stops, and the first after a crash.
    ShutdownCheckpoint,
    OnlineCheckpoint,
    /// The first record of a timeline.
    EndOfRecovery,
}

impl Written {
    fn is_checkpoint(self) -> bool {
        match self {
            Written::ShutdownCheckpoint | Written::OnlineCheckpoint => true,
            Written::Write(_) | Written::EndOfRecovery => false,
        }
    }

    fn size(self, chance: &mut Chance) -> WalBytes {
        WalBytes::new(match self {
            Written::Write(_) => 0x100 + 8 * chance.below(0x80),
            Written::ShutdownCheckpoint | Written::OnlineCheckpoint => CHECKPOINT,
            Written::EndOfRecovery => 0x30,
        })
    }
}

/// What a checkpoint record takes.
pub const CHECKPOINT: u64 = 0x78;
const SEGMENT: u64 = 16 << 20;

/// Where the segment begins that holds `lsn`: streaming always starts there.
pub fn segment_start(lsn: Lsn) -> Lsn {
    Lsn::new(lsn.bytes() / SEGMENT * SEGMENT)
}

#[derive(Clone, Debug)]
pub struct Wal {
    branches: Vec<Branch>,
    writes: BTreeMap<WriteId, Point>,
    chance: Chance,
}

impl Wal {
    pub fn new(chance: Chance) -> Self {
        Self { branches: Vec::new(), writes: BTreeMap::new(), chance }
    }

    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    pub fn branch(&self, id: BranchId) -> &Branch {
        &self.branches[id.0]
    }

    pub fn timeline(&self, id: BranchId) -> Timeline {
        self.branch(id).timeline
    }

    /// What initdb makes.
    pub fn root(&mut self, now: Moment) -> Point {
        let end = Lsn::new(0x150_0000 + 8 * self.chance.below(0x8000));
        self.add(Branch { timeline: Timeline::FIRST, parent: None, records: Vec::new(), end, born: now })
    }

    /// A promotion at `from`. Whoever else did the same there is on another branch.
    pub fn promote(&mut self, from: Point, timeline: Timeline, now: Moment) -> Point {
        let from = self.canonical(from);
        let branch = Branch { timeline, parent: Some(from), records: Vec::new(), end: from.1, born: now };
        self.add(branch)
    }

    fn add(&mut self, branch: Branch) -> Point {
        let end = branch.end;
        self.branches.push(branch);
        (BranchId(self.branches.len() - 1), end)
    }

    /// Writes behind `at`. Where somebody else already went on from there, PostgreSQL notices nothing, but it is a
    /// history of its own, under the same number.
    pub fn append(&mut self, at: Point, what: Written, now: Moment) -> Point {
        let (id, end) = if self.branch(at.0).end == at.1 {
            at
        } else {
            let timeline = self.timeline(at.0);
            self.promote(at, timeline, now)
        };
        let end = end + what.size(&mut self.chance);
        let branch = &mut self.branches[id.0];
        branch.records.push(Record { end, what });
        branch.end = end;
        if let Written::Write(write) = what {
            self.writes.insert(write, (id, end));
        }
        (id, end)
    }

    /// Whether clients wrote anything on the way to `to` behind `from`.
    pub fn has_writes(&self, from: Lsn, to: Point) -> bool {
        let is_write = |record: &Record, limit: Lsn| match record.what {
            Written::Write(_) => from < record.end && record.end <= limit,
            Written::ShutdownCheckpoint | Written::OnlineCheckpoint | Written::EndOfRecovery => false,
        };
        let mut path = self.path(to).take_while(|(branch, _)| self.branch(*branch).end > from);
        path.any(|(branch, limit)| self.branch(branch).records.iter().any(|record| is_write(record, limit)))
    }

    /// Where a write ended; `None` if it never got into any WAL.
    pub fn find(&self, write: WriteId) -> Option<Point> {
        self.writes.get(&write).copied()
    }

    pub fn holds(&self, point: Point, write: WriteId) -> bool {
        self.find(write).is_some_and(|written| self.is_ancestor(written, point))
    }

    /// Whether all that led to `a` also led to `b`.
    pub fn is_ancestor(&self, a: Point, b: Point) -> bool {
        let a = self.canonical(a);
        self.limit(a.0, b).is_some_and(|limit| a.1 <= limit)
    }

    /// The last point that both have come through. Two clusters have none but their beginnings.
    pub fn fork(&self, a: Point, b: Point) -> Point {
        let mut at = a;
        loop {
            if let Some(limit) = self.limit(at.0, b) {
                return self.canonical((at.0, at.1.min(limit)));
            }
            match self.branch(at.0).parent {
                Some(parent) => at = parent,
                None => return (at.0, Lsn::ZERO),
            }
        }
    }

    /// How far `branch` is part of what led to `to`.
    pub fn limit(&self, branch: BranchId, to: Point) -> Option<Lsn> {
        self.path(to).find(|(id, _)| *id == branch).map(|(_, limit)| limit)
    }

    /// The part of the way to `to` that was on a timeline of this number.
    pub fn on_timeline(&self, timeline: Timeline, to: Point) -> Option<Point> {
        self.path(to).find(|(id, _)| self.timeline(*id) == timeline)
    }

    /// The branch that began the timeline on which that is, if its first record is on the way there.
    pub fn begun_by(&self, at: Point) -> Option<BranchId> {
        let (branch, end) = self.canonical(at);
        let timeline = self.timeline(branch);
        let of_number = |(branch, _): &Point| self.timeline(*branch) == timeline;
        let (first, _) = self.path((branch, end)).take_while(of_number).last()?;
        let record = self.branch(first).records.first()?;
        (record.end <= end).then_some(first)
    }

    /// Where two ways part as their history files tell it: by numbers, and by where each timeline began. The branch is
    /// that of `ours`.
    pub fn last_in_name(&self, ours: Point, theirs: Point) -> Option<Point> {
        let mut at = ours;
        loop {
            let same = |branch| self.history(branch) == self.history(at.0);
            let shared = self.on_timeline(self.timeline(at.0), theirs).filter(|(branch, _)| same(*branch));
            if let Some((_, left)) = shared {
                return Some((at.0, left.min(at.1)));
            }
            at = self.branch(at.0).parent?;
        }
    }

    /// Where this one's timeline began: who went on from where somebody else already had is on a branch of its own.
    pub fn first_of_timeline(&self, branch: BranchId) -> BranchId {
        let parent = |branch: &BranchId| self.branch(*branch).parent.map(|(parent, _)| parent);
        let same = |branch: &BranchId| parent(branch).filter(|parent| self.timeline(*parent) == self.timeline(*branch));
        std::iter::successors(Some(branch), same).last().unwrap_or(branch)
    }

    /// Whether both have been on timelines of one number that were two.
    pub fn were_namesakes(&self, a: Point, b: Point) -> bool {
        let is_other = |(branch, _): Point| {
            let namesake = self.on_timeline(self.timeline(branch), b);
            namesake.is_some_and(|(namesake, _)| namesake != branch)
        };
        self.path(a).any(is_other)
    }

    /// Branch after branch towards the root, each with the last position of it that counts.
    pub fn path(&self, to: Point) -> impl Iterator<Item = Point> + '_ {
        std::iter::successors(Some(self.canonical(to)), |(id, _)| self.branch(*id).parent)
    }

    /// The same place on the way to `theirs`, if `own` has nothing but a promotion that was made there, too, at the very
    /// same point. The two records differ in their time of day alone, and a standby that goes on from one to the other
    /// loses and mixes nothing.
    pub fn twin(&self, own: Point, theirs: Point) -> Option<Point> {
        let (mine, end) = self.canonical(own);
        let (twin, _) = self.on_timeline(self.timeline(mine), theirs)?;
        let bare = |branch: BranchId| {
            let mut records = self.branch(branch).records.iter().take_while(|record| record.end <= end);
            records.all(|record| record.what == Written::EndOfRecovery)
        };
        let begun = |branch: BranchId| self.branch(branch).records.first().is_some_and(|record| record.end <= end);
        let same = self.branch(mine).parent.is_some() && self.branch(mine).parent == self.branch(twin).parent;
        (same && mine != twin && bare(mine) && bare(twin) && begun(mine) == begun(twin)).then_some((twin, end))
    }

    /// Where the last checkpoint on the way to there begins, and on which timeline.
    pub fn last_checkpoint(&self, to: Point) -> Option<(Lsn, Timeline)> {
        self.path(to).find_map(|(branch, limit)| {
            let records = self.branch(branch).records.iter().rev();
            let mut checkpoints = records.filter(|record| record.end <= limit && record.what.is_checkpoint());
            let begins = checkpoints.next()?.end.bytes() - CHECKPOINT;
            Some((Lsn::new(begins), self.timeline(branch)))
        })
    }

    /// The branch on which the last byte before the position was written.
    pub fn canonical(&self, point: Point) -> Point {
        let mut at = point;
        while let Some(parent) = self.branch(at.0).parent.filter(|(_, fork)| at.1 <= *fork) {
            at = (parent.0, at.1);
        }
        at
    }

    /// What a history file of this branch's timeline says: each parent, and where it was left.
    pub fn history(&self, branch: BranchId) -> Vec<(Timeline, Lsn)> {
        let mut lines: Vec<(Timeline, Lsn)> = Vec::new();
        let mut at = branch;
        while let Some((parent, fork)) = self.branch(at).parent {
            if self.timeline(parent) != self.timeline(at) {
                lines.push((self.timeline(parent), fork));
            }
            at = parent;
        }
        lines.reverse();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::END;

    fn grown(wal: &mut Wal, mut at: Point, writes: std::ops::Range<WriteId>) -> Point {
        for write in writes {
            at = wal.append(at, Written::Write(write), NOW);
        }
        at
    }

    fn wal() -> (Wal, Point) {
        let mut wal = Wal::new(Chance::new(1));
        let root = wal.root(NOW);
        let at = grown(&mut wal, root, 0..3);
        (wal, at)
    }

    #[test]
    fn two_promotions_from_one_point_are_two_branches_even_with_one_number() {
        let (mut wal, at) = wal();
        let two = Timeline::FIRST.next();
        let (here, there) = (wal.promote(at, two, NOW), wal.promote(at, two, NOW));
        let (here, there) = (grown(&mut wal, here, 3..5), grown(&mut wal, there, 5..6));
        assert_eq!(wal.timeline(here.0), wal.timeline(there.0));
        assert!(wal.holds(here, 3) && !wal.holds(there, 3));
        assert!(wal.holds(there, 5) && !wal.holds(here, 5));
        assert!(wal.holds(here, 2) && wal.holds(there, 2));
        assert_eq!(wal.fork(here, there), at);
        assert!(!wal.is_ancestor(here, there) && wal.is_ancestor(at, there));
    }

    #[test]
    fn a_write_behind_a_place_where_others_went_on_is_a_history_of_its_own() {
        let (mut wal, at) = wal();
        let ahead = grown(&mut wal, at, 3..4);
        let behind = grown(&mut wal, at, 4..5);
        assert_eq!(wal.timeline(ahead.0), wal.timeline(behind.0));
        assert_ne!(ahead.0, behind.0);
        assert_eq!(wal.fork(ahead, behind), at);
        assert!(wal.history(behind.0).is_empty());
    }

    #[test]
    fn a_history_names_each_parent_and_where_it_was_left() {
        let (mut wal, at) = wal();
        let two = wal.promote(at, Timeline::FIRST.next(), NOW);
        let left = grown(&mut wal, two, 3..6);
        let three = wal.promote(left, Timeline::FIRST.next().next(), NOW);
        assert_eq!(wal.history(three.0), [(Timeline::FIRST, at.1), (Timeline::FIRST.next(), left.1)]);
        assert_eq!(wal.on_timeline(Timeline::FIRST, three), Some(at));
        assert_eq!(wal.canonical(three), left);
    }

    #[test]
    fn what_lies_behind_a_fork_is_no_part_of_the_new_branch() {
        let (mut wal, at) = wal();
        let two = wal.promote(at, Timeline::FIRST.next(), NOW);
        let old = grown(&mut wal, at, 3..4);
        let new = grown(&mut wal, two, 4..5);
        assert!(!wal.holds(new, 3) && wal.holds(new, 4) && wal.holds(old, 3));
        assert!(!wal.is_ancestor(old, new));
        assert_eq!(wal.fork(new, old), at);
    }
}
