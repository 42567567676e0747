//! Time as it really passes in the simulated world, and the clocks on its hosts, which may be wrong about it.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use tamada_model::{Mono, Now, Wall};

/// Since the beginning of the world, in nanoseconds. No agent ever sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    pub const END: Moment = Moment(u64::MAX);

    pub fn new(since_beginning: Duration) -> Self {
        Self(nanos(since_beginning))
    }

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub fn nanos(self) -> u64 {
        self.0
    }

    /// Zero if `earlier` lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, later: Duration) -> Moment {
        Moment(self.0.saturating_add(nanos(later)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, earlier: Duration) -> Moment {
        Moment(self.0.saturating_sub(nanos(earlier)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.4}", self.0 as f64 / 1e9)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The clocks of one host. `CLOCK_BOOTTIME` began at some instant and runs a little fast or slow; the calendar is that,
/// plus whatever somebody last set it to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// What it showed when the world began.
    pub booted: Duration,
    /// How much too fast it runs, in millionths.
    pub drift: i64,
    /// How far the calendar is off, in microseconds.
    pub wall_error: i64,
}

/// 2026-07-23 12:00:00 UTC: the world begins.
const BEGINNING: i64 = 1_784_808_000_000_000;
const MILLION: u64 = 1_000_000;

impl Clock {
    fn stretch(&self, real: u64) -> u64 {
        let (millions, rest) = ((real / MILLION) as i64, (real % MILLION) as i64);
        real.saturating_add_signed(millions * self.drift + rest * self.drift / MILLION as i64)
    }

    pub fn mono(&self, at: Moment) -> Mono {
        Mono::new(self.booted + Duration::from_nanos(self.stretch(at.0)))
    }

    pub fn now(&self, at: Moment) -> Now {
        let mono = self.mono(at);
        let ran = mono.since_boot().saturating_sub(self.booted).as_micros() as i64;
        Now { mono, wall: Wall::from_micros(BEGINNING + ran + self.wall_error) }
    }

    /// When this host's clock will show `mono`: the first moment at which it shows no less.
    pub fn moment(&self, mono: Mono) -> Moment {
        let shown = nanos(mono.since_boot().saturating_sub(self.booted));
        let pace = MILLION.saturating_add_signed(self.drift);
        let mut at = Moment(shown / pace * MILLION + shown % pace * MILLION / pace);
        while self.mono(at) < mono {
            at = at + Duration::from_nanos(1);
        }
        at
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { booted: Duration::from_secs(5400), drift: 0, wall_error: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_fast_shows_more_and_is_asked_back_exactly() {
        let clock = Clock { drift: 500, ..Clock::default() };
        let at = Moment::new(Duration::from_secs(1000));
        assert_eq!(clock.mono(at), Mono::new(Duration::from_millis(5_400_000 + 1_000_500)));
        for nanos in [0, 1, 999, 1_000_000_007, 77_777_777_777] {
            let mono = clock.mono(Moment(nanos));
            let back = clock.moment(mono);
            assert!(clock.mono(back) >= mono && back <= Moment(nanos));
        }
    }

    #[test]
    fn a_stepped_calendar_leaves_the_other_clock_alone() {
        let clock = Clock { wall_error: 86_400_000_000, ..Clock::default() };
        let (now, usual) = (clock.now(Moment(5)), Clock::default().now(Moment(5)));
        assert_eq!(now.mono, usual.mono);
        assert_eq!(now.wall.micros() - usual.wall.micros(), 86_400_000_000);
    }
}
