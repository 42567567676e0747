//! Guards of other versions of us: after an upgrade, or its reversal, one may be on duty that reads a page which we do not
//! write. It stays until our own has taken notice of the first word of our core, so that a primary is never unguarded;
//! then it must go, for it would stop PostgreSQL at an instant that nobody moves on any more.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, pidfd_send_signal};

use super::board::{Board, Kind};
use super::place;
use super::process::{Process, boot};

pub struct Stranger {
    path: PathBuf,
    process: Option<OwnedFd>,
}

impl Stranger {
    pub fn of_other_versions(data_dir: &Path) -> Vec<Self> {
        place::of_other_versions(data_dir).into_iter().filter_map(Self::find).collect()
    }

    pub fn find(path: PathBuf) -> Option<Self> {
        let file = place::open_present(&path)?;
        let board = Board::map(&file, boot()).ok()?;
        match board.kind() {
            Kind::Ours | Kind::OtherVersion(_) => {}
            Kind::Blank => return None,
        }
        Some(Self { path, process: board.office().and_then(Process::hold) })
    }

    pub fn end(self) {
        if let Some(process) = &self.process {
            tracing::info!("Ending the guard that a predecessor left at {}", self.path.display());
            // It may have gone by itself.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::guard::board::{BYTES, VERSION};

    #[test]
    fn a_guard_of_another_version_is_found_by_its_page_and_ended() {
        let data_dir = std::env::temp_dir().join(format!("tamada-stranger-{}", std::process::id()));
        let ours = place::open(&data_dir).unwrap();
        let path = ours.path.with_extension(format!("v{}", VERSION + 1));
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file.set_len(BYTES as u64).unwrap();
        let mut guard = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = guard.id().cast_signed();
        let board = Board::map(&file, boot()).unwrap();
        board.begin_as(VERSION + 1);
        board.take_office(Process { pid, started: crate::guard::process::stat(pid).unwrap().started });

        let found = Stranger::of_other_versions(&data_dir);
        assert_eq!(found.iter().map(|stranger| &stranger.path).collect::<Vec<_>>(), [&path]);
        assert!(guard.try_wait().unwrap().is_none(), "found is not ended");
        found.into_iter().for_each(Stranger::end);
        assert_eq!(guard.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert!(!path.exists() && ours.path.exists());
        place::remove_unless_used(&ours.file, &ours.path);
    }
}
