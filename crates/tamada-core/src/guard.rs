//! Whether this member may lead, as far as what watches over it goes: the guard, which is another process, and the
//! kernel's watchdog. Both are told by the core until when PostgreSQL may be writable (`agent/arm.rs`); here it hears
//! whether anybody is listening.
//!
//! Only where one is `required` it matters (ha-loop.md 13.1, 25.7): who has none does not run for leader, and a leader
//! that loses it gives up. The original stops PostgreSQL at once then; but PostgreSQL and we are well, so the lock goes to
//! a standby that has everything, and nothing is lost.

use std::fmt;

use tamada_model::GuardMode;

use crate::View;

/// What the program around us tells of the guard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum GuardState {
    /// One is being started, in the place of one that is gone perhaps; or none is wanted.
    #[default]
    Starting,
    Ready,
    /// There is none, and why.
    Failed(String),
}

/// What it tells of the kernel's watchdog.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum WatchdogState {
    /// Nothing depends on it.
    #[default]
    NotRequired,
    /// It will be started when the core says that PostgreSQL may become writable.
    Resting,
    Running,
    /// It cannot be used, and why.
    Failed(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watcher {
    Guard,
    Watchdog,
}

impl fmt::Display for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guard => "guard",
            Self::Watchdog => "watchdog",
        })
    }
}

/// What that means for leading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guarding<'v> {
    Enough,
    /// The guard will be told in a moment; what runs goes on meanwhile.
    Awaited,
    Missing(Watcher, &'v str),
}

pub fn guarding<'v>(view: &View<'v>) -> Guarding<'v> {
    if let WatchdogState::Failed(why) = &view.memory.watchdog {
        return Guarding::Missing(Watcher::Watchdog, why);
    }
    match (view.settings.guard, &view.memory.guard) {
        (GuardMode::Off | GuardMode::Automatic, _) | (GuardMode::Required, GuardState::Ready) => Guarding::Enough,
        (GuardMode::Required, GuardState::Starting) => Guarding::Awaited,
        (GuardMode::Required, GuardState::Failed(why)) => Guarding::Missing(Watcher::Guard, why),
    }
}

/// Who must be on duty before PostgreSQL is promoted, and is not yet.
pub fn awaited(view: &View<'_>) -> Option<Watcher> {
    if view.settings.pause {
        return None;
    }
    match (guarding(view), &view.memory.watchdog) {
        (Guarding::Awaited, _) => Some(Watcher::Guard),
        (_, WatchdogState::Resting) => Some(Watcher::Watchdog),
        (_, WatchdogState::NotRequired | WatchdogState::Running | WatchdogState::Failed(_)) => None,
    }
}
