//! The agent's side: writes what the guard is to believe, and sees to it that there is a guard.
//!
//! Writing is two stores and a signal; nobody waits. Each agent brings a guard of its own binary, and the one that it
//! finds, its predecessor's, goes when the new one is in office. A guard that ends, or does not take notice of an order
//! within a second, is replaced.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tamada_core::{Arm, Event, GuardState};
use tamada_model::{GuardMode, PostgresConfig};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::board::{Board, Duty, Kind, Order};
use super::office;
use super::place::{self, Medium, Place};
use super::process::{Process, boot};

/// To start a guard takes milliseconds.
const START: Duration = Duration::from_secs(10);
/// To take notice of an order, too; but the machine may be busy.
const NOTICE: Duration = Duration::from_secs(1);
/// Between two attempts to start one.
const PAUSE: Duration = Duration::from_secs(1);

pub struct Keeper {
    data_dir: PathBuf,
    program: OsString,
    events: mpsc::Sender<Event>,
    mode: GuardMode,
    /// What the core said last. Until it has said anything, what a predecessor said is in force.
    said: Option<Arm>,
    charge: Option<Charge>,
}

/// The page, and the task that keeps a guard for it.
struct Charge {
    board: Board,
    post: watch::Sender<Post>,
    task: AbortHandle,
}

/// What the task and whoever writes orders tell each other.
#[derive(Clone, Debug, Default)]
struct Post {
    /// The last order that was written.
    number: u64,
    /// It is what the core wants, and not what a predecessor left.
    spoken: bool,
    /// At whom to ring.
    guard: Option<Arc<OwnedFd>>,
}

impl Keeper {
    pub fn new(postgres: &PostgresConfig, events: mpsc::Sender<Event>) -> Self {
        let data_dir = place::resolve(&postgres.data_dir);
        let program = postgres.bin_names.get("postgres").cloned().unwrap_or_default();
        Self { data_dir, program: program.into(), events, mode: GuardMode::Off, said: None, charge: None }
    }

    /// In force at once; a guard that is not wanted any more goes.
    pub fn set_mode(&mut self, mode: GuardMode) {
        if self.mode == mode && self.charge.is_some() {
            return;
        }
        self.mode = mode;
        match (mode, self.charge.is_some()) {
            (GuardMode::Off, _) => self.dismiss(),
            (GuardMode::Automatic | GuardMode::Required, true) => {}
            (GuardMode::Automatic | GuardMode::Required, false) => self.begin(),
        }
    }

    /// In force when this returns, for a guard that reads its page now or later.
    pub fn publish(&mut self, arm: Arm) {
        self.said = Some(arm);
        match (self.mode, &self.charge) {
            (GuardMode::Off, _) => self.dismiss(),
            (GuardMode::Automatic | GuardMode::Required, Some(charge)) => charge.order(duty(arm)),
            (GuardMode::Automatic | GuardMode::Required, None) => {}
        }
    }

    fn begin(&mut self) {
        match Charge::begin(self) {
            Ok(charge) => self.charge = Some(charge),
            Err(why) => {
                // Tried again by nobody: what is wrong there does not mend itself.
                let why = format!("its page cannot be made: {why}");
                tracing::warn!("There is no guard, PostgreSQL outlives the lease if the agent fails: {why}");
                let events = self.events.clone();
                tokio::spawn(async move { events.send(Event::Guard(GuardState::Failed(why))).await });
            }
        }
    }

    /// Not before the core has spoken: a predecessor's guard may be all that stands between two primaries.
    fn dismiss(&mut self) {
        if self.said.is_none() {
            return;
        }
        if let Some(charge) = self.charge.take() {
            charge.order(Duty::Go);
            charge.task.abort();
            tracing::info!("The guard is switched off");
            return;
        }
        place::of_any_version(&self.data_dir).into_iter().filter_map(Stranger::find).for_each(Stranger::end);
    }
}

fn duty(arm: Arm) -> Duty {
    match arm {
        Arm::Until { fence_at, ends_at } => Duty::Fence { at: fence_at, ends_at },
        Arm::Off => Duty::Rest,
    }
}

impl Charge {
    fn begin(keeper: &Keeper) -> io::Result<Self> {
        let place = place::open(&keeper.data_dir)?;
        if place.medium == Medium::Disk {
            let path = place.path.display();
            if keeper.mode == GuardMode::Required {
                return Err(io::Error::other(format!(
                    "{path} is not in memory, and a disk that hangs would stop the guard"
                )));
            }
            tracing::warn!("The guard's page {path} is not in memory: a disk that hangs can stop the guard");
        }
        let board = Board::map(&place.file, boot())?;
        if board.kind() != Kind::Ours {
            board.begin();
        }
        let (post, _) = watch::channel(Post::default());
        let keep = Keep {
            board,
            place,
            data_dir: keeper.data_dir.clone(),
            program: keeper.program.clone(),
            post: post.clone(),
            events: keeper.events.clone(),
            strangers: place::of_other_versions(&keeper.data_dir).into_iter().filter_map(Stranger::find).collect(),
            fenced: board.answer().fenced,
        };
        let wanted = match (keeper.said, board.order().map(|order| order.duty)) {
            (Some(arm), _) => duty(arm),
            (None, Some(left @ Duty::Fence { .. })) => left,
            (None, Some(Duty::Rest | Duty::Go) | None) => Duty::Rest,
        };
        write(&board, &post, wanted, if keeper.said.is_some() { Speaker::Core } else { Speaker::Predecessor });
        let task = tokio::spawn(keep.keep()).abort_handle();
        Ok(Self { board, post, task })
    }

    fn order(&self, duty: Duty) {
        write(&self.board, &self.post, duty, Speaker::Core);
    }
}

/// Whose will an order is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Speaker {
    Core,
    Predecessor,
}

fn write(board: &Board, post: &watch::Sender<Post>, duty: Duty, speaker: Speaker) {
    let number = board.order().map_or(0, |order| order.number) + 1;
    board.write_order(&Order { number, duty, agent: Process::me() });
    post.send_modify(|post| {
        post.number = number;
        post.spoken |= speaker == Speaker::Core;
    });
    if let Some(guard) = &post.borrow().guard {
        office::ring(guard);
    }
}

/// Sees to it that there is a guard.
struct Keep {
    board: Board,
    place: Place,
    data_dir: PathBuf,
    program: OsString,
    post: watch::Sender<Post>,
    events: mpsc::Sender<Event>,
    /// Guards of other versions of us, which read other pages.
    strangers: Vec<Stranger>,
    /// The last order for which PostgreSQL was stopped, as far as the log knows.
    fenced: u64,
}

/// One in office.
struct Guard {
    process: Process,
    bell: Arc<OwnedFd>,
    /// The same, for waiting.
    ends: AsyncFd<OwnedFd>,
    /// What it may do that others may not, for the log.
    powers: String,
}

impl Keep {
    async fn keep(mut self) {
        let mut told = GuardState::Unknown;
        loop {
            let begun = self.start().await;
            let state = match &begun {
                Ok(_) => GuardState::Ready,
                Err(why) => GuardState::Failed(why.clone()),
            };
            if state != told {
                say(&state);
                // The receiver is gone only when the process is about to end.
                let _ = self.events.send(Event::Guard(state.clone())).await;
                told = state;
            }
            match begun {
                Ok(guard) => self.stand_by(&guard).await,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Until it has to be replaced.
    async fn stand_by(&mut self, guard: &Guard) {
        tracing::info!("The guard is on duty: process {} ({})", guard.process.pid, guard.powers);
        let why = tokio::select! {
            () = guard.ended() => "has ended",
            () = self.turns_deaf() => "does not answer",
        };
        tracing::error!("The guard, process {}, {why}: starting another", guard.process.pid);
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
            if answer.fenced != self.fenced {
                self.fenced = answer.fenced;
                tracing::error!("The guard has stopped PostgreSQL: the lease had ended and nobody had renewed it");
            }
            if spoken {
                // What they were on duty for is our own guard's now.
                self.strangers.drain(..).for_each(Stranger::end);
            }
            // The other end is our own.
            let _ = posted.changed().await;
        }
    }

    /// Returns when it is in office. One that was there before it has no office any more.
    async fn start(&self) -> Result<Guard, String> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("tamada").arg("guard").args([
            self.place.path.as_os_str(),
            self.data_dir.as_os_str(),
            &self.program,
        ]);
        let page = self.place.file.try_clone().map_err(|error| error.to_string())?;
        command.env_clear().stdin(Stdio::from(page)).stdout(Stdio::piped());
        let starting = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
        let said = tokio::time::timeout(START, starting.wait_with_output()).await;
        let said =
            said.map_err(|_| format!("it was not ready within {START:?}"))?.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&said.stdout);
        let guard = Guard::understood(&said).ok_or_else(|| format!("it cannot begin: {}", said.trim()))?;
        self.post.send_modify(|post| post.guard = Some(guard.bell.clone()));
        // What was ordered while it began.
        office::ring(&guard.bell);
        Ok(guard)
    }
}

impl Guard {
    /// From the line that it says when it is in office.
    fn understood(said: &str) -> Option<Self> {
        let mut words = said.trim().strip_prefix("ready ")?.splitn(3, ' ');
        let process = Process { pid: words.next()?.parse().ok()?, started: words.next()?.parse().ok()? };
        let bell = Arc::new(process.hold()?);
        // SAFETY: an owned descriptor stays open and the same as long as its owner lives.
        let ends = unsafe { AsyncFd::register_with_interest(bell.try_clone().ok()?, Interest::READABLE) }.ok()?;
        Some(Self { process, bell, ends, powers: words.next().unwrap_or_default().to_owned() })
    }

    async fn ended(&self) {
        // An error could only mean a closed descriptor.
        let _ = self.ends.readable().await;
    }
}

fn say(state: &GuardState) {
    match state {
        GuardState::Unknown | GuardState::Ready => {}
        GuardState::Failed(why) => {
            tracing::error!("There is no guard: PostgreSQL would outlive its lease if the agent failed: {why}");
        }
    }
}

/// A guard that reads a page which we do not write.
struct Stranger {
    path: PathBuf,
    process: Option<OwnedFd>,
}

impl Stranger {
    fn find(path: PathBuf) -> Option<Self> {
        let file = place::open_present(&path)?;
        let board = Board::map(&file, boot()).ok()?;
        match board.kind() {
            Kind::Ours | Kind::OtherVersion(_) => {}
            Kind::Blank => return None,
        }
        Some(Self { path, process: board.office().and_then(Process::hold) })
    }

    fn end(self) {
        if let Some(process) = &self.process {
            tracing::info!("Ending the guard that a predecessor left at {}", self.path.display());
            // It may have gone by itself.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        let _ = std::fs::remove_file(&self.path);
    }
}
