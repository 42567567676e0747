//! From standby to primary (ha-loop.md 13.6, postgres.md 10).

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tamada_model::{JobEnd, Role};

use super::{JobHand, Outcome};
use crate::callbacks::Callback;
use crate::clock::Deadline;
use crate::process::{child, table};
use crate::tools::Tool;
use crate::words;
use crate::{PgError, Postgres};

impl Postgres {
    pub(super) async fn promote(&self, wait: Duration, hand: &JobHand) -> Outcome {
        match self.role() {
            Role::Primary => return Ok(JobEnd::Done),
            Role::Promoted => return self.promote_again(wait, hand).await,
            Role::Replica | Role::StandbyLeader | Role::Demoted | Role::Uninitialized => {}
        }
        if !self.may_promote(hand).await? {
            return Ok(JobEnd::PrePromoteRefused);
        }
        if !hand.cancel.commit() {
            tracing::info!("PostgreSQL promote cancelled.");
            return Ok(JobEnd::Cancelled);
        }
        self.pg_ctl_promote().await?;
        self.set_role(Role::Promoted);
        self.fire(Callback::OnRoleChange, Role::Promoted);
        Ok(self.await_primary(wait).await)
    }

    /// A recovery that began anew has forgotten that it was to end. One that is ending takes no harm, and a server that
    /// has ended it refuses.
    async fn promote_again(&self, wait: Duration, hand: &JobHand) -> Outcome {
        if !hand.cancel.commit() {
            return Ok(JobEnd::Cancelled);
        }
        if let Err(error) = self.pg_ctl_promote().await {
            tracing::debug!("promoting again: {}", error.in_words());
        }
        Ok(self.await_primary(wait).await)
    }

    /// The operator's script has the last word (24.5).
    async fn may_promote(&self, hand: &JobHand) -> Result<bool, PgError> {
        let config = self.config();
        let Some(line) = &config.pre_promote else { return Ok(true) };
        let words = words::split(line).unwrap_or_default();
        let Some((program, words)) = words.split_first() else { return Ok(false) };
        let command = child::with(tokio::process::Command::new(program), words);
        match child::run(command, &hand.cancel).await {
            Err(PgError::Cancelled) => Err(PgError::Cancelled),
            Err(error) => {
                tracing::error!("pre_promote script `{line}`: {}", error.in_words());
                Ok(false)
            }
            Ok(code) => {
                tracing::info!("pre_promote script `{line}` exited with {code}");
                Ok(code == 0)
            }
        }
    }

    async fn pg_ctl_promote(&self) -> Result<(), PgError> {
        let mut command = child::command(&self.tools().path(Tool::PgCtl));
        command.args(["promote", "-W", "-D"]).arg(self.data_dir());
        let output = child::ask(command, PG_CTL).await?;
        if output.ok() {
            return Ok(());
        }
        let complaint = output.stderr.trim().to_owned();
        Err(PgError::Exited { tool: "pg_ctl promote".to_owned(), code: output.code.to_string(), complaint })
    }

    /// Recovery ends in PostgreSQL's own time; until then the role is `promoted`.
    async fn await_primary(&self, wait: Duration) -> JobEnd {
        let deadline = Deadline::after(wait);
        let mut nudge = Deadline::after(NUDGE);
        loop {
            if self.is_writable().await {
                self.set_role(Role::Primary);
                return JobEnd::Done;
            }
            if deadline.has_passed() || self.postmaster().is_none() {
                return JobEnd::StillStarting;
            }
            if nudge.has_passed() {
                self.wake_startup().await;
                nudge = Deadline::after(NUDGE);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// 1. The upstream ends; the startup process tries to stream once more.
    /// 2. Our promotion wakes it. It notes the wish, but as long as it streams it goes on to "streaming failed".
    /// 3. There it waits out `wal_retrieve_retry_interval`, 5 seconds by default, and was woken once already.
    ///
    /// So whoever promotes within moments of the primary's end may wait for nothing. A SIGHUP to the startup process
    /// alone wakes it again; it reads the same configuration once more and otherwise does not mind.
    async fn wake_startup(&self) {
        let Some(postmaster) = self.postmaster() else { return };
        let pid = postmaster.pid;
        let startup = self.0.disk.work(ASK, move || table::children(pid).into_iter().find(|pid| is_startup(*pid)));
        if let Some(pid) = startup.await.ok().flatten().and_then(Pid::from_raw) {
            // It may have ended meanwhile, which is what we are waiting for.
            let _ = kill_process(pid, Signal::HUP);
        }
    }

    async fn is_writable(&self) -> bool {
        let Some(postmaster) = self.postmaster() else { return false };
        let asked = async {
            let mut client = self.heartbeat(postmaster.pid).await?;
            let row = client.ask_row("SELECT pg_is_in_recovery()").await?;
            self.keep_heartbeat(postmaster.pid, client);
            Ok::<bool, PgError>(row.get(0) == Some("f"))
        };
        tokio::time::timeout(ASK, asked).await.is_ok_and(|answer| answer.unwrap_or(false))
    }
}

fn is_startup(pid: i32) -> bool {
    table::purpose(&table::title(pid)).is_some_and(|purpose| purpose.starts_with("startup"))
}

/// pg_ctl writes a file and sends a signal.
const PG_CTL: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A promotion that is not held up takes some twenty milliseconds.
const NUDGE: Duration = Duration::from_millis(60);
const ASK: Duration = Duration::from_secs(2);
