//! The folder: who may read it, and that only one process uses it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

const STORE: &str = "store.redb";
const SEEN: &str = "store.seen";

const OURS_ALONE: u32 = 0o700;
const OUR_FILE: u32 = 0o600;

pub(super) struct Folder {
    path: PathBuf,
    /// Locked until it is closed, which is when this goes.
    handle: File,
}

impl Folder {
    /// Makes the folder if need be, and takes it for this process.
    pub(super) fn take(path: &Path) -> Result<Self, Taken> {
        DirBuilder::new().recursive(true).mode(OURS_ALONE).create(path)?;
        let handle = File::open(path)?;
        match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Taken::ByAnother),
            // A file system that cannot lock folders. The file itself is locked as well.
            Err(_) => {}
        }
        Ok(Self { path: path.to_owned(), handle })
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// Where a new store is made ready, before it is given its name.
    pub(super) fn unborn_store(&self) -> PathBuf {
        self.path.join("store.redb.new")
    }

    pub(super) fn seen(&self) -> PathBuf {
        self.path.join(SEEN)
    }

    /// That a file has its name is safe only when the folder is synced, too.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

/// How much room the files take.
pub(super) fn bytes(folder: &Path) -> u64 {
    let length = |name| fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    length(STORE) + length(SEEN)
}

pub(super) enum Taken {
    ByAnother,
    Io(io::Error),
}

impl From<io::Error> for Taken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// For reading and writing by us alone; made if it is not there.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(OUR_FILE).open(path)
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
