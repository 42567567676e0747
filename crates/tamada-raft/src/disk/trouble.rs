//! What can be wrong with a disk, and what the operator is told.

use std::any::Any;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

use super::folder::Taken;
use super::medium::is_want_of_room;

/// Sorted by what the operator does about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("another process uses it")]
    InUse,
    #[error("it was written by a newer version")]
    Newer { found: u64, known: u64 },
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("{0}")]
    Io(io::Error),
}

impl Trouble {
    /// One sentence that says what is wrong and what to do.
    pub(super) fn sentence(&self, folder: &Path) -> String {
        let dir = folder.display();
        let file = folder.join("store.redb");
        let file = file.display();
        match self {
            Self::InUse => format!("another process uses {dir}: stop it, or give this node a raft.data_dir of its own"),
            Self::Newer { found, known } => format!(
                "{file} was written by a newer version (format {found}, this one knows up to {known}): install that version"
            ),
            Self::Damaged(what) => format!(
                "{file} is damaged ({what}): stop this node, move {dir} away and start it: it comes back as a newcomer and \
                 copies the store from the others"
            ),
            Self::Io(error) if is_want_of_room(error) => {
                format!("no room on the disk of {dir}: make some and start again")
            }
            Self::Io(error) => match error.kind() {
                ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotADirectory
                | ErrorKind::AlreadyExists => {
                    format!("{dir} cannot be used ({error}): it must be a directory that this user may write to")
                }
                _ => format!("{file} cannot be read or written ({error}): look after the disk, then start again"),
            },
        }
    }
}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Io(error) => error,
            Trouble::Damaged(_) => Self::new(ErrorKind::InvalidData, trouble.to_string()),
            Trouble::InUse | Trouble::Newer { .. } => Self::other(trouble.to_string()),
        }
    }
}

pub(super) fn damaged(what: impl Display) -> Trouble {
    Trouble::Damaged(what.to_string())
}

/// For whoever still asks after [`super::Disk::close`].
pub(super) fn closed() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the store is closed")
}

/// redb may panic on a file that is not as it wrote it. For us that is damage like any other.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(damaged(what_panicked(&*panic))))
}

fn what_panicked(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it cannot be made sense of")
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => damaged(error),
            _ => Self::Io(error),
        }
    }
}

impl From<Taken> for Trouble {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::ByAnother => Self::InUse,
            Taken::Io(error) => Self::Io(error),
        }
    }
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => error.into(),
            StorageError::Corrupted(what) => Self::Damaged(what),
            StorageError::PreviousIo | StorageError::DatabaseClosed => Self::Io(closed()),
            other => damaged(other),
        }
    }
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::InUse,
            DatabaseError::Storage(error) => error.into(),
            other => damaged(other),
        }
    }
}

impl From<TransactionError> for Trouble {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => damaged(other),
        }
    }
}

impl From<TableError> for Trouble {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            other => damaged(other),
        }
    }
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => damaged(other),
        }
    }
}
