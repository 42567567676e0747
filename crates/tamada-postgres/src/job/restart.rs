//! Stop and start again with the configuration as it is now (postgres.md 9.1).

use std::time::Duration;

use tamada_model::{CheckpointFirst, Role, State, Stop, StopMode};

use super::start::{Start, Started};
use super::stop::Tell;
use super::{JobHand, Outcome};
use crate::callbacks::Callback;
use crate::{PgError, Postgres};

impl Postgres {
    pub(super) async fn restart(&self, timeout: Option<Duration>, hand: &JobHand) -> Outcome {
        let start = Start {
            role: self.role(),
            limit: timeout.filter(|timeout| !timeout.is_zero()),
            callback: Some(Callback::OnRestart),
            state: State::Starting,
        };
        self.stop_and_start(start, hand).await.map(Into::into)
    }

    pub(super) async fn stop_and_start(&self, start: Start, hand: &JobHand) -> Result<Started, PgError> {
        self.enter(State::Restarting, hand);
        let stop = Stop {
            mode: StopMode::Fast,
            checkpoint: CheckpointFirst::Yes,
            timeout: None,
            report_shutdown: false,
            purpose: "restart".to_owned(),
        };
        let role = match start.role {
            // What ran as a primary starts as one; where it was left half promoted, it is one now.
            Role::Promoted => Role::Primary,
            other => other,
        };
        let restarted = async {
            self.stop(&stop, Tell::No, hand).await?;
            self.start(Start { role, ..start }, hand).await
        };
        let restarted = restarted.await;
        if let Err(error) = &restarted {
            tracing::warn!("restart failed ({})", self.state().text());
            self.enter(State::RestartFailed, hand);
            tracing::debug!("{}", error.in_words());
        }
        restarted
    }
}
