//! The consensus library, fitted to our disk, our keys and our links.
//!
//! The library decides who leads and what is committed. Ours is what it decides about: where the log lies (`log`), what
//! its entries do (`machine`), how its messages look (`message`), how patient it is (`config`), and when a lease has run
//! out (`leases`). Its weak spots, and what we do about each, are in docs/decisions/0005.
//!
//! ```text
//!   propose ──► Raft ──► LogStore ──► Disk        acknowledged when it is synced
//!                │          └────── arrivals ──┐
//!                └─ committed ──► Machine ◄────┘  Keyspace, Leases, watches
//! ```
//!
//! How it is used: [`open`] the disk's log and machine, give both to `Raft::new` together with [`config::raft`] and a
//! network; keep a clone of the [`Machine`] to read, to watch and to judge leases by; write through [`Proposer`], which
//! puts into one entry whatever was asked while the last one was on its way.

#![allow(clippy::result_large_err, reason = "the library's errors are as they are, and rare")]

mod alone;
mod config;
mod entry;
mod horizon;
mod leases;
mod log;
mod machine;
pub(crate) mod message;
mod propose;
mod pulse;
mod runtime;
mod thrift;
mod watches;

use std::fmt;
use std::io;

use bytes::Bytes;
use openraft::{AnyError, LogId, StorageIOError};

use crate::disk::Disk;
use crate::{Command, Outcome};

pub(crate) use alone::{Alone, go_on_alone};
pub(crate) use config::{ELECTION, raft as raft_config};
pub(crate) use log::LogStore;
pub(crate) use machine::Machine;
pub(crate) use propose::{NotProposed, Proposer};
pub(crate) use pulse::{Backing, Canvass, Means, OwnBacking, Pulse};
pub(crate) use thrift::keep_small;

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Batch,
        R = Vec<Outcome>,
        NodeId = u64,
        Node = Place,
        SnapshotData = Bytes,
        AsyncRuntime = runtime::Runtime,
);

pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Place>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, Place>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, Place>;
type Entry = openraft::Entry<TypeConfig>;
type StorageError = openraft::StorageError<u64>;

/// What one entry of the log carries: commands that were on their way at the same time. Each gets an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch(pub Vec<Command>);

/// Where a node is found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// `host:port`.
    pub address: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// The log and the keys of this disk, as they were when the node stopped. The error is a sentence for the operator.
pub(crate) fn open(disk: &Disk) -> Result<(LogStore, Machine), String> {
    let kept = disk.take_kept().ok_or("the store of this disk is open already")?;
    let machine = Machine::open(disk, kept.snapshot.as_ref()).map_err(|error| disk.damaged(error))?;
    let log =
        LogStore::open(disk, machine.horizon(), machine.arrivals(), &kept).map_err(|error| disk.damaged(error))?;
    Ok((log, machine))
}

/// The library stops for good when it is told this: see `disk::medium` for the one error that it is not told.
fn unwritten(error: &io::Error) -> StorageError {
    StorageIOError::write_logs(AnyError::new(error)).into()
}

fn unread(error: &(impl std::error::Error + 'static)) -> StorageError {
    StorageIOError::read_logs(AnyError::new(error)).into()
}

/// `None` is before the first entry.
fn next_index(last: Option<LogId<u64>>) -> u64 {
    last.map_or(0, |last| last.index + 1)
}

#[cfg(test)]
mod tests;
