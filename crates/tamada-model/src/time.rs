//! Two clocks, two types. [`Mono`] counts leases and timeouts and never steps; [`Wall`] is what a calendar shows.
//! There is no conversion between them.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// An instant on `CLOCK_BOOTTIME`: runs through suspend, never steps, means nothing on another host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(Duration);

impl Mono {
    pub fn new(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    pub fn since_boot(self) -> Duration {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` lies ahead.
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Time left until `later`; zero if it has passed.
    pub fn until(self, later: Mono) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, later: Duration) -> Mono {
        Mono(self.0.saturating_add(later))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;
    fn sub(self, earlier: Duration) -> Mono {
        Mono(self.0.saturating_sub(earlier))
    }
}

impl fmt::Debug for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// Calendar time: microseconds since 1970-01-01T00:00:00Z. For schedules, history, logs; never for leases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Wall(i64);

impl Wall {
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub fn micros(self) -> i64 {
        self.0
    }

    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How far this lies ahead of `now`, in seconds; negative when it has passed.
    pub fn seconds_from(self, now: Wall) -> f64 {
        (self.0 - now.0) as f64 / 1e6
    }
}

/// Both clocks, read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}
