//! The envelope of what stands on a disk: what it is, in which format, and whether it is still what was written.
//!
//! ```text
//! kind: 1 byte │ format: 1 byte │ CRC-32 of kind, format and body: 4 bytes, low byte first │ body
//! ```
//!
//! This form never changes, so that any version can tell a newer record from a damaged one.

use super::CodecError;

const HEAD: usize = 6;

/// Keeps a record that strayed from being taken for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordKind {
    /// An entry of the log.
    Entry = 1,
    /// For whom this node voted.
    Vote = 2,
    /// The state at some point of the log.
    Snapshot = 3,
    /// Who this node is.
    Identity = 4,
    /// A place in the log.
    Position = 5,
    /// Which state a snapshot is of.
    SnapshotAbout = 6,
}

pub(crate) fn seal(kind: RecordKind, format: u8, body: &[u8]) -> Vec<u8> {
    let head = [kind as u8, format];
    let mut record = Vec::with_capacity(HEAD + body.len());
    record.extend_from_slice(&head);
    record.extend_from_slice(&checksum(head, body).to_le_bytes());
    record.extend_from_slice(body);
    record
}

/// The format and the body of a record of this kind, whose format must not be newer than the newest we know.
pub(crate) fn open(kind: RecordKind, known: u8, record: &[u8]) -> Result<(u8, &[u8]), CodecError> {
    let Some((&[kind_found, format, a, b, c, d], body)) = record.split_first_chunk::<HEAD>() else {
        return Err(CodecError::Damaged("its end is missing"));
    };
    if checksum([kind_found, format], body) != u32::from_le_bytes([a, b, c, d]) {
        return Err(CodecError::Damaged("its checksum does not match"));
    }
    if kind_found != kind as u8 {
        return Err(CodecError::Damaged("it is a record of another kind"));
    }
    if format > known {
        return Err(CodecError::Newer { format, known });
    }
    Ok((format, body))
}

fn checksum(head: [u8; 2], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(body);
    hasher.finalize()
}
