//! Whether this member may lead, as far as its guard goes. The guard itself is another process; the core tells it until
//! when PostgreSQL may be writable (`agent/arm.rs`), and hears here whether anybody is listening.
//!
//! Only with `guard: {mode: required}` it matters. Then the rules are those of a required watchdog (ha-loop.md 13.1,
//! 25.7): who has none does not run for leader, and a leader that loses it gives up. Unlike a watchdog's, the failure
//! leaves time: PostgreSQL and we are well, so the lock goes to a standby that has everything, and nothing is lost.

use tamada_model::GuardMode;

use crate::View;

/// What the program around us tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum GuardState {
    /// One is being started, in the place of one that is gone perhaps; or none is wanted.
    #[default]
    Starting,
    Ready,
    /// There is none, and why.
    Failed(String),
}

/// What that means for leading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guarding<'v> {
    Enough,
    /// It will be told in a moment; what runs goes on meanwhile.
    Awaited,
    Missing(&'v str),
}

pub fn guarding<'v>(view: &View<'v>) -> Guarding<'v> {
    match (view.settings.guard, &view.memory.guard) {
        (GuardMode::Off | GuardMode::Automatic, _) | (GuardMode::Required, GuardState::Ready) => Guarding::Enough,
        (GuardMode::Required, GuardState::Starting) => Guarding::Awaited,
        (GuardMode::Required, GuardState::Failed(why)) => Guarding::Missing(why),
    }
}
