//! Ending a crashed primary cleanly without letting anybody in (ha-loop.md 23.10).
//!
//! pg_rewind wants a target that was shut down. A single-user server replays the WAL and shuts down; it archives
//! nothing meanwhile, because what it would archive may not belong to the cluster's history.

use std::collections::BTreeMap;

use tamada_model::JobEnd;

use super::{JobHand, Outcome};
use crate::Postgres;
use crate::configure::files;
use crate::process::child;
use crate::process::orphans;
use crate::process::pid_file::{self, PidFile};
use crate::tools::Tool;
use crate::wal;

impl Postgres {
    pub(super) async fn crash_recovery(&self, hand: &JobHand) -> Outcome {
        let left = self.files(|config| Ok(pid_file::read(&config.data_dir).map(PidFile::resolved))).await?;
        if !orphans::wait_gone(left, self.config().retry_timeout).await {
            return Ok(JobEnd::Failed("processes of the crashed server still hold its shared memory".to_owned()));
        }
        self.archive_ready(hand).await;
        let program = self.tools().file_name(Tool::Postgres).to_owned();
        let (options, left_behind) = self
            .files(move |config| {
                // Without the directory there is nothing to forget.
                let _ = wal::forget_archive_status(&config.data_dir);
                files::remove_recovery(config)?;
                let opts = std::fs::read_to_string(config.data_dir.join("postmaster.opts")).unwrap_or_default();
                Ok((single_user_options(&opts), pid_file::left_behind(&config.data_dir, &program)))
            })
            .await?;
        let mut command = child::command(&self.tools().path(Tool::Postgres));
        command.arg("--single").arg("-D").arg(self.data_dir());
        for (name, value) in options {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.arg("template1").envs(left_behind.map(|pid| ("PG_GRANDPARENT_PID", pid.to_string())));
        let output = child::run_collecting(command, &hand.cancel, |_| {}).await?;
        tracing::error!("Crash recovery finished with code={}", output.code);
        tracing::info!(" stdout={}", output.stdout.trim());
        tracing::info!(" stderr={}", output.stderr.trim());
        self.memory().control = None;
        // Only logged: what pg_control says afterwards is what counts.
        Ok(JobEnd::Done)
    }
}

/// What the server ran with, from `postmaster.opts`, sorted; archiving on, but doing nothing.
fn single_user_options(opts: &str) -> BTreeMap<String, String> {
    let mut options: BTreeMap<String, String> = crate::words::split(opts)
        .unwrap_or_default()
        .iter()
        .filter_map(|word| word.strip_prefix("--")?.split_once('='))
        // In single-user mode the file is named by -c config_file.
        .map(|(name, value)| (name.replace('-', "_"), value.to_owned()))
        .collect();
    options.insert("archive_mode".to_owned(), "on".to_owned());
    options.insert("archive_command".to_owned(), "false".to_owned());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_dead_server_are_kept() {
        let opts = "/usr/bin/postgres \"-D\" \"/data\" \"--config-file=/data/postgresql.conf\" \"--port=5432\"\n";
        let options = single_user_options(opts);
        assert_eq!(options["port"], "5432");
        assert_eq!(options["config_file"], "/data/postgresql.conf");
        assert_eq!(options["archive_command"], "false");
    }
}
