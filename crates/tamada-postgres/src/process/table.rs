//! The machine's process table, read from `/proc`.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What `/proc/<pid>/stat` says and we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    /// Ended, and not yet collected by its parent.
    pub zombie: bool,
    /// Creation, in clock ticks since boot; with the pid it names a process for good.
    pub start_ticks: u64,
}

pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &text)
}

/// The program's name stands in parentheses and may contain anything, so we count from the last one.
fn parse(pid: i32, text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat { pid, parent, group, zombie, start_ticks })
}

/// All processes.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(stat).collect()
}

/// Direct children that still live.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    // The kernel may keep the list for us; otherwise we look at everybody.
    if let Ok(list) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        return list.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    }
    all().into_iter().filter(|stat| stat.parent == pid && !stat.zombie).map(|stat| stat.pid).collect()
}

/// `pid`'s children, their children, and so on; not itself.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let everybody = all();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(everybody.iter().filter(|stat| stat.parent == parent).map(|stat| stat.pid));
        at += 1;
    }
    family.split_off(1)
}

/// The command line; PostgreSQL's children write their title there.
pub(crate) fn title(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

/// What a server's process says it is there for: `postgres: [cluster: ]purpose …`.
pub(crate) fn purpose(title: &str) -> Option<&str> {
    let rest = title.strip_prefix("postgres: ")?;
    Some(rest.split_once(": ").map_or(rest, |(_, purpose)| purpose))
}

pub(crate) fn executable(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

pub(crate) fn working_directory(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// When the process was created, in seconds since 1970.
pub(crate) fn created_at(stat: &Stat) -> Option<i64> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Some(boot_time()? + (stat.start_ticks / ticks_per_second) as i64)
}

fn boot_time() -> Option<i64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Names this boot of the machine; pids from before it mean nothing.
pub(crate) fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse_us() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 100 200";
        let stat = parse(42, line).unwrap();
        assert_eq!((stat.parent, stat.group, stat.zombie, stat.start_ticks), (7, 42, false, 987_654));
    }

    #[test]
    fn we_find_ourselves() {
        let me = std::process::id() as i32;
        let stat = stat(me).unwrap();
        assert_eq!(stat.pid, me);
        assert!(created_at(&stat).unwrap() > 1_600_000_000);
        assert!(!title(me).is_empty());
    }
}
