//! How we know that the file is not older than it should be.
//!
//! redb writes a commit in one go and syncs once. After a crash it finds out by checksums whether the last commit is
//! whole, and if not, goes back to the one before. That is right for a commit that nobody was told about, and it cannot
//! tell that from this:
//!
//! 1. A voter commits its vote, and tells the candidate.
//! 2. One bit of that commit rots, or somebody restores yesterday's copy of the file.
//! 3. After a crash the file opens without complaint, without the vote. The voter votes again, for somebody else.
//!
//! So each commit carries a number, and a second file, `store.seen`, holds the number of the last commit that was synced,
//! written after the sync and before anybody is told. A store that is behind it has lost something it has
//! promised. The second file is not synced itself, since that would double the time of every write: losing it in a power
//! cut loses the check, not the data. The idea we rejected is redb's commit in two phases, which is just that doubling.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::folder;

const NUMBER: usize = size_of::<u64>();
const WHOLE: usize = NUMBER + size_of::<u32>();

pub(super) struct Seen {
    file: File,
}

impl Seen {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: folder::open_file(path)? })
    }

    /// The number of the last commit that was synced; `None` if nothing says.
    pub(super) fn last(&self) -> Option<u64> {
        let mut bytes = [0; WHOLE];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        let (number, checksum) = bytes.split_at(NUMBER);
        let number: [u8; NUMBER] = number.try_into().ok()?;
        (crc32fast::hash(&number).to_le_bytes() == checksum).then_some(u64::from_le_bytes(number))
    }

    pub(super) fn note(&self, commit: u64) -> io::Result<()> {
        let number = commit.to_le_bytes();
        let checksum = crc32fast::hash(&number).to_le_bytes();
        self.file.write_all_at(&[&number[..], &checksum[..]].concat(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_and_what_is_damaged_says_nothing() {
        let path = std::env::temp_dir().join(format!("tamada-seen-{}", std::process::id()));
        let seen = Seen::open(&path).unwrap();
        assert_eq!(seen.last(), None);
        seen.note(7).unwrap();
        seen.note(8).unwrap();
        assert_eq!(Seen::open(&path).unwrap().last(), Some(8));
        seen.file.write_all_at(&[9], 0).unwrap();
        assert_eq!(seen.last(), None);
        folder::remove_if_there(&path).unwrap();
    }
}
