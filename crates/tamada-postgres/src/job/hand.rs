//! How whoever runs a job talks with it: what it shows meanwhile, and the wish that it should stop.

use std::sync::{Arc, Mutex, PoisonError};

use tamada_model::{ShutdownPosition, State};
use tokio::sync::{Notify, watch};

/// What the next observation should show of a running job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobProgress {
    Working(State),
    /// No client backend is left: nobody can write any more (the watchdog's safepoint, ha-loop.md 25.6).
    NoClients,
    /// A `Stop` with `report_shutdown`: pg_control says "shut down", the postmaster still lives.
    ShutDown(ShutdownPosition),
}

/// Given to a job when it is started.
#[derive(Clone, Debug)]
pub struct JobHand {
    pub progress: watch::Sender<JobProgress>,
    pub cancel: CancelToken,
}

impl JobHand {
    pub fn new(state: State) -> Self {
        Self { progress: watch::Sender::new(JobProgress::Working(state)), cancel: CancelToken::default() }
    }

    pub(crate) fn tell(&self, progress: JobProgress) {
        self.progress.send_replace(progress);
    }
}

/// The wish that a job stops, and the point from which that is no longer possible (ha-loop.md 28.4).
///
/// 1. The worker is about to do what cannot be undone: launch the postmaster, promote.
/// 2. At the same moment somebody decides that it must not happen.
/// 3. If both only set flags, each may believe to have been first.
///
/// Therefore one lock decides: either [`CancelToken::cancel`] comes first, or the job's commitment does, and each
/// hears which.
#[derive(Clone, Default, Debug)]
pub struct CancelToken(Arc<Inner>);

#[derive(Default, Debug)]
struct Inner {
    standing: Mutex<Standing>,
    cancelled: Notify,
}

#[derive(Default, Debug, Clone, Copy)]
struct Standing {
    cancelled: bool,
    committed: bool,
}

/// Whether a cancellation came before the job's point of no return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancellation {
    InTime,
    /// The postmaster was launched, or promotion was decided: what follows must deal with that. Waiting ends anyway.
    TooLate,
}

impl CancelToken {
    pub fn cancel(&self) -> Cancellation {
        let mut standing = self.0.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.cancelled = true;
        self.0.cancelled.notify_waiters();
        if standing.committed { Cancellation::TooLate } else { Cancellation::InTime }
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    pub async fn cancelled(&self) {
        let notified = self.0.cancelled.notified();
        tokio::pin!(notified);
        // Registered before looking, so that a wish between looking and waiting is heard.
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    /// The job's point of no return; `false` when somebody cancelled before.
    pub(crate) fn commit(&self) -> bool {
        let mut standing = self.0.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.committed |= !standing.cancelled;
        standing.committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_decides() {
        let token = CancelToken::default();
        assert!(token.commit());
        assert_eq!(token.cancel(), Cancellation::TooLate);
        assert!(token.is_cancelled());

        let token = CancelToken::default();
        assert_eq!(token.cancel(), Cancellation::InTime);
        assert!(!token.commit());
    }

    #[tokio::test]
    async fn a_wish_already_made_is_heard() {
        let token = CancelToken::default();
        token.cancel();
        token.cancelled().await;
    }
}
