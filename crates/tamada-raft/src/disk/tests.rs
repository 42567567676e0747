//! What was confirmed is there: after a kill, a power cut, a full disk, a broken one; and what cannot be trusted is refused.

mod cuts;
mod faults;
mod flips;
mod kills;
mod refusals;
mod sizes;

use bytes::Bytes;

use super::{Change, Disk, Item, Kept};

/// A log of numbered entries with a vote, as the consensus would write it; and how much of it was confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Entries below this one.
    next: u64,
    vote: u64,
    /// Entries below this one are in the snapshot, and not in the log.
    snapshot: u64,
}

/// As long as an entry that renews something, and sometimes as long as a page.
fn entry(index: u64) -> Bytes {
    let length = if index.is_multiple_of(17) { 5_000 } else { 100 };
    Bytes::from(index.to_le_bytes().into_iter().cycle().take(length).collect::<Vec<u8>>())
}

fn snapshot(upto: u64) -> Bytes {
    Bytes::from(upto.to_le_bytes().into_iter().cycle().take(90_000).collect::<Vec<u8>>())
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

impl Progress {
    /// What the consensus would write next: mostly entries, sometimes a vote, sometimes a snapshot and then a purge.
    fn step(self, draw: u64) -> (Self, Vec<Change>) {
        match draw % 10 {
            0 => {
                let vote = self.vote + 1;
                (Self { vote, ..self }, vec![Change::Keep(Item::Vote, Bytes::copy_from_slice(&vote.to_le_bytes()))])
            }
            1 if self.next > self.snapshot + 20 => {
                let upto = self.next - 10;
                let about = Bytes::copy_from_slice(&upto.to_le_bytes());
                let written = Change::Snapshot { about, content: snapshot(upto) };
                (Self { snapshot: upto, ..self }, vec![written, Change::Purge { upto: upto - 1 }])
            }
            count => {
                let next = self.next + count;
                let records = (self.next..next).map(entry).collect();
                (Self { next, ..self }, vec![Change::Append { first: self.next, records }])
            }
        }
    }

    /// How far what was found has come. Panics if it is not what was written.
    fn found(kept: &Kept) -> Self {
        let snapshot_upto = kept.snapshot.as_ref().map_or(0, |(about, content)| {
            assert_eq!(*content, snapshot(number(about)));
            number(about)
        });
        kept.log.iter().for_each(|(index, record)| assert_eq!(*record, entry(*index)));
        assert!(kept.log.first().is_none_or(|(first, _)| *first == snapshot_upto), "a gap behind the snapshot");
        Self {
            next: kept.log.last().map_or(snapshot_upto, |(last, _)| last + 1),
            vote: kept.vote.as_deref().map_or(0, number),
            snapshot: snapshot_upto,
        }
    }

    /// Nothing that was confirmed is missing.
    fn is_not_behind(self, confirmed: Self) -> bool {
        self.next >= confirmed.next && self.vote >= confirmed.vote && self.snapshot >= confirmed.snapshot
    }
}

fn kept(disk: &Disk) -> Kept {
    disk.take_kept().unwrap()
}
