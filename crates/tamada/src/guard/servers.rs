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
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::process::{ProcPath, stat};

pub struct Servers {
    whose: Whose,
    processes: OwnedFd,
    entries: Box<[MaybeUninit<u8>]>,
}

struct Whose {
    data_dir: Box<[u8]>,
    program: Box<[u8]>,
    /// Ours. A container on the same host may call another directory by the same name. `None`: the kernel knows no
    /// namespaces, so there is one.
    namespace: Option<Box<[u8]>>,
}

/// Who is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    /// Those without a parent among them; they tell their children.
    Postmasters,
    Everybody,
}

/// Whom a signal was meant for, and whom it has reached.
#[derive(Debug)]
pub struct Told {
    pub found: u32,
    pub reached: u32,
    /// One of them, to be waited for.
    pub first: Option<OwnedFd>,
    looked: Looked,
}

/// How much of `/proc` could be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Looked {
    Everywhere,
    InPart,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    Nothing,
    /// Somebody was there, or may be where we could not look.
    Perhaps,
}

/// What has become of a signal to one process.
enum Reached {
    Yes(Option<OwnedFd>),
    /// It is there and cannot be told.
    No,
    Gone,
}

impl Told {
    /// Whom nobody found because nobody could look may be there; so may whoever was found and not reached.
    pub fn left(&self) -> Left {
        match (self.looked, self.found) {
            (Looked::Everywhere, 0) => Left::Nothing,
            (Looked::Everywhere | Looked::InPart, _) => Left::Perhaps,
        }
    }
}

impl Servers {
    /// `data_dir` without links, `program` as the agent calls its postgres.
    pub fn new(data_dir: &Path, program: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            whose: Whose {
                data_dir: data_dir.as_os_str().as_bytes().into(),
                program: program.as_bytes().into(),
                namespace: own_namespace(),
            },
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
        let (mut found, mut reached, mut first) = (0, 0, None);
        let looked = self.each(|whose, pid| {
            let is_meant = match whom {
                Whom::Everybody => true,
                Whom::Postmasters => !stat(pid).is_some_and(|stat| whose.is_server(stat.parent)),
            };
            let Some(process) = Pid::from_raw(pid).filter(|_| is_meant) else { return };
            match whose.reach(process, pidfd_open(process, PidfdFlags::NONBLOCK).ok(), signal) {
                Reached::Yes(held) => {
                    (found, reached) = (found + 1, reached + 1);
                    first = first.take().or(held);
                }
                Reached::No => found += 1,
                Reached::Gone => {}
            }
        });
        Told { found, reached, first, looked }
    }

    fn each(&mut self, mut act: impl FnMut(&Whose, i32)) -> Looked {
        if seek(&self.processes, SeekFrom::Start(0)).is_err() {
            return Looked::InPart;
        }
        let mut entries = RawDir::new(&self.processes, &mut self.entries);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { return Looked::InPart };
            let pid = entry.file_name().to_str().ok().and_then(|name| name.parse::<i32>().ok());
            if let Some(pid) = pid.filter(|pid| self.whose.is_server(*pid)) {
                act(&self.whose, pid);
            }
        }
        Looked::Everywhere
    }

    /// From now on it cannot read what processes there are.
    #[cfg(test)]
    pub fn blind(&mut self) {
        self.processes = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("it is everywhere");
    }
}

fn own_namespace() -> Option<Box<[u8]>> {
    let name = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(name.as_os_str().as_bytes().into())
}

impl Whose {
    /// The number may have changed hands before it was held, so we look again. If it cannot be held, for want of
    /// descriptors or memory, the number must do: better the smallest chance of an error than a primary that goes on.
    fn reach(&self, process: Pid, held: Option<OwnedFd>, signal: Signal) -> Reached {
        if !self.is_server(process.as_raw_nonzero().get()) {
            return Reached::Gone;
        }
        let sent = match &held {
            Some(held) => pidfd_send_signal(held, signal),
            None => kill_process(process, signal),
        };
        match sent {
            Ok(()) => Reached::Yes(held),
            Err(_) => Reached::No,
        }
    }

    /// One that has ended works nowhere, even if its parent has not collected it yet.
    fn is_server(&self, pid: i32) -> bool {
        self.works_in_data_dir(pid) && self.is_postgres(pid) && self.is_of_our_namespace(pid)
    }

    fn works_in_data_dir(&self, pid: i32) -> bool {
        with_link(pid, "cwd", |directory| directory == &*self.data_dir)
    }

    /// What the agent starts shares its namespace, in a container too.
    fn is_of_our_namespace(&self, pid: i32) -> bool {
        match &self.namespace {
            Some(ours) => with_link(pid, "ns/pid", |namespace| namespace == &**ours),
            None => true,
        }
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
        assert_eq!((told.found, told.reached, told.first.is_some(), told.left()), (2, 2, true, Left::Perhaps));
        assert_eq!(counting::allocations(), before, "nor does telling");
        for told in [&mut server, &mut renamed] {
            assert_eq!(told.wait().unwrap().signal(), Some(libc::SIGQUIT));
        }
        assert_eq!(servers.tell(Whom::Everybody, Signal::KILL).left(), Left::Nothing);
        for other in [&mut elsewhere, &mut shell] {
            assert!(other.try_wait().unwrap().is_none(), "it is none of ours");
            other.kill().unwrap();
            other.wait().unwrap();
        }
        std::fs::remove_dir_all(&base).unwrap();
    }

    /// A data directory of its own, and beside it the programs.
    fn place(name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let base = std::env::temp_dir().join(format!("tamada-servers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(base.join("data")).unwrap();
        let base = base.canonicalize().unwrap();
        let data = base.join("data");
        (base, data)
    }

    #[test]
    fn nothing_is_left_only_if_all_was_looked_at_and_nobody_found() {
        let left = |looked, found, reached| Told { found, reached, first: None, looked }.left();
        assert_eq!(left(Looked::Everywhere, 0, 0), Left::Nothing);
        assert_eq!(left(Looked::InPart, 0, 0), Left::Perhaps);
        assert_eq!(left(Looked::Everywhere, 1, 0), Left::Perhaps, "who was not reached is there");
        assert_eq!(left(Looked::Everywhere, 1, 1), Left::Perhaps, "who was told may not have ended");

        let mut servers = Servers::new(Path::new("/nowhere"), OsStr::new("postgres")).unwrap();
        assert_eq!(servers.tell(Whom::Everybody, Signal::KILL).left(), Left::Nothing);
        servers.blind();
        assert_eq!(servers.tell(Whom::Everybody, Signal::KILL).left(), Left::Perhaps);
    }

    #[test]
    fn who_cannot_be_held_is_told_by_its_number_while_it_is_one_of_ours() {
        let (base, data) = place("number");
        let (mut server, mut other) = (worker(&base, "postgres", &data), worker(&base, "bash", &data));
        let mut servers = Servers::new(&data, OsStr::new("postgres")).unwrap();
        while servers.count() == 0 {
            std::thread::yield_now();
        }
        let tell = |child: &Child| servers.whose.reach(Pid::from_child(child), None, Signal::QUIT);
        assert!(matches!(tell(&server), Reached::Yes(None)));
        assert_eq!(server.wait().unwrap().signal(), Some(libc::SIGQUIT));
        assert!(matches!(tell(&other), Reached::Gone));
        assert!(other.try_wait().unwrap().is_none(), "it is none of ours");
        other.kill().unwrap();
        other.wait().unwrap();
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn who_lives_in_another_namespace_is_none_of_ours() {
        let (base, data) = place("namespace");
        let mut elsewhere = worker(&base, "postgres", &base);
        elsewhere.kill().unwrap();
        elsewhere.wait().unwrap();
        let mut servers = Servers::new(&data, OsStr::new("postgres")).unwrap();
        assert!(servers.whose.is_of_our_namespace(std::process::id().cast_signed()));
        let mut anywhere = Servers::new(&data, OsStr::new("postgres")).unwrap();
        anywhere.whose.namespace = None;

        let program = base.join("postgres");
        let mut unshare = Command::new("unshare");
        unshare.args(["-p", "-f"]).arg(program).arg("600").current_dir(&data).stdin(Stdio::null());
        let Ok(mut container) = unshare.spawn() else { return eprintln!("skipped: there is no unshare") };
        while anywhere.count() == 0 {
            if container.try_wait().unwrap().is_some() {
                return eprintln!("skipped: only root makes namespaces");
            }
            std::thread::yield_now();
        }
        assert_eq!(servers.tell(Whom::Everybody, Signal::KILL).left(), Left::Nothing);
        assert_eq!(anywhere.tell(Whom::Everybody, Signal::KILL).reached, 1, "it was there all the time");
        container.wait().unwrap();
        std::fs::remove_dir_all(&base).unwrap();
    }
}
