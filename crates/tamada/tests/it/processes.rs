//! Processes of this machine, as a test looks at them from outside.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

pub fn all() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended already.
    let _ = pid.map(|pid| kill_process(pid, signal));
}

/// What is left of one that has ended, for its parent, is nothing.
pub fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|stat| stat.starts_with('Z'))
}

pub fn children(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    all().filter(|pid| stat(*pid).is_some_and(|stat| stat.split(' ').nth(1) == Some(&parent))).collect()
}

/// From the state on: before it stands a name that may contain anything.
fn stat(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}

/// One at work in a test's own directory: nobody else's can be.
pub struct Inhabitant {
    pid: u32,
    /// Stands for this very process, also when its number is given again.
    held: OwnedFd,
    /// Its program lies there, too.
    pub is_ours: bool,
}

impl Inhabitant {
    pub fn signal(&self, signal: Signal) {
        // It may have ended already.
        let _ = pidfd_send_signal(&self.held, signal);
    }

    pub fn is_gone(&self) -> bool {
        poll(&mut [PollFd::new(&self.held, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// What a guard reads: the file outlives the one that could not remove it.
    pub fn page(&self) -> Option<PathBuf> {
        let page = fs::read_link(format!("/proc/{}/fd/0", self.pid)).ok()?;
        page.file_name()?.to_str()?.starts_with("tamada-guard-").then_some(page)
    }
}

/// Whose program, or whose working directory, lies there.
pub fn inhabitants(home: &Path) -> Vec<Inhabitant> {
    // As the links in /proc spell it.
    let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let lies_there =
        |pid: u32, what: &str| fs::read_link(format!("/proc/{pid}/{what}")).is_ok_and(|place| place.starts_with(&home));
    let inhabitant = |pid: u32| {
        // Held before it is looked at.
        let held = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        let is_ours = lies_there(pid, "exe");
        (is_ours || lies_there(pid, "cwd")).then_some(Inhabitant { pid, held, is_ours })
    };
    all().filter(|pid| *pid != std::process::id()).filter_map(inhabitant).collect()
}
