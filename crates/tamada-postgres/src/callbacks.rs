//! Callbacks: the operator's programs that hear of starts, stops and changes of role (ha-loop.md 24).
//!
//! Nobody waits for them and nobody asks how they ended. What counts is the last word: when the role changes twice in a
//! second, the program that still announces the first change is killed with all it started, and of the events that
//! arrive meanwhile only the newest is told. Reloads are told on a line of their own.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tamada_model::Role;
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::Postgres;
use crate::process::{child, table};
use crate::words;

/// An event that operators may want to hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Callback {
    OnStart,
    OnStop,
    OnRestart,
    OnReload,
    OnRoleChange,
}

impl Callback {
    pub fn text(self) -> &'static str {
        match self {
            Callback::OnStart => "on_start",
            Callback::OnStop => "on_stop",
            Callback::OnRestart => "on_restart",
            Callback::OnReload => "on_reload",
            Callback::OnRoleChange => "on_role_change",
        }
    }
}

#[derive(Default)]
pub(crate) struct Callbacks {
    events: Arc<Line>,
    reloads: Arc<Line>,
}

/// One process at a time, one event waiting.
#[derive(Default)]
struct Line {
    state: Mutex<LineState>,
    news: Notify,
}

#[derive(Default)]
struct LineState {
    waiting: Option<Vec<String>>,
    worker: bool,
}

impl Postgres {
    /// Tells the operator's program, if there is one and no bootstrap is under way (24.1, 24.3).
    pub fn fire(&self, callback: Callback, role: Role) {
        if !self.note_callback(callback) {
            return;
        }
        let config = self.config();
        let Some(command) = config.callbacks.get(callback.text()) else { return };
        let Some(mut words) = words::split(command).filter(|words| !words.is_empty()) else {
            tracing::error!("Failed to execute {command}: a quote is not closed");
            return;
        };
        let role = if role == Role::Promoted { Role::Primary } else { role };
        words.extend([callback.text(), role.text(), config.scope.as_str()].map(str::to_owned));
        tracing::debug!(target: "patroni.postgresql.callback_executor", "CallbackExecutor.call({words:?})");
        match callback {
            Callback::OnReload => self.0.callbacks.reloads.tell(words),
            Callback::OnStart | Callback::OnStop | Callback::OnRestart | Callback::OnRoleChange => {
                self.0.callbacks.events.tell(words);
            }
        }
    }
}

impl Postgres {
    /// Remembers that somebody was told something; `false` while nobody is to be told.
    fn note_callback(&self, callback: Callback) -> bool {
        let mut memory = self.memory();
        match callback {
            Callback::OnStart | Callback::OnStop | Callback::OnRestart | Callback::OnRoleChange => {
                memory.callback_called |= !memory.bootstrapping;
            }
            Callback::OnReload => {}
        }
        !memory.bootstrapping
    }
}

impl Line {
    fn tell(self: &Arc<Self>, words: Vec<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting = Some(words);
        self.news.notify_one();
        if !state.worker {
            state.worker = true;
            tokio::spawn(Arc::clone(self).work());
        }
    }

    /// Lives as long as there is something to tell or something running.
    async fn work(self: Arc<Self>) {
        let mut running: Option<(Child, Vec<String>)> = None;
        loop {
            if let Some(words) = self.take() {
                if let Some((child, old)) = running.take() {
                    kill(child, &old).await;
                }
                running = start(words);
            }
            let Some((child, _)) = &mut running else {
                if self.rest() {
                    return;
                } else {
                    continue;
                };
            };
            tokio::select! {
                _ = child.wait() => running = None,
                () = self.news.notified() => {}
            }
        }
    }

    fn take(&self) -> Option<Vec<String>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.take()
    }

    /// Whether the worker may go; decided under the lock, so that no event falls between.
    fn rest(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.worker = state.waiting.is_some();
        !state.worker
    }
}

fn start(words: Vec<String>) -> Option<(Child, Vec<String>)> {
    let (program, rest) = words.split_first()?;
    match Command::new(program).args(rest).stdin(Stdio::null()).spawn() {
        Ok(child) => Some((child, words)),
        Err(error) => {
            tracing::error!("Failed to execute {words:?}: {error}");
            None
        }
    }
}

/// Suspended first, so that it starts nothing more while we look for what it has started.
async fn kill(mut running: Child, words: &[String]) {
    let Some(pid) = running.id().and_then(|pid| Pid::from_raw(pid as i32)) else { return };
    // Any of them may have ended by itself.
    let _ = kill_process(pid, Signal::STOP);
    child::kill_all(&table::descendants(pid.as_raw_nonzero().get()));
    if kill_process(pid, Signal::KILL).is_ok() {
        tracing::warn!("Killed {words:?} because it was still running");
    }
    let _ = running.wait().await;
}
