//! The long jobs: one file each. Every job may be cut in half at any point, by cancellation or by the end of the agent,
//! and leaves something the next pass can go on from.

mod basebackup;
mod bootstrap;
mod clone;
mod crash_recovery;
mod custom_method;
mod follow;
mod hand;
mod post_bootstrap;
mod promote;
mod remove;
mod restart;
mod rewind;
mod start;
mod stop;

use std::sync::atomic::{AtomicUsize, Ordering};

use tamada_model::{Job, JobEnd, State};

pub use hand::{CancelToken, Cancellation, JobHand, JobProgress};

use crate::{PgError, Postgres};
use start::Started;

/// What a job's own code returns; [`JobEnd`] is what the caller hears.
pub(crate) type Outcome = Result<JobEnd, PgError>;

impl Postgres {
    /// Runs a job to its end.
    pub async fn run(&self, job: Job, hand: JobHand) -> JobEnd {
        let _at_work = AtWork::begin(&self.0.jobs);
        let text = job.text();
        let outcome = self.work(job, &hand).await;
        match outcome {
            Ok(end) => end,
            Err(PgError::Cancelled) => JobEnd::Cancelled,
            Err(error) => {
                let why = error.in_words();
                // The core says it to the operator; once is enough.
                tracing::debug!("{text}: {why}");
                JobEnd::Failed(why)
            }
        }
    }

    async fn work(&self, job: Job, hand: &JobHand) -> Outcome {
        match job {
            Job::Bootstrap => self.bootstrap(hand).await,
            Job::PostBootstrap => self.post_bootstrap(hand).await,
            Job::Clone { source, then_follow } => self.clone_and_follow(&source, &then_follow, hand).await,
            Job::Reinitialize { source, then_follow, only_basebackup } => {
                self.reinitialize(&source, &then_follow, only_basebackup, hand).await
            }
            Job::StartPrimary { timeout } => self.start_primary(timeout, hand).await,
            Job::StartStandby { upstream, role, timeout } => self.follow(&upstream, role, timeout, hand).await,
            Job::ChangeUpstream { upstream, role } => self.follow(&upstream, role, None, hand).await,
            Job::Restart { timeout } => self.restart(timeout, hand).await,
            Job::Promote { wait } => self.promote(wait, hand).await,
            Job::CrashRecovery => self.crash_recovery(hand).await,
            Job::Rewind { from, from_agent_can_be_trusted } => {
                self.rewind(&from, from_agent_can_be_trusted, hand).await
            }
            Job::Stop(stop) => self.stop_job(&stop, hand).await,
            Job::AbandonBootstrap => self.abandon_bootstrap(hand).await,
            Job::RemoveData => self.remove_data(hand).await,
        }
    }

    /// Sets the state for everybody, and tells whoever watches the job.
    pub(crate) fn enter(&self, state: State, hand: &JobHand) {
        self.set_state(state);
        hand.tell(JobProgress::Working(state));
    }
}

impl From<Started> for JobEnd {
    fn from(started: Started) -> Self {
        match started {
            Started::Ready => JobEnd::Done,
            Started::StillStarting => JobEnd::StillStarting,
        }
    }
}

/// Counts a job as long as it lives, however it ends.
struct AtWork<'a>(&'a AtomicUsize);

impl<'a> AtWork<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
