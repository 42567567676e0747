//! The clocks: the time since boot, and deadlines.

use std::time::Duration;

use tamada_model::Mono;
use tokio::time::Instant;

/// The time since boot, as everything counted is (architecture.md 4).
pub(crate) fn now() -> Mono {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Mono::new(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Until when something may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub fn after(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    /// What is left of it; nothing once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// `None` if `work` is not done in time.
    pub async fn bound<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.0, work).await.ok()
    }

    pub async fn passed(self) {
        tokio::time::sleep_until(self.0).await;
    }
}
