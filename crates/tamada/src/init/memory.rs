//! A small resident set.
//!
//! glibc gives each thread an arena of its own, and learns from every large buffer that is freed to keep the next one.
//! Both pay off for programs that allocate all day. The agent has a handful of threads that mostly wait, on a host whose
//! memory belongs to PostgreSQL.

/// To be called first, before any thread exists: arenas that are there stay.
#[cfg(target_env = "gnu")]
pub fn slim_memory() {
    const KIB: i32 = 1024;
    /// Set by hand, these no longer grow by themselves.
    const TUNING: [(i32, i32); 4] = [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, 128 * KIB),
        (libc::M_TRIM_THRESHOLD, 128 * KIB),
        (libc::M_TOP_PAD, 32 * KIB),
    ];
    for (what, value) in TUNING {
        // SAFETY: takes two numbers; only this thread exists. A refusal (0) leaves the default, which works as well.
        unsafe { libc::mallopt(what, value) };
    }
}

/// Other C libraries are small by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn slim_memory() {}
