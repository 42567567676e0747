//! Where the two clocks are read. Everything else is told the time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tamada_model::{Mono, Now, Wall};

/// `CLOCK_BOOTTIME` and the calendar, read one after the other.
pub fn now() -> Now {
    let mono = clock_gettime(ClockId::Boottime);
    let wall = clock_gettime(ClockId::Realtime);
    Now {
        mono: Mono::new(Duration::new(mono.tv_sec.unsigned_abs(), u32::try_from(mono.tv_nsec).unwrap_or(0))),
        wall: Wall::from_micros(wall.tv_sec * 1_000_000 + wall.tv_nsec / 1000),
    }
}
