//! The last WAL of ours, byte for byte.
//!
//! Two members may be promoted at the very same place; their history files then say the same, although each wrote WAL of
//! its own from there on. What tells them apart is that WAL: the first record of a timeline has its time in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tamada_model::{Lsn, Timeline, WalBytes};

/// Enough to hold several records, and little to send.
const LENGTH: usize = 8 * 1024;

/// A stretch of one WAL segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub begins: usize,
    pub bytes: Vec<u8>,
}

/// The segment in which the last byte before `end` lies, and how much of it that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    number: u64,
    segment_size: u64,
    pub length: usize,
}

impl Place {
    pub(crate) fn before(end: Lsn, segment_size: u64) -> Option<Self> {
        let last = end.bytes().checked_sub(1).filter(|_| segment_size.is_power_of_two())?;
        let length = usize::try_from(last % segment_size + 1).ok()?;
        Some(Self { number: last / segment_size, segment_size, length })
    }

    /// Up to and with the byte at that place.
    pub(crate) fn at(place: Lsn, segment_size: u64) -> Option<Self> {
        Self::before(place + WalBytes::new(1), segment_size)
    }

    pub(crate) fn file_name(&self, timeline: Timeline) -> String {
        let in_each = (1 << 32) / self.segment_size;
        format!("{:08X}{:08X}{:08X}", timeline.number(), self.number / in_each, self.number % in_each)
    }
}

pub(crate) fn path(data_dir: &Path, timeline: Timeline, place: Place) -> PathBuf {
    data_dir.join("pg_wal").join(place.file_name(timeline))
}

/// The last bytes at this place that are not zero: behind a forced switch a segment is empty to its end.
pub(crate) fn read(data_dir: &Path, timeline: Timeline, place: Place) -> io::Result<Stretch> {
    let mut bytes = vec![0; place.length];
    File::open(path(data_dir, timeline, place))?.read_exact(&mut bytes)?;
    Ok(last_of(bytes))
}

fn last_of(mut bytes: Vec<u8>) -> Stretch {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    let begins = end.saturating_sub(LENGTH);
    Stretch { begins, bytes: bytes.split_off(begins) }
}

/// As `encode(…, 'hex')` shows it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 16 << 20;

    fn place(end: &str) -> Place {
        Place::before(Lsn::parse(end).unwrap(), SIZE).unwrap()
    }

    #[test]
    fn the_segment_is_that_of_the_last_byte() {
        let second = Timeline::FIRST.next();
        assert_eq!(place("0/152D680").file_name(second), "000000020000000000000001");
        assert_eq!(place("0/152D680").length, 0x52D680);
        assert_eq!(place("3/FF000001").file_name(second), "0000000200000003000000FF");
        let full = place("0/2000000");
        assert_eq!((full.file_name(second).as_str(), full.length), ("000000020000000000000001", SIZE as usize));
        assert_eq!(Place::before(Lsn::ZERO, SIZE), None);
    }

    #[test]
    fn zeros_at_the_end_say_nothing() {
        let mut bytes = vec![7; 3];
        bytes.resize(100, 0);
        assert_eq!(last_of(bytes), Stretch { begins: 0, bytes: vec![7; 3] });
        let long = last_of(vec![1; LENGTH + 5]);
        assert_eq!((long.begins, long.bytes.len()), (5, LENGTH));
        assert_eq!(hex(&[1, 0xAB]), "01ab");
    }
}
