//! Where the page lies: one file per data directory, on a file system in memory, so that no disk that hangs can stop the
//! guard from reading it. Agent, guard and the next agent must find the same file, whatever their environment says.

use std::fs::{self, File};
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{Timespec, poll};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, fstatfs};
use rustix::io::Errno;

use super::board;

/// The first that can be used. The last is a disk on most systems, and better than nothing.
const FOLDERS: [&str; 3] = ["/dev/shm", "/run/postgresql", "/tmp"];

pub struct Place {
    pub file: File,
    pub path: PathBuf,
    pub medium: Medium,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    Memory,
    Disk,
}

/// Opens the file, and makes it if need be. Held open, it is not removed.
pub fn open(data_dir: &Path) -> io::Result<Place> {
    let mut failure = io::Error::other("there is no folder for it");
    for folder in FOLDERS.map(Path::new).into_iter().filter(|folder| folder.is_dir()) {
        let path = folder.join(name(data_dir, board::VERSION));
        match open_there(&path) {
            Ok(file) => {
                let medium = medium(&file)?;
                return Ok(Place { file, path, medium });
            }
            Err(error) => failure = io::Error::new(error.kind(), format!("{}: {error}", path.display())),
        }
    }
    Err(failure)
}

/// Files that versions of us use, or used, for this data directory.
pub fn of_any_version(data_dir: &Path) -> Vec<PathBuf> {
    let ours = name(data_dir, board::VERSION);
    let any = ours.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let entries = FOLDERS.into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(any)).map(|entry| entry.path()).collect()
}

pub fn of_other_versions(data_dir: &Path) -> Vec<PathBuf> {
    let ours = name(data_dir, board::VERSION);
    let mut files = of_any_version(data_dir);
    files.retain(|file| file.file_name().is_some_and(|name| name != ours.as_str()));
    files
}

/// `None`: nobody has made it, or it cannot be ours.
pub fn open_present(path: &Path) -> Option<File> {
    let file = options().open(path).ok()?;
    let whole = file.metadata().is_ok_and(|about| about.len() >= board::BYTES as u64);
    (whole && is_ours(&file).is_ok()).then_some(file)
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}

/// Whoever removes the file locks it against everybody before (see [`remove_unless_used`]), so one that we hold locked and
/// that still has a name keeps it.
fn open_there(path: &Path) -> io::Result<File> {
    for _ in 0..100 {
        let file = options().create(true).truncate(false).mode(0o600).open(path)?;
        is_ours(&file)?;
        make_room(&file)?;
        let locked = flock(&file, FlockOperation::NonBlockingLockShared);
        if locked.is_ok() && file.metadata()?.nlink() == 1 {
            return Ok(file);
        }
        // It is about to be gone.
        let _ = poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 }));
    }
    Err(io::Error::other("somebody else holds it"))
}

/// Writing to a page for which there is no memory ends the process; so it is asked for before, and may be refused.
fn make_room(file: &File) -> io::Result<()> {
    let room = board::BYTES as u64;
    match fallocate(file, FallocateFlags::empty(), 0, room) {
        Err(Errno::OPNOTSUPP) => file.set_len(room),
        made => Ok(made?),
    }
}

/// In a folder where everybody may write, somebody may have been there before us.
fn is_ours(file: &File) -> io::Result<()> {
    let about = file.metadata()?;
    let me = rustix::process::geteuid().as_raw();
    if about.is_file() && about.uid() == me && about.mode() & 0o077 == 0 {
        return Ok(());
    }
    let (owner, mode) = (about.uid(), about.mode() & 0o7777);
    Err(io::Error::other(format!("belongs to user {owner} with mode {mode:o}, and not to us alone")))
}

fn medium(file: &File) -> io::Result<Medium> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    // The kernel's numbers have 32 bits; how wide and signed the field is differs.
    let kind = fstatfs(file)?.f_type as u64 & 0xffff_ffff;
    Ok(if kind == TMPFS || kind == RAMFS { Medium::Memory } else { Medium::Disk })
}

/// For a guard that goes: the next agent may just have opened the file, and must then find it where it is.
pub fn remove_unless_used(file: &File, path: &Path) {
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        // One that is gone already, or cannot be removed, does no harm.
        let _ = rustix::fs::unlink(path);
    }
}

/// By the place on the disk, whatever links lead to it.
fn name(data_dir: &Path, version: u64) -> String {
    let real = resolve(data_dir);
    let parent = real.parent().and_then(|parent| fs::metadata(parent).ok());
    let (device, inode) = parent.map_or((0, 0), |parent| (parent.dev(), parent.ino()));
    let mut sum = Fnv::default();
    sum.write(real.file_name().unwrap_or_default().as_encoded_bytes());
    format!("tamada-guard-{device:x}-{inode:x}-{:016x}.v{version}", sum.finish())
}

/// Without links, also where the directory itself is not there yet.
pub fn resolve(path: &Path) -> PathBuf {
    resolve_links(path, 16)
}

fn resolve_links(path: &Path, most: u32) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    match fs::read_link(path) {
        Ok(target) if most > 0 => resolve_links(&parent.join(target), most - 1),
        Ok(_) | Err(_) => match (fs::canonicalize(parent), path.file_name()) {
            (Ok(parent), Some(name)) => parent.join(name),
            (_, _) => path.to_owned(),
        },
    }
}

/// FNV-1a: the standard library's may differ from one release to the next, and two of them must agree here.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tamada-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder.canonicalize().unwrap()
    }

    #[test]
    fn one_file_for_one_directory_by_whatever_path_and_also_before_it_exists() {
        let base = folder("guard-names");
        symlink(base.join("data"), base.join("link")).unwrap();
        let before = name(&base.join("data"), 1);
        assert_eq!((name(&base.join("link"), 1), resolve(&base.join("link"))), (before.clone(), base.join("data")));
        fs::create_dir(base.join("data")).unwrap();
        assert_eq!(name(&base.join("link"), 1), before);
        assert_ne!(name(&base.join("other"), 1), before);
        assert_ne!(name(&base.join("data"), 2), before);
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_file_of_somebody_else_or_behind_a_link_is_refused() {
        let base = folder("guard-files");
        let path = base.join("page");
        open_there(&path).expect("the folder is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(open_there(&path).is_err());
        fs::remove_file(&path).unwrap();
        symlink(base.join("elsewhere"), &path).unwrap();
        assert!(open_there(&path).is_err() && !base.join("elsewhere").exists());
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_file_in_use_is_not_removed() {
        let base = folder("guard-use");
        let path = base.join("page");
        let (first, second) = (open_there(&path).unwrap(), open_there(&path).unwrap());
        remove_unless_used(&first, &path);
        assert!(path.exists(), "the second holds it");
        drop(first);
        remove_unless_used(&second, &path);
        assert!(!path.exists());
        fs::remove_dir_all(&base).unwrap();
    }
}
