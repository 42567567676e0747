//! Waking at an instant of the clock that leases count on.
//!
//! 1. A leader sleeps until its renewal is due, and the machine is suspended for an hour.
//! 2. The runtime's timers stood still with it: when it wakes they still have most of their time to go.
//! 3. For seconds a primary whose lease ended long ago takes writes beside its successor.
//!
//! Therefore the loop waits on a timer of `CLOCK_BOOTTIME`, which is over as soon as the machine runs again.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tamada_model::Mono;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: an owned descriptor stays open and the same as long as its owner lives.
        Ok(Self(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?))
    }

    /// Returns at `at`, or at once if that is past. Whoever stops waiting may ask for another instant.
    pub async fn rings_at(&self, at: Mono) -> io::Result<()> {
        // An instant of zero would switch the timer off.
        let at = at.since_boot().max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: at.as_secs().cast_signed(), tv_nsec: i64::from(at.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let rung = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0u8; 8])?));
            // Otherwise it rang for an instant that was asked for before.
            if let Ok(rung) = rung {
                return rung.map(drop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[tokio::test]
    async fn it_rings_at_its_instant_and_not_for_one_that_was_given_up() {
        let alarm = Alarm::new().unwrap();
        let begun = clock::now().mono;
        alarm.rings_at(Mono::default()).await.unwrap();
        // Given up with the timer over, but before it was heard.
        let late = tokio::time::timeout(Duration::from_millis(20), alarm.rings_at(begun + Duration::from_secs(60)));
        assert!(late.await.is_err());
        let soon = clock::now().mono + Duration::from_millis(30);
        alarm.rings_at(soon).await.unwrap();
        assert!(clock::now().mono >= soon);
    }
}
