//! Time that never steps: `CLOCK_BOOTTIME`, which runs through suspend.

use std::time::Duration;

/// Since the host was started.
pub(crate) fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
