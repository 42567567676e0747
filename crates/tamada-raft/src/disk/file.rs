//! Opening the file: everything is read and checked, and what cannot be trusted is refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database};

use super::folder::{self, Folder};
use super::medium::{Fault, Medium, Patience};
use super::seen::Seen;
use super::tables::{self, Kept};
use super::trouble::{Trouble, damaged, guarded};

/// The log is read from memory, so redb needs only what one commit touches.
const CACHE: usize = 512 * 1024;

/// A file that has grown larger is made as small as possible when it is opened. redb does not do it by itself; it uses the
/// room again.
const LARGE: u64 = 16 * 1024 * 1024;

pub(super) struct Opened {
    pub folder: Folder,
    pub database: Database,
    /// The number of the last commit.
    pub last: u64,
    pub seen: Seen,
    pub kept: Kept,
}

pub(super) fn open(path: &Path, patience: Arc<Patience>, fault: Option<Arc<dyn Fault>>) -> Result<Opened, String> {
    let opened = guarded(|| {
        let folder = Folder::take(path)?;
        if !fs::exists(folder.store())? {
            give_birth(&folder, fault.clone())?;
        }
        let medium = medium(&folder.store(), Arc::clone(&patience), fault)?;
        let opened = read(folder, medium)?;
        patience.begin();
        Ok(opened)
    });
    opened.map_err(|trouble| trouble.sentence(path))
}

/// A new store is made under another name, so that a crash in the middle leaves nothing that looks like a damaged one.
fn give_birth(folder: &Folder, fault: Option<Arc<dyn Fault>>) -> Result<(), Trouble> {
    folder::remove_if_there(&folder.unborn_store())?;
    folder::remove_if_there(&folder.seen())?;
    let database = builder().create_with_backend(medium(&folder.unborn_store(), Arc::default(), fault)?)?;
    tables::begin(&database)?;
    database.close()?;
    fs::rename(folder.unborn_store(), folder.store())?;
    folder.sync()?;
    Ok(())
}

fn medium(path: &Path, patience: Arc<Patience>, fault: Option<Arc<dyn Fault>>) -> Result<Medium, Trouble> {
    let file = FileBackend::new(folder::open_file(path)?)?;
    Ok(Medium { file, patience, fault })
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    // The file is small, and every page of it is read now anyway.
    builder.set_check_integrity_on_open(true);
    builder
}

fn read(folder: Folder, medium: Medium) -> Result<Opened, Trouble> {
    if fs::metadata(folder.store())?.len() == 0 {
        return Err(damaged("it is empty"));
    }
    let mut database = builder().create_with_backend(medium)?;
    tables::check_format(&database)?;
    if fs::metadata(folder.store())?.len() > LARGE {
        database.compact().map_err(damaged)?;
    }
    let seen = Seen::open(&folder.seen())?;
    let last = tables::last_commit(&database)?;
    if let Some(promised) = seen.last().filter(|promised| *promised > last) {
        let lost = promised - last;
        return Err(damaged(format_args!("the last {lost} writes of {promised} are missing")));
    }
    let kept = tables::load(&database)?;
    Ok(Opened { folder, database, last, seen, kept })
}
