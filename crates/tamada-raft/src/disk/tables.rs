//! What is in the file: four tables, and the changes they undergo.

use bytes::Bytes;
use redb::{Database, ReadTransaction, ReadableDatabase, Table, TableDefinition, WriteTransaction};

use super::FORMAT;
use super::identity::Identity;
use super::trouble::{Trouble, damaged};
use crate::codec::{self, CodecError, RecordKind};

/// The format of the file and the number of the last commit. Never changes its own form, so that every version can read
/// which format the rest is in.
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const FORMAT_IS: &str = "format";
const COMMIT_IS: &str = "commit";

const ITEMS: TableDefinition<&str, &[u8]> = TableDefinition::new("items");
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// The first row is what the snapshot says about itself, the rows after it are its content, cut in pieces.
const SNAPSHOT: TableDefinition<u64, &[u8]> = TableDefinition::new("snapshot");

/// The newest form of single records that we know. The format of the file says what may be in it at all.
const RECORD_FORMAT: u8 = 1;

/// Just below 64 KiB: redb gives a value that does not fit a page the next power of two.
const PIECE: usize = 60 * 1024;

/// What there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Identity,
    Vote,
    /// Up to where the log is known to be committed.
    Committed,
    /// Up to where the log was thrown away.
    Purged,
}

/// One step of what is written. Steps that are written together are all there after a crash, or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Keep(Item, Bytes),
    /// To the end of the log, or over what stands there.
    Append {
        first: u64,
        records: Vec<Bytes>,
    },
    /// The records from this one on are wrong.
    Truncate {
        from: u64,
    },
    /// The records up to and with this one are not needed any more.
    Purge {
        upto: u64,
    },
    /// The content comes and goes in an envelope of its own.
    Snapshot {
        about: Bytes,
        content: Bytes,
    },
}

/// What was found when the file was opened.
pub(crate) struct Kept {
    pub identity: Identity,
    pub vote: Option<Bytes>,
    pub committed: Option<Bytes>,
    pub purged: Option<Bytes>,
    /// Without a gap.
    pub log: Vec<(u64, Bytes)>,
    /// What the snapshot says about itself, and its content.
    pub snapshot: Option<(Bytes, Bytes)>,
}

impl Change {
    /// About as much as it writes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Keep(_, bytes) => bytes.len(),
            Self::Append { records, .. } => records.iter().map(Bytes::len).sum(),
            Self::Truncate { .. } | Self::Purge { .. } => 0,
            Self::Snapshot { about, content } => about.len() + content.len(),
        }
    }
}

impl Item {
    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Vote => "vote",
            Self::Committed => "committed",
            Self::Purged => "purged",
        }
    }

    fn kind(self) -> RecordKind {
        match self {
            Self::Identity => RecordKind::Identity,
            Self::Vote => RecordKind::Vote,
            Self::Committed | Self::Purged => RecordKind::Position,
        }
    }
}

fn seal(kind: RecordKind, body: &[u8]) -> Vec<u8> {
    codec::seal(kind, RECORD_FORMAT, body)
}

fn open(kind: RecordKind, sealed: &[u8]) -> Result<Bytes, Trouble> {
    match codec::open(kind, RECORD_FORMAT, sealed) {
        Ok((_, body)) => Ok(Bytes::copy_from_slice(body)),
        Err(CodecError::Newer { format, known }) => Err(Trouble::Newer { found: format.into(), known: known.into() }),
        Err(error) => Err(damaged(error)),
    }
}

/// Makes an empty file the store of a new node.
pub(super) fn begin(database: &Database) -> Result<(), Trouble> {
    let transaction = database.begin_write()?;
    transaction.open_table(NUMBERS)?.insert(FORMAT_IS, FORMAT)?;
    transaction.open_table(LOG)?;
    transaction.open_table(SNAPSHOT)?;
    change(&transaction, &Change::Keep(Item::Identity, Identity::drawn().encode()))?;
    number(&transaction, 1)?;
    transaction.commit()?;
    Ok(())
}

/// Whether this version can read what is there.
pub(super) fn check_format(database: &Database) -> Result<(), Trouble> {
    match numbered(database, FORMAT_IS)? {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(Trouble::Newer { found, known: FORMAT }),
        Some(other) => Err(damaged(format_args!("there is no format {other}"))),
        None => Err(damaged("it does not say its format")),
    }
}

/// The number of the last commit.
pub(super) fn last_commit(database: &Database) -> Result<u64, Trouble> {
    numbered(database, COMMIT_IS)?.ok_or_else(|| damaged("it does not number its commits"))
}

fn numbered(database: &Database, name: &str) -> Result<Option<u64>, Trouble> {
    let table = database.begin_read()?.open_table(NUMBERS)?;
    Ok(table.get(name)?.map(|number| number.value()))
}

/// Numbers the commit that this transaction will be.
pub(super) fn number(transaction: &WriteTransaction, commit: u64) -> Result<(), Trouble> {
    transaction.open_table(NUMBERS)?.insert(COMMIT_IS, commit)?;
    Ok(())
}

/// Reads everything, so that damage is found now.
pub(super) fn load(database: &Database) -> Result<Kept, Trouble> {
    let transaction = database.begin_read()?;
    let item = |item| item_in(&transaction, item);
    let identity = item(Item::Identity)?.ok_or_else(|| damaged("it does not say whose it is"))?;
    let kept = Kept {
        identity: Identity::decode(&identity).map_err(damaged)?,
        vote: item(Item::Vote)?,
        committed: item(Item::Committed)?,
        purged: item(Item::Purged)?,
        log: log(database, 0, u64::MAX)?,
        snapshot: snapshot(database)?,
    };
    without_gap(&kept.log)?;
    Ok(kept)
}

fn item_in(transaction: &ReadTransaction, item: Item) -> Result<Option<Bytes>, Trouble> {
    let table = transaction.open_table(ITEMS)?;
    let sealed = table.get(item.name())?;
    sealed.map(|sealed| open(item.kind(), sealed.value())).transpose()
}

fn without_gap(log: &[(u64, Bytes)]) -> Result<(), Trouble> {
    match log.windows(2).find(|pair| pair[0].0 + 1 != pair[1].0) {
        None => Ok(()),
        Some(pair) => Err(damaged(format_args!("after record {} of the log comes {}", pair[0].0, pair[1].0))),
    }
}

pub(super) fn log(database: &Database, from: u64, to: u64) -> Result<Vec<(u64, Bytes)>, Trouble> {
    let table = database.begin_read()?.open_table(LOG)?;
    let rows = table.range(from..to)?;
    rows.map(|row| {
        let (index, sealed) = row?;
        Ok((index.value(), open(RecordKind::Entry, sealed.value())?))
    })
    .collect()
}

pub(super) fn snapshot(database: &Database) -> Result<Option<(Bytes, Bytes)>, Trouble> {
    let table = database.begin_read()?.open_table(SNAPSHOT)?;
    let mut rows = table.range::<u64>(..)?;
    let Some(about) = rows.next() else { return Ok(None) };
    let about = open(RecordKind::SnapshotAbout, about?.1.value())?;
    let mut content = Vec::new();
    for row in rows {
        content.extend_from_slice(row?.1.value());
    }
    Ok(Some((about, content.into())))
}

/// Does one change within a transaction.
pub(super) fn change(transaction: &WriteTransaction, change: &Change) -> Result<(), Trouble> {
    match change {
        Change::Keep(item, bytes) => {
            transaction.open_table(ITEMS)?.insert(item.name(), &*seal(item.kind(), bytes))?;
        }
        Change::Append { first, records } => {
            let mut log = transaction.open_table(LOG)?;
            for (index, bytes) in (*first..).zip(records) {
                log.insert(index, &*seal(RecordKind::Entry, bytes))?;
            }
        }
        Change::Truncate { from } => transaction.open_table(LOG)?.retain_in(*from.., |_, _| false)?,
        Change::Purge { upto } => transaction.open_table(LOG)?.retain_in(..=*upto, |_, _| false)?,
        Change::Snapshot { about, content } => replace_snapshot(transaction.open_table(SNAPSHOT)?, about, content)?,
    }
    Ok(())
}

fn replace_snapshot(mut table: Table<'_, u64, &[u8]>, about: &[u8], content: &[u8]) -> Result<(), Trouble> {
    table.retain(|_, _| false)?;
    table.insert(0, &*seal(RecordKind::SnapshotAbout, about))?;
    for (row, piece) in (1..).zip(content.chunks(PIECE)) {
        table.insert(row, piece)?;
    }
    Ok(())
}

/// A version to come.
#[cfg(test)]
pub(super) fn declare_format(database: &Database, format: u64) -> Result<(), Trouble> {
    let transaction = database.begin_write()?;
    transaction.open_table(NUMBERS)?.insert(FORMAT_IS, format)?;
    transaction.commit()?;
    Ok(())
}
