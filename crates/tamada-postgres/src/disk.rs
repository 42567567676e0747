//! File work that may hang.
//!
//! A volume whose server is gone does not fail, it waits. So whatever touches the data directory runs on a blocking
//! thread, and we wait for it only so long. A look that hangs keeps its thread, which is why there is never more than
//! one of them: the next look waits for the same permit and hears the same silence.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::PgError;

pub(crate) struct Disk {
    looking: Arc<Semaphore>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { looking: Arc::new(Semaphore::new(1)) }
    }
}

impl Disk {
    /// A look: at most one at a time, and `Err` when the disk does not answer in time.
    pub async fn look<T: Send + 'static>(
        &self,
        within: Duration,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PgError> {
        let looking = Arc::clone(&self.looking);
        let work = async move {
            let permit = looking.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                // Given back when the look ends, even if nobody waits for it any more.
                let _permit = permit;
                look()
            })
            .await
        };
        answer(tokio::time::timeout(within, work).await, within)
    }

    /// A job's work on files.
    pub async fn work<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PgError> {
        answer(tokio::time::timeout(within, tokio::task::spawn_blocking(work)).await, within)
    }
}

type Answer<T> = Result<Result<T, tokio::task::JoinError>, tokio::time::error::Elapsed>;

fn answer<T>(answer: Answer<T>, within: Duration) -> Result<T, PgError> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Err(_) => Err(PgError::TimedOut(within)),
        Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Ok(Err(_)) => Err(PgError::Cancelled),
    }
}
