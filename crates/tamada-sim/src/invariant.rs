//! What must hold whatever goes wrong, one promise per file, each with the sentence that it defends.
//!
//! They look at the world from outside and know what no member knows: everybody's data, the store's own clock, what
//! clients were told. The numbers are those of failure-scenarios.md 5.

mod best_leads;
mod bounded;
mod bounded_loss;
mod data_kept;
#[cfg(test)]
mod hands;
mod heals;
mod history_whole;
mod lease_kept;
mod no_loss;
mod nofailover_kept;
mod one_action;
mod one_primary;
mod pause_kept;
mod sync_key;

use std::fmt;

use tamada_model::Job;

use crate::Host;
use crate::fault::Fault;
use crate::postgres::News;
use crate::script::Script;
use crate::store::Changes;
use crate::world::World;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub promise: &'static str,
    pub what: String,
}

impl Violation {
    pub fn new(promise: &'static str, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// All promises, watched over one run.
#[derive(Debug, Default)]
pub struct Promises {
    one_primary: one_primary::OnePrimary,
    no_loss: no_loss::NoLoss,
    bounded_loss: bounded_loss::BoundedLoss,
    best_leads: best_leads::BestLeads,
    lease_kept: lease_kept::LeaseKept,
    sync_key: sync_key::SyncKey,
    data_kept: data_kept::DataKept,
    heals: heals::Heals,
    bounded: bounded::Bounded,
    pause_kept: pause_kept::PauseKept,
    nofailover_kept: nofailover_kept::NofailoverKept,
    history_whole: history_whole::HistoryWhole,
    one_action: one_action::OneAction,
    /// The first that was broken.
    pub broken: Option<Violation>,
    /// Everything is over, and the cluster is whole.
    pub fulfilled: bool,
}

type Seen = Result<(), Violation>;

fn is_promotion(job: &Job) -> bool {
    match job {
        Job::Promote { .. } => true,
        Job::Bootstrap
        | Job::PostBootstrap
        | Job::Clone { .. }
        | Job::Reinitialize { .. }
        | Job::StartPrimary { .. }
        | Job::StartStandby { .. }
        | Job::ChangeUpstream { .. }
        | Job::Restart { .. }
        | Job::CrashRecovery
        | Job::Rewind { .. }
        | Job::Stop(_)
        | Job::AbandonBootstrap
        | Job::RemoveData => false,
    }
}

impl Promises {
    pub fn new(script: &Script) -> Self {
        Self { heals: heals::Heals::new(script), ..Self::default() }
    }

    fn note<const N: usize>(&mut self, seen: [Seen; N]) {
        if let Some(Err(violation)) = seen.into_iter().find(Result::is_err) {
            self.broken.get_or_insert(violation);
        }
    }

    /// PostgreSQL did something.
    pub fn news(&mut self, news: &News, world: &World) {
        self.heals.news(news, world);
        self.nofailover_kept.news(news, world);
        let seen = [
            self.one_primary.news(news, world),
            self.no_loss.news(news, world),
            self.bounded_loss.news(news, world),
            self.data_kept.news(news, world),
        ];
        self.note(seen);
    }

    /// A member's agent begins a long action.
    pub fn begins(&mut self, host: Host, job: &Job, world: &World) {
        self.no_loss.begins(host, job);
        self.data_kept.begins(host, job);
        let seen = [
            self.lease_kept.begins(host, job, world),
            self.pause_kept.begins(host, job, world),
            self.one_action.begins(host, job, world),
        ];
        self.note(seen);
    }

    /// A member has published a report.
    pub fn told(&mut self, host: Host, world: &World) {
        self.note([self.lease_kept.told(host, world)]);
    }

    pub fn store_changed(&mut self, changes: &Changes, world: &World) {
        self.no_loss.store_changed(changes, world);
        let seen = [
            self.lease_kept.store_changed(changes, world),
            self.sync_key.store_changed(changes, world),
            self.nofailover_kept.store_changed(changes, world),
            self.best_leads.store_changed(changes, world),
        ];
        self.note(seen);
    }

    pub fn fault_begins(&mut self, number: usize, fault: &Fault, world: &World) {
        self.best_leads.begins(number, fault, world);
    }

    pub fn fault_ends(&mut self, number: usize, fault: &Fault, world: &World) {
        self.best_leads.ends(number, fault, world);
    }

    /// A member gave the lock away.
    pub fn released(&mut self, host: Host, world: &World) {
        self.no_loss.released(host, world);
    }

    /// A member's agent is asked to end.
    pub fn leaves(&mut self, host: Host) {
        self.no_loss.leaves(host);
    }

    /// A member's agent has ended, by itself or not.
    pub fn dies(&mut self, host: Host) {
        self.no_loss.dies(host);
    }

    /// Once a second.
    pub fn look(&mut self, world: &World) {
        let seen = [
            self.one_primary.look(world),
            self.lease_kept.look(world),
            self.bounded.look(world),
            self.sync_key.look(world),
        ];
        self.note(seen);
        self.best_leads.look(world);
        self.fulfilled = self.heals.look(world) && self.history_whole.look(world).is_ok();
    }

    /// An operator agreed that this member's data may go.
    pub fn allowed(&mut self, host: Host) {
        self.data_kept.allowed(host);
    }

    /// An operator took the lock away, or made a primary by hand: for a while, what follows is theirs.
    pub fn meddled(&mut self, world: &World) {
        self.one_primary.meddled(world);
        self.no_loss.meddled();
        self.lease_kept.meddled(world);
        self.bounded_loss.meddled(world);
        self.best_leads.meddled(world);
    }

    /// Its agent will stop it, if there is one: until then it is theirs.
    pub fn promoted_by_hand(&mut self, host: Host, world: &World) {
        self.meddled(world);
        self.one_primary.promoted_by_hand(host);
        self.no_loss.promoted_by_hand(host);
        self.sync_key.promoted_by_hand(host);
    }

    pub fn at_the_end(&mut self, world: &World) {
        if !self.fulfilled {
            let seen = [self.heals.at_the_end(world), self.history_whole.look(world)];
            self.note(seen);
        }
    }
}
