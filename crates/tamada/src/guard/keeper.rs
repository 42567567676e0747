//! The agent's side: what the guard is to believe.
//!
//! Writing an order is a few stores and a signal; nobody waits. That there is a guard who reads it is the work of a task
//! beside (`keep.rs`).

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tamada_core::{Arm, Event, GuardState};
use tamada_model::{GuardMode, PostgresConfig};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::board::{Board, Duty, Kind, Order};
use super::keep::{Keep, Post};
use super::office;
use super::place::{self, Medium};
use super::process::{Process, boot};
use super::stranger::Stranger;

pub struct Keeper {
    data_dir: PathBuf,
    /// What the configuration calls PostgreSQL's program; empty if nothing.
    program: OsString,
    events: mpsc::Sender<Event>,
    mode: GuardMode,
    /// What the core said last. Until it has said anything, what a predecessor said is in force.
    said: Option<Arm>,
    charge: Option<Charge>,
}

/// The page, and the task that keeps a guard for it.
struct Charge {
    writer: Writer,
    task: AbortHandle,
}

struct Writer {
    board: Board,
    me: Process,
    post: watch::Sender<Post>,
}

/// Whose will an order is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Speaker {
    Core,
    Predecessor,
}

impl Keeper {
    pub fn new(postgres: &PostgresConfig, events: mpsc::Sender<Event>) -> Self {
        let data_dir = place::resolve(&postgres.data_dir);
        let program = postgres.bin_names.get("postgres").cloned().unwrap_or_default();
        Self { data_dir, program: program.into(), events, mode: GuardMode::Off, said: None, charge: None }
    }

    /// In force at once; a guard that is not wanted any more goes.
    pub fn set_mode(&mut self, mode: GuardMode) {
        self.mode = mode;
        match (mode, &self.charge) {
            (GuardMode::Off, _) => self.switch_off(),
            (GuardMode::Automatic | GuardMode::Required, Some(_)) => {}
            (GuardMode::Automatic | GuardMode::Required, None) => self.begin(),
        }
    }

    /// In force when this returns, for a guard that reads its page now or later.
    pub fn publish(&mut self, arm: Arm) {
        let first = self.said.replace(arm).is_none();
        match (self.mode, &self.charge) {
            (GuardMode::Off, _) => {
                self.switch_off();
                if first {
                    let left = place::of_any_version(&self.data_dir);
                    left.into_iter().filter_map(Stranger::find).for_each(Stranger::end);
                }
            }
            (GuardMode::Automatic | GuardMode::Required, Some(charge)) => charge.writer.order(duty(arm), Speaker::Core),
            (GuardMode::Automatic | GuardMode::Required, None) => {}
        }
    }

    fn begin(&mut self) {
        match Charge::begin(self) {
            Ok(charge) => self.charge = Some(charge),
            Err(why) => {
                // Not tried again before the configuration changes: what is wrong there does not mend itself.
                let (why, events) = (format!("its page cannot be used: {why}"), self.events.clone());
                tracing::error!("{}", without_guard(&why));
                tokio::spawn(async move { events.send(Event::Guard(GuardState::Failed(why))).await });
            }
        }
    }

    /// Not before the core has spoken: a predecessor's guard may be all that stands between two primaries.
    fn switch_off(&mut self) {
        if let Some(charge) = self.charge.take_if(|_| self.said.is_some()) {
            charge.task.abort();
            charge.writer.order(Duty::Go, Speaker::Core);
            tracing::info!("The guard is switched off");
        }
    }
}

/// For the log.
pub fn without_guard(why: &str) -> String {
    format!("There is no guard, and PostgreSQL would outlive its lease if the agent failed: {why}")
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
        let path = place.path.display();
        match (place.medium, keeper.mode) {
            (Medium::Memory, _) => {}
            (Medium::Disk, GuardMode::Required) => {
                return Err(io::Error::other(format!("{path} is on a disk, and one that hangs would stop the guard")));
            }
            (Medium::Disk, GuardMode::Automatic | GuardMode::Off) => {
                tracing::warn!("The guard's page {path} is on a disk, and one that hangs would stop the guard");
            }
        }
        let board = Board::map(&place.file, boot())?;
        if board.kind() != Kind::Ours {
            board.begin();
        }
        let (speaker, duty) = match (keeper.said, board.order().map(|order| order.duty)) {
            (Some(arm), _) => (Speaker::Core, duty(arm)),
            (None, Some(left @ Duty::Fence { .. })) => (Speaker::Predecessor, left),
            (None, Some(Duty::Rest | Duty::Go) | None) => (Speaker::Predecessor, Duty::Rest),
        };
        // Until ours is in office, whoever is there hears us too.
        let guard = board.office().and_then(Process::hold).map(Arc::new);
        let post = watch::Sender::new(Post { guard, ..Post::default() });
        let keep = Keep {
            board,
            place,
            data_dir: keeper.data_dir.clone(),
            program: keeper.program.clone(),
            post: post.clone(),
            events: keeper.events.clone(),
            strangers: Stranger::of_other_versions(&keeper.data_dir),
            fenced: board.answer().fenced,
            armed: false,
            told: None,
        };
        let writer = Writer { board, me: Process::me(), post };
        // A guard that begins finds an order, and who gave it.
        writer.order(duty, speaker);
        Ok(Self { writer, task: tokio::spawn(keep.keep()).abort_handle() })
    }
}

impl Writer {
    fn order(&self, duty: Duty, speaker: Speaker) {
        let number = self.board.order().map_or(0, |order| order.number) + 1;
        self.board.write_order(&Order { number, duty, agent: self.me });
        self.post.send_modify(|post| {
            post.number = number;
            post.spoken |= speaker == Speaker::Core;
        });
        if let Some(guard) = &self.post.borrow().guard {
            office::ring(guard);
        }
    }
}
