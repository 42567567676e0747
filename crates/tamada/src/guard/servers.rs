//! The processes of one PostgreSQL: everything that works in its data directory and is PostgreSQL.
//!
//! The agent might have told the guard a process id instead. But then:
//!
//! 1. The agent starts a postmaster, and is killed before it has told its id.
//! 2. Or the postmaster is killed: its backends live on, each a group of its own, and go on committing.
//! 3. Or it is frozen, and the agent starts to recover what it takes for dead.
//!
//! What works in the directory can be asked of the kernel at the very moment, without a disk that may hang, and without
//! an id that may be old. Every server process has changed into the data directory and stays there.
//!
//! Nothing here allocates after [`Servers::new`].

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom, open, readlinkat_raw, seek};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::process::{ProcPath, stat};

pub struct Servers {
    whose: Whose,
    processes: OwnedFd,
    entries: Box<[MaybeUninit<u8>]>,
}

struct Whose {
    data_dir: Box<[u8]>,
    program: Box<[u8]>,
}

/// Who is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    /// Those without a parent among them; they tell their children.
    Postmasters,
    Everybody,
}

/// Whom a signal has reached.
#[derive(Debug, Default)]
pub struct Told {
    pub count: u32,
    /// One of them, to be waited for.
    pub first: Option<OwnedFd>,
}

impl Servers {
    /// `data_dir` without links, `program` as the agent calls its postgres.
    pub fn new(data_dir: &Path, program: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            whose: Whose { data_dir: data_dir.as_os_str().as_bytes().into(), program: program.as_bytes().into() },
            processes: open("/proc", flags, Mode::empty())?,
            entries: Box::new_uninit_slice(8192),
        })
    }

    /// How many there are.
    pub fn count(&mut self) -> u32 {
        let mut count = 0;
        self.each(|_, _| count += 1);
        count
    }

    pub fn tell(&mut self, whom: Whom, signal: Signal) -> Told {
        let mut told = Told::default();
        self.each(|whose, pid| {
            let is_meant = match whom {
                Whom::Everybody => true,
                Whom::Postmasters => !stat(pid).is_some_and(|stat| whose.is_server(stat.parent)),
            };
            let Some(process) = Pid::from_raw(pid).filter(|_| is_meant) else { return };
            let Ok(process) = pidfd_open(process, PidfdFlags::NONBLOCK) else { return };
            // The number may have changed hands before we held it.
            if whose.is_server(pid) && pidfd_send_signal(&process, signal).is_ok() {
                told.count += 1;
                told.first.get_or_insert(process);
            }
        });
        told
    }

    fn each(&mut self, mut act: impl FnMut(&Whose, i32)) {
        if seek(&self.processes, SeekFrom::Start(0)).is_err() {
            return;
        }
        let mut entries = RawDir::new(&self.processes, &mut self.entries);
        while let Some(Ok(entry)) = entries.next() {
            let pid = entry.file_name().to_str().ok().and_then(|name| name.parse::<i32>().ok());
            if let Some(pid) = pid.filter(|pid| self.whose.is_server(*pid)) {
                act(&self.whose, pid);
            }
        }
    }
}

impl Whose {
    /// One that has ended works nowhere, even if its parent has not collected it yet.
    fn is_server(&self, pid: i32) -> bool {
        self.works_in_data_dir(pid) && self.is_postgres(pid)
    }

    fn works_in_data_dir(&self, pid: i32) -> bool {
        with_link(pid, "cwd", |directory| directory == &*self.data_dir)
    }

    /// By the name of its program, as a package or the configuration calls it. An operator's shell in the data directory
    /// is none of ours.
    fn is_postgres(&self, pid: i32) -> bool {
        with_link(pid, "exe", |path| {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let contains = |word: &[u8]| name.windows(word.len()).any(|part| part == word);
            contains(b"postgres") || contains(b"postmaster") || (!self.program.is_empty() && contains(&self.program))
        })
    }
}

/// Where the link points, without what the kernel adds when that is gone: a program that an upgrade has replaced, or a
/// directory that somebody removed.
fn with_link(pid: i32, what: &str, judge: impl FnOnce(&[u8]) -> bool) -> bool {
    let mut target = [MaybeUninit::<u8>::uninit(); 4096];
    match readlinkat_raw(CWD, ProcPath::new(pid, what).as_c_str(), &mut target[..]) {
        Ok((target, _)) => judge(target.strip_suffix(b" (deleted)").unwrap_or(target)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::guard::counting;

    /// A program of this name that works there and waits.
    fn worker(base: &Path, name: &str, directory: &Path) -> Child {
        let program = base.join(name);
        let copied = Command::new("cp").arg("/bin/sleep").arg(&program).status();
        assert!(copied.expect("cp belongs to every system").success());
        Command::new(program).arg("600").current_dir(directory).stdin(Stdio::null()).spawn().expect("it was copied")
    }

    #[test]
    fn who_is_postgres_and_works_in_the_directory_is_found_and_nobody_else() {
        let base = std::env::temp_dir().join(format!("tamada-servers-{}", std::process::id()));
        let data = base.join("data");
        std::fs::create_dir_all(&data).unwrap();
        let (base, data) = (base.canonicalize().unwrap(), data.canonicalize().unwrap());
        let mut server = worker(&base, "postgres", &data);
        let mut elsewhere = worker(&base, "postgres-2", &base);
        let mut shell = worker(&base, "bash", &data);
        let mut renamed = worker(&base, "our_pg", &data);

        let mut servers = Servers::new(&data, OsStr::new("our_pg")).unwrap();
        // Between fork and exec it is still us.
        while servers.count() < 2 {
            std::thread::yield_now();
        }
        let before = counting::allocations();
        assert_eq!(servers.count(), 2);
        assert_eq!(counting::allocations(), before, "looking allocates nothing");
        std::fs::remove_file(base.join("postgres")).unwrap();
        assert_eq!(servers.count(), 2, "also when its program was replaced");

        let before = counting::allocations();
        let told = servers.tell(Whom::Postmasters, Signal::QUIT);
        assert_eq!((told.count, told.first.is_some()), (2, true));
        assert_eq!(counting::allocations(), before, "nor does telling");
        for told in [&mut server, &mut renamed] {
            assert_eq!(told.wait().unwrap().signal(), Some(libc::SIGQUIT));
        }
        assert_eq!(servers.tell(Whom::Everybody, Signal::KILL).count, 0);
        for other in [&mut elsewhere, &mut shell] {
            assert!(other.try_wait().unwrap().is_none(), "it is none of ours");
            other.kill().unwrap();
            other.wait().unwrap();
        }
        std::fs::remove_dir_all(&base).unwrap();
    }
}
