//! Stopping the server (postgres.md 8.3).
//!
//! Signals and the process's own end are all we rely on; the disk is asked only for the place where the WAL ends, and
//! nobody waits for its answer once the server is gone.

use std::convert::Infallible;
use std::time::Duration;

use rustix::process::Signal;
use tamada_model::{CheckpointFirst, ControlState, JobEnd, Role, ShutdownPosition, State, Stop, StopMode};

use super::{JobHand, JobProgress, Outcome};
use crate::callbacks::Callback;
use crate::clock::Deadline;
use crate::connect::Patience;
use crate::inspect::{control, waldump};
use crate::process::postmaster::Postmaster;
use crate::process::{child, table};
use crate::words;
use crate::{PgError, Postgres};

/// Whether callbacks hear of this stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tell {
    Yes,
    /// Part of a restart or of something bigger.
    No,
}

impl Postgres {
    pub(super) async fn stop_job(&self, stop: &Stop, hand: &JobHand) -> Outcome {
        self.stop(stop, Tell::Yes, hand).await.map(JobEnd::Stopped)
    }

    /// Ends with the server gone; `Err` only if it is still there.
    pub(super) async fn stop(
        &self,
        stop: &Stop,
        tell: Tell,
        hand: &JobHand,
    ) -> Result<Option<ShutdownPosition>, PgError> {
        let Some(postmaster) = self.discover().await? else {
            tracing::warn!("Postgresql is not running.");
            hand.tell(JobProgress::NoClients);
            let position = self.position_after(stop, tell, hand).await;
            self.after_stop(None, hand);
            return Ok(position);
        };
        let role = self.role();
        if stop.checkpoint == CheckpointFirst::Yes && self.state() == State::Running {
            self.checkpoint_before_stop(stop.timeout, &postmaster).await;
        }
        if tell == Tell::Yes {
            self.enter(State::Stopping, hand);
        }
        self.before_stop(hand).await;
        self.close_connections();
        if let Err(error) = self.bring_down(stop, &postmaster, hand).await {
            self.enter(State::StopFailed, hand);
            return Err(error);
        }
        self.set_postmaster(None);
        let position = self.position_after(stop, tell, hand).await;
        self.after_stop(Some(role).filter(|_| tell == Tell::Yes), hand);
        Ok(position)
    }

    fn after_stop(&self, tell: Option<Role>, hand: &JobHand) {
        if let Some(role) = tell {
            // Demoted early: its successor may already be at work.
            let role = if self.role() == Role::Demoted { Role::Demoted } else { role };
            self.enter(State::Stopped, hand);
            self.fire(Callback::OnStop, role);
        } else if self.state() != State::Restarting {
            self.enter(State::Stopped, hand);
        }
    }

    /// So that the shutdown has little left to write. Without limit by the server, and not worth failing for.
    async fn checkpoint_before_stop(&self, timeout: Option<Duration>, postmaster: &Postmaster) {
        let checkpoint = async {
            let mut client = self.connect_locally("heartbeat", Patience::Long).await?;
            client.ask("CHECKPOINT").await
        };
        let limited = async {
            match timeout {
                Some(limit) => tokio::time::timeout(limit, checkpoint).await.unwrap_or(Err(PgError::TimedOut(limit))),
                None => checkpoint.await,
            }
        };
        tokio::select! {
            done = limited => {
                if let Err(error) = done {
                    tracing::error!("Exception during CHECKPOINT: {}", error.in_words());
                }
            }
            () = postmaster.exited() => {}
        }
    }

    /// The operator's script; whatever it says, we go on (ha-loop.md 24.5).
    async fn before_stop(&self, hand: &JobHand) {
        let config = self.config();
        let Some(line) = &config.before_stop else { return };
        let Some((program, words)) = words::split(line).and_then(|words| Some((words.first()?.clone(), words))) else {
            return tracing::error!("before_stop script `{line}` cannot be understood");
        };
        let command = child::with(tokio::process::Command::new(program), &words[1..]);
        match child::run(command, &hand.cancel).await {
            Ok(code) => tracing::info!("before_stop script `{line}` exited with {code}"),
            Err(error) => tracing::error!("before_stop script `{line}`: {}", error.in_words()),
        }
    }

    async fn bring_down(&self, stop: &Stop, postmaster: &Postmaster, hand: &JobHand) -> Result<(), PgError> {
        let signal = match stop.mode {
            StopMode::Fast => Signal::INT,
            StopMode::Immediate => Signal::QUIT,
        };
        send(postmaster, signal)?;
        let limit = match stop.mode {
            StopMode::Fast => stop.timeout,
            StopMode::Immediate => Some(stop.timeout.unwrap_or(QUIT)),
        };
        let deadline = limit.map(Deadline::after);
        if self.await_exit(stop, postmaster, deadline, hand).await {
            hand.tell_no_clients_unless_shut_down();
            return Ok(());
        }
        // Only with a limit do we come here.
        let again = stop.timeout.unwrap_or_default();
        if stop.mode == StopMode::Fast {
            tracing::warn!("Timeout during postmaster stop, aborting Postgres.");
            send(postmaster, Signal::QUIT)?;
            if postmaster.exited_within(again).await {
                return Ok(());
            }
        }
        self.kill(postmaster).await;
        Ok(())
    }

    /// Waits for the end, telling meanwhile when the last client is gone and when the WAL has ended.
    async fn await_exit(
        &self,
        stop: &Stop,
        postmaster: &Postmaster,
        deadline: Option<Deadline>,
        hand: &JobHand,
    ) -> bool {
        let watching = self.watch_shutdown(stop, postmaster, hand);
        let expired = async {
            match deadline {
                Some(deadline) => deadline.passed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = postmaster.exited() => true,
            () = expired => false,
            never = watching => match never {},
        }
    }

    /// Goes on until the server is gone.
    async fn watch_shutdown(&self, stop: &Stop, postmaster: &Postmaster, hand: &JobHand) -> Infallible {
        let pid = postmaster.pid;
        // A process that waits for a hanging disk may not even tell its title; then we do not know, and look again.
        while self.0.disk.work(PEEK, move || has_clients(pid)).await.unwrap_or(true) {
            tokio::time::sleep(CLIENTS).await;
        }
        hand.tell(JobProgress::NoClients);
        if stop.report_shutdown && stop.mode == StopMode::Fast {
            let position = self.await_shut_down().await;
            hand.tell(JobProgress::ShutDown(position));
        }
        std::future::pending().await
    }

    /// Until pg_control says "shut down": from then on no WAL will be written. A standby never says so.
    async fn await_shut_down(&self) -> ShutdownPosition {
        loop {
            let data_dir = self.data_dir();
            let state = self.0.disk.work(PEEK, move || control::peek(&data_dir)).await;
            if matches!(state, Ok(Ok(ControlState::ShutDown)))
                && let Some(position) = self.shutdown_position().await
            {
                return position;
            }
            tokio::time::sleep(SHUT_DOWN).await;
        }
    }

    /// What was told already, else what the files say now; nobody asks after a restart or an abort.
    async fn position_after(&self, stop: &Stop, tell: Tell, hand: &JobHand) -> Option<ShutdownPosition> {
        let told = *hand.progress.borrow();
        match told {
            JobProgress::ShutDown(position) => Some(position),
            JobProgress::Working(_) | JobProgress::NoClients => match (stop.mode, tell) {
                (StopMode::Fast, Tell::Yes) => self.shutdown_position().await,
                (StopMode::Immediate, _) | (_, Tell::No) => None,
            },
        }
    }

    /// Where a cleanly stopped primary's WAL ends (postgres.md 6.5).
    async fn shutdown_position(&self) -> Option<ShutdownPosition> {
        self.refresh_control(Deadline::after(PEEK)).await;
        let control = self.memory().control.clone()?;
        waldump::shutdown_position(self.tools(), &self.data_dir(), &control).await
    }

    /// The last resort; stopped first, so that nothing new is started meanwhile.
    pub(crate) async fn kill(&self, postmaster: &Postmaster) {
        tracing::warn!("Sending SIGKILL to Postmaster and its children");
        // A process that is gone needs no signal.
        let _ = postmaster.signal(Signal::STOP);
        child::kill_all(&table::descendants(postmaster.pid));
        let _ = postmaster.signal(Signal::KILL);
        postmaster.exited().await;
    }
}

/// How often we look whether clients are left, and whether the WAL has ended.
const CLIENTS: Duration = Duration::from_millis(20);
const SHUT_DOWN: Duration = Duration::from_millis(20);
/// How long a postmaster that is to quit at once may take before it is killed with its children: a frozen one would
/// leave them writing for ever. Crash recovery follows in either case.
const QUIT: Duration = Duration::from_secs(1);
/// pg_control is one small file.
const PEEK: Duration = Duration::from_secs(2);

fn send(postmaster: &Postmaster, signal: Signal) -> Result<(), PgError> {
    postmaster.signal(signal).map_err(|error| {
        tracing::warn!("pg_ctl stop failed");
        PgError::Misconfigured(format!("process {} could not be told to stop: {error}", postmaster.pid))
    })
}

/// Titles of the server's own processes (postgres.md 8.4); anything else serves a client.
const AUXILIARY: [&str; 17] = [
    "archiver",
    "startup",
    "autovacuum launcher",
    "autovacuum worker",
    "checkpointer",
    "logger",
    "stats collector",
    "walreceiver",
    "walwriter",
    "walsender",
    "background writer",
    "logical replication",
    "datachecksums",
    "slotsync",
    "walsummarizer",
    "io worker",
    "bgworker",
];

fn has_clients(postmaster: i32) -> bool {
    table::children(postmaster).into_iter().map(table::title).any(|title| is_client(&title))
}

fn is_client(title: &str) -> bool {
    let is_auxiliary = |purpose: &str| AUXILIARY.iter().any(|name| purpose.starts_with(name));
    table::purpose(title).is_some_and(|purpose| !(is_auxiliary(purpose) || purpose.contains("parallel worker")))
}

impl JobHand {
    /// A server that is gone has no clients; what the shutdown told must stay visible.
    fn tell_no_clients_unless_shut_down(&self) {
        let told = *self.progress.borrow();
        match told {
            JobProgress::ShutDown(_) | JobProgress::NoClients => {}
            JobProgress::Working(_) => self.tell(JobProgress::NoClients),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_own_processes_are_no_clients() {
        assert!(!is_client("postgres: batman: checkpointer "));
        assert!(!is_client("postgres: walwriter"));
        assert!(!is_client("postgres: batman: walsender repl 127.0.0.1(4711) streaming 0/3000060"));
        assert!(!is_client("postgres: batman: logical replication launcher"));
        assert!(!is_client("/usr/lib/postgresql/15/bin/postgres -D /data"));
        assert!(is_client("postgres: batman: postgres postgres 127.0.0.1(4711) idle"));
        assert!(is_client("postgres: app app [local] COMMIT"));
    }
}
