//! A copy by pg_basebackup (postgres.md 13.5).

use std::time::Duration;

use super::JobHand;
use super::bootstrap::Emptied;
use super::clone::Source;
use crate::options::{For, options};
use crate::process::child;
use crate::tools::Tool;
use crate::{PgError, Postgres};

const ATTEMPTS: u8 = 2;
const PAUSE: Duration = Duration::from_secs(5);

impl Postgres {
    pub(super) async fn basebackup(&self, source: &Source, hand: &JobHand) -> Result<(), PgError> {
        let options = options(&self.config().basebackup, For::BaseBackup(self.0.program_version.major()));
        options.complaints.iter().for_each(|complaint| tracing::error!("{complaint}"));
        for attempt in 1..=ATTEMPTS {
            let code = self.try_basebackup(source, &options.words, hand).await?;
            if code == 0 {
                return Ok(());
            }
            tracing::error!("Error when fetching backup: pg_basebackup exited with code={code}");
            if attempt < ATTEMPTS {
                tracing::warn!("Trying again in 5 seconds");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = hand.cancel.cancelled() => return Err(PgError::Cancelled),
                }
            }
        }
        Err(PgError::Misconfigured("pg_basebackup failed twice; its messages are in our log".to_owned()))
    }

    async fn try_basebackup(&self, source: &Source, words: &[String], hand: &JobHand) -> Result<i32, PgError> {
        let mut command = child::command(&self.tools().path(Tool::PgBasebackup));
        command.arg(format!("--pgdata={}", self.data_dir().display())).args(["-X", "stream"]);
        command.arg(format!("--dbname={}", source.dsn)).args(words);
        command.envs(source.passfile.as_ref().map(|file| ("PGPASSFILE", file)));
        self.fill_directory(command, Emptied::First, hand).await
    }
}
