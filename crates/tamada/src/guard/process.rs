//! A process of this machine, named so that no other can be taken for it. Nothing here allocates.

use std::ffi::CStr;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Numbers are given again; together with the start they are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process {
    pub pid: i32,
    /// In clock ticks since boot.
    pub started: u64,
}

/// What the kernel says about one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub parent: i32,
    pub started: u64,
}

impl Process {
    pub fn me() -> Self {
        let pid = std::process::id().cast_signed();
        Self { pid, started: stat(pid).map_or(0, |stat| stat.started) }
    }

    /// A descriptor that stands for this very process. `None`: it is gone.
    pub fn hold(self) -> Option<OwnedFd> {
        let held = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        (stat(self.pid)?.started == self.started).then_some(held)
    }
}

/// The name of something that `/proc` says about a process.
pub struct ProcPath([u8; 48]);

impl ProcPath {
    pub fn new(pid: i32, what: &str) -> Self {
        let mut bytes = [0; 48];
        // Longer than the longest number and the longest of our words together.
        let _ = write!(&mut bytes[..47], "/proc/{pid}/{what}");
        Self(bytes)
    }

    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

pub fn stat(pid: i32) -> Option<Stat> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let path = ProcPath::new(pid, "stat");
    let mut file = std::fs::File::from(rustix::fs::open(path.as_c_str(), flags, rustix::fs::Mode::empty()).ok()?);
    let mut text = [0; 512];
    let length = file.read(&mut text).ok()?;
    parse(std::str::from_utf8(&text[..length]).ok()?)
}

/// The program's name stands in parentheses and may contain anything, so we count from the last one.
fn parse(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, started })
}

/// This boot of the machine, as a number. Zero if it cannot be told.
pub fn boot() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim()
        .rsplit('-')
        .flat_map(|part| u64::from_str_radix(part, 16))
        .fold(0, |all, part| all.rotate_left(16) ^ part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_held_under_its_own_start_only() {
        let me = Process::me();
        assert!(me.started > 0 && me.hold().is_some());
        assert!(Process { started: me.started + 1, ..me }.hold().is_none());
        assert_eq!(stat(me.pid).map(|stat| stat.parent), Some(std::os::unix::process::parent_id().cast_signed()));
        assert!(boot() != 0 && boot() == boot());
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse_us() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 100 200";
        assert_eq!(parse(line), Some(Stat { parent: 7, started: 987_654 }));
    }
}
