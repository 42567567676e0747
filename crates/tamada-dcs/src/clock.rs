//! The time of leases, and deadlines.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tamada_model::Mono;
use tokio::time::Instant;

/// Now, on `CLOCK_BOOTTIME`.
pub fn mono() -> Mono {
    let now = clock_gettime(ClockId::Boottime);
    Mono::new(Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)))
}

/// When a call must be over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// The answer, unless the deadline passes first.
    pub async fn limit<T>(self, answer: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.0, answer).await.ok()
    }
}
