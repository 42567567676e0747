//! A process held by a descriptor: its end wakes us at once, and a signal can never hit a stranger who got the same pid
//! later.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::table;

#[derive(Debug)]
pub(crate) struct Watched {
    pub pid: i32,
    watch: Watch,
}

#[derive(Debug)]
enum Watch {
    Fd(AsyncFd<OwnedFd>),
    /// A kernel without pidfds (before 5.3): we have to look again and again.
    Ticks(u64),
}

/// How often we look where the kernel cannot tell us.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Watched {
    /// `None` when no such process lives.
    pub fn begin(pid: i32) -> Option<Self> {
        let stat = table::stat(pid).filter(|stat| !stat.zombie)?;
        let watch = match pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()) {
            // SAFETY: an owned descriptor stays open and the same as long as its owner lives.
            Ok(fd) => Watch::Fd(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok()?),
            Err(rustix::io::Errno::SRCH) => return None,
            Err(_) => Watch::Ticks(stat.start_ticks),
        };
        let watched = Self { pid, watch };
        // The pid may have changed hands between looking and opening.
        let same = table::stat(pid).is_some_and(|now| now.start_ticks == stat.start_ticks);
        (same && watched.is_alive()).then_some(watched)
    }

    pub fn is_alive(&self) -> bool {
        match &self.watch {
            Watch::Fd(fd) => {
                let mut fds = [PollFd::from_borrowed_fd(fd.get_ref().as_fd(), PollFlags::IN)];
                !poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
            }
            Watch::Ticks(ticks) => table::stat(self.pid).is_some_and(|stat| !stat.zombie && stat.start_ticks == *ticks),
        }
    }

    /// Resolves when the process has ended.
    pub async fn exited(&self) {
        match &self.watch {
            Watch::Fd(fd) => {
                // A pidfd becomes readable once and stays so; an error here could only mean a closed descriptor.
                let _ = fd.readable().await;
            }
            Watch::Ticks(_) => {
                while self.is_alive() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Tells whether the signal was sent; a process that is gone counts as told.
    pub fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let sent = match &self.watch {
            Watch::Fd(fd) => pidfd_send_signal(fd.get_ref(), signal),
            Watch::Ticks(_) if !self.is_alive() => Ok(()),
            Watch::Ticks(_) => match Pid::from_raw(self.pid) {
                Some(pid) => rustix::process::kill_process(pid, signal),
                None => Ok(()),
            },
        };
        match sent {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
