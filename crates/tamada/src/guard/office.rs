//! The guard as a process: `tamada guard FILE DATA_DIR POSTGRES`, with the page's file as its standard input.
//!
//! It must not end with the agent, so it forks: the parent is gone at once, the child has a session of its own. On its
//! standard output it says who it is, and then that it is in office, or why it cannot be. Then it closes it; whoever
//! started it waits for that.
//!
//! The one who was in office before it, if any, was on duty until then; now it is ended. If it was frozen, or at work
//! on PostgreSQL, the new one knows all that it knew.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, pidfd_send_signal, setrlimit};
use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

use super::board::Board;
use super::memory;
use super::process::{Process, boot};
use super::servers::Servers;
use super::watch::{Agent, Watch};

/// Says that there is a new order.
const BELL: Signal = Signal::USR1;

/// The words after `tamada guard`.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let Ok([path, data_dir, program]) = <[OsString; 3]>::try_from(words) else {
        eprintln!("tamada guard is started by the agent");
        return ExitCode::from(2);
    };
    // SAFETY: this is the only thread.
    match unsafe { libc::fork() } {
        0 => serve(path.into(), data_dir.into(), program),
        -1 => refuse(&io::Error::last_os_error()),
        _ => ExitCode::SUCCESS,
    }
}

fn refuse(why: &io::Error) -> ExitCode {
    say(format_args!("{why}"));
    ExitCode::FAILURE
}

fn serve(path: PathBuf, data_dir: PathBuf, program: OsString) -> ExitCode {
    let me = Process::me();
    say(format_args!("{} {}", me.pid, me.started));
    let begun = prepare(me, path, data_dir, program).and_then(|mut watch| {
        let order = watch.take_over().ok_or_else(|| io::Error::other("the page has no order"))?;
        let powers = [lock_memory(), raise_priority(), evade_oom_killer()].join(", ");
        let before = watch.board.office();
        watch.board.take_office(watch.me);
        if let Some(before) = before.and_then(Process::hold) {
            // It may have gone by itself.
            let _ = pidfd_send_signal(before, Signal::KILL);
        }
        say(format_args!("ready {powers}"));
        close_output();
        Ok((watch, order))
    });
    match begun {
        Ok((watch, order)) => {
            watch.stay(order);
            ExitCode::SUCCESS
        }
        Err(why) => refuse(&why),
    }
}

/// To the agent, if it is still there: a guard that is in office needs nobody to hear it.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn close_output() {
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        // Otherwise the agent waits longer than it need.
        let _ = rustix::stdio::dup2_stdout(&nowhere);
    }
}

fn prepare(me: Process, path: PathBuf, data_dir: PathBuf, program: OsString) -> io::Result<Watch> {
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    close_what_was_inherited();
    // SAFETY: a name with a zero at its end; the kernel copies it.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"tamada-guard".as_ptr()) };
    let bell = bell()?;
    let file = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let board = Board::map(&file, boot())?;
    let mut servers = Servers::new(&data_dir, &program)?;
    // A rehearsal: what it will need once is in memory then, and stays there.
    servers.count();
    let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    me.hold().ok_or_else(|| io::Error::other("the kernel has no process descriptors: Linux 5.3 is needed"))?;
    Ok(Watch { board, me, servers, timer, bell, file, path, data_dir, agent: Agent::default() })
}

fn close_what_was_inherited() {
    // SAFETY: nothing beyond the standard descriptors is open here that anybody in this process knows of. A kernel that
    // has no such call leaves them open, which costs nothing but the descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// No signal ends this process or interrupts it; one can be read.
fn bell() -> io::Result<OwnedFd> {
    // SAFETY: both sets are filled before they are used, and the descriptor is ours when there is one.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        let mut bell = std::mem::zeroed();
        libc::sigemptyset(&mut bell);
        libc::sigaddset(&mut bell, BELL.as_raw());
        match libc::signalfd(-1, &bell, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Whoever may lock everything does so, page by page as it is touched. Others may lock some megabytes: then it is what has
/// been touched so far, which is all that the guard will need; it has rehearsed.
fn lock_memory() -> &'static str {
    let limit = getrlimit(Resource::Memlock);
    // Whoever may not raise it so far keeps the one he has.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, ..limit });
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match mlockall(all).or_else(|_| memory::lock_resident()) {
        Ok(()) => "memory locked",
        Err(_) => "memory not locked",
    }
}

fn raise_priority() -> &'static str {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: reads the structure; 0 is this process.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &first) } == 0 {
        return "real-time priority";
    }
    match rustix::process::setpriority_process(None, -20) {
        Ok(()) => "highest priority",
        Err(_) => "usual priority",
    }
}

fn evade_oom_killer() -> &'static str {
    match std::fs::write("/proc/self/oom_score_adj", "-1000") {
        Ok(()) => "never killed for memory",
        Err(_) => "killed for memory like others",
    }
}

/// For the agent: rings at whoever holds the office.
pub fn ring(guard: &impl AsFd) {
    // One that is gone is noticed by its descriptor.
    let _ = pidfd_send_signal(guard, BELL);
}
