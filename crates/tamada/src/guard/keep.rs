//! The task that sees to it that there is a guard.
//!
//! Each agent brings a guard of its own binary; the one that it finds, its predecessor's, goes when the new one is in
//! office. A guard that ends, or does not take notice of an order within a second, is replaced.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tamada_core::{Event, GuardState};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, Interest};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

use super::board::{Answer, Board, Duty};
use super::keeper::without_guard;
use super::office::ring;
use super::place::Place;
use super::process::Process;
use super::stranger::Stranger;

/// To start a guard takes milliseconds.
const START: Duration = Duration::from_secs(10);
/// To take notice of an order, too; but the machine may be busy.
const NOTICE: Duration = Duration::from_secs(1);
/// Between two attempts to start one.
const PAUSE: Duration = Duration::from_secs(1);

/// What the task and whoever writes orders tell each other.
#[derive(Clone, Debug, Default)]
pub struct Post {
    /// The last order that was written.
    pub number: u64,
    /// The core has spoken; before, what a predecessor left is in force.
    pub spoken: bool,
    /// At whom to ring.
    pub guard: Option<Arc<OwnedFd>>,
}

pub struct Keep {
    pub board: Board,
    pub place: Place,
    pub data_dir: PathBuf,
    pub program: OsString,
    pub post: watch::Sender<Post>,
    pub events: mpsc::Sender<Event>,
    pub strangers: Vec<Stranger>,
    /// The last order for which PostgreSQL was stopped, as far as the log knows.
    pub fenced: u64,
    /// As the log knows it, too.
    pub armed: bool,
    /// What the core was told last.
    pub told: Option<GuardState>,
}

/// One in office.
struct Guard {
    /// Readable when it has ended.
    ends: AsyncFd<OwnedFd>,
}

impl Keep {
    pub async fn keep(mut self) {
        // One that was switched off is not there any more, either.
        self.tell(GuardState::Starting).await;
        loop {
            match self.start().await {
                Ok(guard) => {
                    self.tell(GuardState::Ready).await;
                    self.stand_by(&guard).await;
                    self.tell(GuardState::Starting).await;
                }
                Err(why) => {
                    self.tell(GuardState::Failed(why)).await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn tell(&mut self, state: GuardState) {
        if self.told.as_ref() == Some(&state) {
            return;
        }
        if let GuardState::Failed(why) = &state {
            tracing::error!("{}", without_guard(why));
        }
        self.told = Some(state.clone());
        // The receiver is gone only when the process is about to end.
        let _ = self.events.send(Event::Guard(state)).await;
    }

    /// Until it has to be replaced.
    async fn stand_by(&mut self, guard: &Guard) {
        let why = tokio::select! {
            () = guard.ended() => "has ended",
            () = self.turns_deaf() => "does not answer",
        };
        tracing::error!("The guard {why}: starting another");
    }

    /// Hears what it answers, until an order is not answered.
    async fn turns_deaf(&mut self) {
        let mut posted = self.post.subscribe();
        loop {
            let Post { number, spoken, .. } = *posted.borrow_and_update();
            if self.board.answer().heard < number {
                tokio::time::sleep(NOTICE).await;
            }
            let answer = self.board.answer();
            if answer.heard < number {
                return;
            }
            self.report(answer);
            if spoken {
                // What they were on duty for is our own guard's now.
                self.strangers.drain(..).for_each(Stranger::end);
            }
            // The other end is our own.
            let _ = posted.changed().await;
        }
    }

    /// What has become of it since, for the log.
    fn report(&mut self, answer: Answer) {
        if answer.fenced != self.fenced {
            self.fenced = answer.fenced;
            tracing::error!("The guard has stopped PostgreSQL: the lease had ended and nobody had renewed it");
        }
        let armed = self.board.order().is_some_and(|order| match order.duty {
            Duty::Fence { .. } => true,
            Duty::Rest | Duty::Go => false,
        });
        if armed != self.armed {
            self.armed = armed;
            match armed {
                true => tracing::info!("The guard is armed: it stops PostgreSQL when the lease ends"),
                false => tracing::info!("The guard is disarmed"),
            }
        }
    }

    /// Returns when it is in office. One that was there before it has been ended.
    async fn start(&self) -> Result<Guard, String> {
        let text = |error: std::io::Error| format!("it cannot be started: {error}");
        let mut starting = self.command().map_err(text)?.spawn().map_err(text)?;
        let mut said = Vec::new();
        let listening = async {
            if let Some(output) = &mut starting.stdout {
                // What was said before an error is judged below.
                let _ = output.read_to_end(&mut said).await;
            }
            // It has forked, and ends at once.
            let _ = starting.wait().await;
        };
        let in_time = tokio::time::timeout(START, listening).await.is_ok();
        let said = String::from_utf8_lossy(&said);
        let (who, rest) = said.trim().split_once('\n').unwrap_or((said.trim(), ""));
        let process = process(who).and_then(Process::hold);
        match (process, rest.strip_prefix("ready ")) {
            (Some(process), Some(powers)) => self.welcome(process, who, powers),
            (Some(process), None) if !in_time => {
                // It might come to itself at any time.
                let _ = pidfd_send_signal(process, Signal::KILL);
                Err(format!("it was not ready within {START:?}"))
            }
            (Some(_) | None, _) => Err(format!("it cannot begin: {rest}")),
        }
    }

    fn command(&self) -> std::io::Result<Command> {
        // This very binary, also if its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("tamada").arg("guard").arg(&self.place.path).arg(&self.data_dir).arg(&self.program);
        command.env_clear().stdin(Stdio::from(self.place.file.try_clone()?)).stdout(Stdio::piped());
        Ok(command)
    }

    fn welcome(&self, process: OwnedFd, who: &str, powers: &str) -> Result<Guard, String> {
        let ends = heard(&process).map_err(|error| format!("its end cannot be heard: {error}"))?;
        tracing::info!("The guard is on duty: process {} ({powers})", who.split(' ').next().unwrap_or(who));
        let bell = Arc::new(process);
        let mut before = None;
        self.post.send_modify(|post| before = post.guard.replace(bell.clone()));
        if let Some(before) = before {
            // It ended the one that it found in office. That may have been another than ours: one that took the office,
            // and was not ready in time.
            let _ = pidfd_send_signal(&*before, Signal::KILL);
        }
        // What was ordered while it began.
        ring(&*bell);
        Ok(Guard { ends })
    }
}

fn heard(process: &OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays open and the same as long as its owner lives.
    Ok(unsafe { AsyncFd::register_with_interest(process.try_clone()?, Interest::READABLE) }?)
}

/// `4711 987654`
fn process(who: &str) -> Option<Process> {
    let (pid, started) = who.split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

impl Guard {
    async fn ended(&self) {
        // An error could only mean a closed descriptor.
        let _ = self.ends.readable().await;
    }
}
