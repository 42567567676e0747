//! Time that never steps: `CLOCK_BOOTTIME`, which runs through suspend.

use std::time::Duration;

/// Since the host was started.
pub(crate) fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// When a question must be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    pub(crate) fn after(within: Duration) -> Self {
        Self(now().saturating_add(within))
    }

    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(now())
    }

    /// The answer, unless the deadline passes first.
    pub(crate) async fn limit<T>(self, answer: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.left(), answer).await.ok()
    }
}
