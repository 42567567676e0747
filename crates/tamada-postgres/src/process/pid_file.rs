//! `postmaster.pid`: what a running server leaves in its data directory about itself.

use std::fs;
use std::path::{Path, PathBuf};

use tamada_model::Wall;

use super::postmaster::is_postmaster;
use super::table;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub pid: i32,
    /// The server runs in single-user mode (a negative pid in the file).
    pub single_user: bool,
    pub data_dir: PathBuf,
    pub started: Wall,
    pub port: Option<u16>,
    pub socket_dir: Option<PathBuf>,
    /// System V shared memory segment, whose users must be gone before the next start.
    pub shared_memory: Option<i32>,
    pub status: Status,
}

/// What the server says about its readiness, in the file's last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ready,
    /// Up, but accepts no connections as a standby without `hot_standby`.
    Standby,
    Starting,
    Stopping,
    /// Not written yet.
    Unsaid,
}

pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("postmaster.pid")
}

pub(crate) fn read(data_dir: &Path) -> Option<PidFile> {
    parse(&fs::read_to_string(path(data_dir)).ok()?)
}

impl PidFile {
    /// With the data directory as the kernel names it: without links.
    pub fn resolved(self) -> Self {
        let data_dir = fs::canonicalize(&self.data_dir).unwrap_or(self.data_dir);
        Self { data_dir, ..self }
    }
}

/// The process that a stale pid file names, if there is one of that number which is no server of ours: a stranger, or a
/// dead postmaster that its parent has not collected yet. PostgreSQL takes either for a running server unless it is
/// told not to (`PG_GRANDPARENT_PID`).
pub(crate) fn left_behind(data_dir: &Path, program_name: &str) -> Option<i32> {
    let file = read(data_dir)?;
    let exists = table::stat(file.pid).is_some();
    (exists && !is_postmaster(&file, data_dir, program_name)).then_some(file.pid)
}

fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines().map(str::trim);
    let pid: i32 = lines.next()?.parse().ok()?;
    let data_dir = PathBuf::from(lines.next()?);
    let started: i64 = lines.next()?.parse().ok()?;
    let port = lines.next().and_then(|line| line.parse().ok());
    let socket_dir = lines.next().filter(|line| !line.is_empty()).map(PathBuf::from);
    let _listen_address = lines.next();
    let shared_memory = lines.next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let status = match lines.next() {
        Some("ready") => Status::Ready,
        Some("standby") => Status::Standby,
        Some("starting") => Status::Starting,
        Some("stopping") => Status::Stopping,
        Some(_) | None => Status::Unsaid,
    };
    Some(PidFile {
        pid: pid.abs(),
        single_user: pid < 0,
        data_dir,
        started: Wall::from_micros(started.saturating_mul(1_000_000)),
        port,
        socket_dir,
        shared_memory,
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_meaning() {
        let file = parse("4242\n/data\n1700000000\n5433\n/run/pg\n*\n  5432001     65538\nready   \n").unwrap();
        assert_eq!(file.pid, 4242);
        assert_eq!(file.started, Wall::from_micros(1_700_000_000_000_000));
        assert_eq!(file.port, Some(5433));
        assert_eq!(file.shared_memory, Some(65538));
        assert_eq!(file.status, Status::Ready);
    }

    #[test]
    fn a_young_file_is_short() {
        let file = parse("-17\n/data\n1700000000\n").unwrap();
        assert!(file.single_user);
        assert_eq!((file.pid, file.port, file.status), (17, None, Status::Unsaid));
        assert!(parse("\n").is_none());
    }
}
