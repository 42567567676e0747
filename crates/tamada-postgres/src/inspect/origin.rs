//! What a timeline began with.
//!
//! Two members may be promoted at the very same place, to timelines of the same number, and their history files say the
//! same. But the first record that each writes has its own time in it, and with it another checksum.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use tamada_model::{Lsn, Origin, Timeline};

use super::{history, last_wal};

/// XLOG_BLCKSZ, unless PostgreSQL was built otherwise; then nothing is found.
const PAGE: u64 = 8192;
/// A page begins with its header; that of a segment's first page is longer.
const PAGE_HEADER: u64 = 24;
const SEGMENT_HEADER: u64 = 40;
/// Length, transaction, place of the record before, kind, checksum.
const RECORD_HEADER: usize = 24;

/// `None` where the record is not there, or lies across two pages.
pub(crate) fn read(data_dir: &Path, timeline: Timeline, segment_size: u64) -> Option<Origin> {
    let file = history::read(data_dir, timeline)?;
    let (_, begun) = history::parents_in(&file.lines).pop()?;
    let offset = first_record(begun, segment_size)?;
    let place = last_wal::Place::at(begun, segment_size)?;
    let mut wal = File::open(last_wal::path(data_dir, timeline, place)).ok()?;
    wal.seek(SeekFrom::Start(offset)).ok()?;
    let mut header = [0; RECORD_HEADER];
    wal.read_exact(&mut header).ok()?;
    checksum(&header, begun).map(|checksum| Origin { timeline, checksum })
}

/// Where in the segment the first record behind that place is.
fn first_record(begun: Lsn, segment_size: u64) -> Option<u64> {
    let at = begun.bytes().next_multiple_of(8) % segment_size;
    let at = match (at, at % PAGE) {
        (0, _) => SEGMENT_HEADER,
        (_, 0) => at + PAGE_HEADER,
        (_, _) => at,
    };
    (at % PAGE + RECORD_HEADER as u64 <= PAGE).then_some(at)
}

/// What is left from another use of the file points elsewhere.
fn checksum(header: &[u8; RECORD_HEADER], begun: Lsn) -> Option<u32> {
    let number = |from: usize| u32::from_ne_bytes(std::array::from_fn(|at| header[from + at]));
    let before = u64::from_ne_bytes(std::array::from_fn(|at| header[8 + at]));
    let length = number(0) as usize;
    (length >= RECORD_HEADER && (1..begun.bytes()).contains(&before)).then(|| number(20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_with_its_header() {
        let size = 16 << 20;
        for (begun, found) in
            [(0x152_D680, Some(0x52_D680)), (0x100_0000, Some(40)), (0x150_2000, Some(0x50_2018)), (0x150_1FF0, None)]
        {
            assert_eq!(first_record(Lsn::new(begun), size), found, "{begun:x}");
        }
    }

    #[test]
    fn an_empty_place_has_no_record() {
        let mut header = [0; RECORD_HEADER];
        assert_eq!(checksum(&header, Lsn::new(0x152_D680)), None);
        header[0] = 42;
        header[8] = 1;
        header[20] = 7;
        assert_eq!(checksum(&header, Lsn::new(0x152_D680)), Some(7));
    }
}
