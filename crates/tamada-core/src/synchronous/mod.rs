//! Synchronous replication (postgres.md 16, 17): whom commits wait for, which is a parameter of the primary, and who may
//! therefore lead next, which is the `sync` key.
//!
//! The two are written one after the other, and whoever writes them may die in between. So a name comes into the key
//! only when commits are known to wait for it, and commits wait for it until it is out of the key. Each pass makes at
//! most one of the two writes, and looks again: what is to be done next follows from what both places say then.

mod candidates;
pub mod election;
mod priority;
mod proof;
pub mod quorum;

use std::collections::BTreeSet;

use tamada_model::{Cluster, MemberName, Settings, Stamp, Stamped, SyncNames, SyncState, SyncWay, SynchronousMode};

use crate::View;
use crate::decision::{Chore, Note};

pub use proof::Proof;

use candidates::Candidate;
use quorum::{Inconsistent, Names, Quorum};

/// What is to be done now about synchronous replication.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Upkeep {
    pub write: Option<Write>,
    pub notes: Vec<Note>,
}

/// The next write.
#[derive(Clone, PartialEq, Debug)]
pub enum Write {
    Key {
        sync: SyncState,
        judged: Option<Stamp>,
    },
    Parameter(SyncNames),
    /// Nothing is synchronous any more.
    Forget(Stamp),
}

impl From<Write> for Chore {
    fn from(write: Write) -> Self {
        match write {
            Write::Key { sync, judged } => Chore::SetSync { sync, judged },
            Write::Parameter(names) => Chore::SetSyncNames(names),
            Write::Forget(judged) => Chore::DeleteSync(judged),
        }
    }
}

/// The mode in force: a standby cluster has none (ha-loop.md 29.1).
pub fn mode(settings: &Settings) -> SynchronousMode {
    match settings.standby_cluster {
        Some(_) => SynchronousMode::Off,
        None => settings.synchronous_mode,
    }
}

/// The `sync` key, if synchronous replication is switched on and has begun.
pub fn active<'c>(settings: &Settings, cluster: &'c Cluster) -> Option<&'c SyncState> {
    let sync = cluster.sync.as_ref().map(|sync| &sync.value).filter(|sync| sync.leader.is_some());
    sync.filter(|_| mode(settings) != SynchronousMode::Off)
}

/// Both places, and who could be synchronous, as this pass sees them.
struct Places<'a> {
    view: &'a View<'a>,
    key: &'a SyncState,
    stamp: Option<&'a Stamp>,
    parameter: &'a SyncNames,
    candidates: Vec<Candidate<'a>>,
    /// How many standbys a commit shall wait for.
    wanted: usize,
}

/// For a running primary that holds the lock.
pub fn upkeep(view: &View<'_>, cluster: &Cluster) -> Upkeep {
    let Some(live) = view.live().filter(|live| live.is_primary()) else { return Upkeep::default() };
    let way = match mode(view.settings) {
        SynchronousMode::Off => return forgotten(cluster),
        SynchronousMode::On => SyncWay::Priority,
        SynchronousMode::Quorum => SyncWay::Quorum,
    };
    let nothing = SyncState::default();
    let places = Places {
        view,
        key: cluster.sync.as_ref().map_or(&nothing, |sync| &sync.value),
        stamp: cluster.sync.as_ref().map(|sync| &sync.stamp),
        parameter: &live.synchronous.names,
        candidates: candidates::of(view, cluster),
        wanted: view.settings.synchronous_node_count as usize,
    };
    // What follows from the parameter follows when it is in force.
    if !view.memory.sync_proof.is_in_force() {
        return Upkeep::default();
    }
    places.upkeep(way).without_repetition(view)
}

/// What is to be written before a standby that holds the lock may be promoted (ha-loop.md 27.4); `None`: nothing, or
/// nothing that would help.
///
/// Commits of the new primary wait from the first one on. By quorum: for as many of the others as it takes to be found in
/// any election by the key as it is; then the key becomes ours. By priority the key becomes ours first.
///
/// 1. The parameter is set, and we are promoted. The checkpointer, busy with files, has not heard of it.
/// 2. Commits are acknowledged at once. We are lost before that ends, and b is elected by the key as it was.
///
/// Therefore the promotion waits for that, too. (The original does not.)
pub fn before_promotion(view: &View<'_>, cluster: &Cluster) -> Option<Upkeep> {
    let nothing = SyncState::default();
    let key = cluster.sync.as_ref().map_or(&nothing, |sync| &sync.value);
    let places = Places {
        view,
        key,
        stamp: cluster.sync.as_ref().map(|sync| &sync.stamp),
        parameter: &view.live()?.synchronous.names,
        candidates: Vec::new(),
        wanted: 0,
    };
    let upkeep = match mode(view.settings) {
        SynchronousMode::Off => return None,
        SynchronousMode::Quorum => places.preset_for_quorum(),
        SynchronousMode::On => places.preset_for_priority(),
    };
    match upkeep.write {
        None if view.memory.sync_proof.is_in_force() => None,
        None => Some(Upkeep::default()),
        // One that does not take holds up nobody.
        Some(_) => Some(upkeep.without_repetition(view)).filter(|upkeep| upkeep.write.is_some()),
    }
}

fn forgotten(cluster: &Cluster) -> Upkeep {
    let Some(Stamped { stamp, .. }) = &cluster.sync else { return Upkeep::default() };
    let notes = vec![Note::info("Disabled synchronous replication")];
    Upkeep { write: Some(Write::Forget(stamp.clone())), notes }
}

impl Upkeep {
    /// A parameter that does not take (the operator's `ALTER SYSTEM` is stronger than our file) is not set again and
    /// again.
    fn without_repetition(self, view: &View<'_>) -> Self {
        let asked = view.memory.sync_names_asked.as_ref();
        let repeats = |names: &SyncNames| {
            asked.is_some_and(|(last, at)| last == names && view.now.mono.since(*at) < view.settings.loop_wait)
        };
        match &self.write {
            Some(Write::Parameter(names)) if repeats(names) => Upkeep { write: None, notes: Vec::new() },
            Some(_) | None => self,
        }
    }
}

impl Places<'_> {
    fn upkeep(&self, way: SyncWay) -> Upkeep {
        let me = &self.view.me.name;
        let key = self.key;
        let Some(leader) = &key.leader else {
            let note = Note::info("Enabled synchronous replication");
            return self.key(0, Names::new(), note);
        };
        if let Some(upkeep) = self.strict(way).filter(|_| leader == me) {
            return upkeep;
        }
        if way == SyncWay::Quorum {
            return self.quorum(leader);
        }
        if leader != me {
            let note = Note::warning(format!(
                "Inconsistent state of /sync key detected, leader = {leader} doesn't match {me}, updating synchronous \
                 replication key"
            ));
            return self.key(0, Names::new(), note);
        }
        self.priority()
    }

    /// 16.9: nobody is left to wait for, and commits shall rather wait than be lost.
    fn strict(&self, way: SyncWay) -> Option<Upkeep> {
        if !self.view.settings.synchronous_mode_strict || !self.candidates.is_empty() {
            return None;
        }
        let names: Names = self.key.standbys.iter().cloned().collect();
        let count = match way {
            SyncWay::Quorum => names.len().saturating_sub(self.key.quorum as usize),
            SyncWay::Priority | SyncWay::Off => names.len(),
        };
        let wanted = SyncNames::new(way, count.max(1), names);
        let kept = match wanted.names.is_empty() {
            true => String::new(),
            false => format!("Continue using old value of synchronous_standby_names=\"{wanted}\". "),
        };
        let note = Note::warning(format!(
            "No active replication connections from Patroni members and synchronous_mode_strict is requested. {kept}\
             Commits will be delayed."
        ));
        let write = (wanted != *self.parameter).then_some(Write::Parameter(wanted));
        Some(Upkeep { write, notes: vec![note] })
    }

    fn quorum(&self, leader: &MemberName) -> Upkeep {
        let active = self.active_in_quorum();
        let state = Quorum {
            leader: leader.clone(),
            we: self.view.me.name.clone(),
            quorum: self.key.quorum as usize,
            voters: self.key.standbys.iter().cloned().collect(),
            count: (self.parameter.count as usize).min(self.parameter.names.len()),
            sync: self.parameter.names.clone(),
            confirmed: active.iter().filter(|candidate| candidate.ready).count(),
            active: active.iter().map(|candidate| candidate.name.clone()).collect(),
            wanted: self.wanted,
        };
        let (changes, doubts) = match quorum::changes(&state) {
            Ok(found) => found,
            Err(inconsistent) => return Upkeep { write: None, notes: vec![doubted(inconsistent)] },
        };
        let mut upkeep = match changes.into_iter().next() {
            Some(change) if state.is_relaxed_by(&change) && !self.has_caught_up(&active) => Upkeep::default(),
            Some(quorum::Change::Key { leader, quorum, voters }) => {
                let listed = listed(&voters);
                let count = voters.len();
                let note = Note::info(format!("Setting leader to {leader}, quorum to {quorum} of {count} ({listed})"));
                self.key(quorum, voters, note)
            }
            Some(quorum::Change::Parameter { count, sync }) => {
                self.parameter(SyncNames::new(SyncWay::Quorum, count, sync))
            }
            Some(quorum::Change::AwaitStandbys) | None => self.in_quorums_form(),
        };
        upkeep.notes.extend(doubts.map(doubted));
        upkeep
    }

    /// 1. Commits wait for b or c. b confirms; c, which lags, has nothing of it yet. b is lost.
    /// 2. Commits are made to wait for c alone, and the key says at once that c may lead without anybody's vote.
    /// 3. We are lost before c has caught up. c leads without what b confirmed.
    ///
    /// Therefore an election does not become easier before everybody whom commits wait for, and who is here, has all that
    /// was acknowledged until then. (In the original it does.)
    fn has_caught_up(&self, active: &[&Candidate<'_>]) -> bool {
        active.iter().filter(|candidate| self.parameter.names.contains(candidate.name)).all(|candidate| candidate.ready)
    }

    /// Whoever must not lead votes only where the others are too few.
    fn active_in_quorum(&self) -> Vec<&Candidate<'_>> {
        let mut active: Vec<&Candidate<'_>> = Vec::new();
        for candidate in &self.candidates {
            if !candidate.nofailover || active.len() < self.wanted {
                active.push(candidate);
            }
        }
        active
    }

    /// 17.3: all is well but for the form (the mode was `on` before).
    fn in_quorums_form(&self) -> Upkeep {
        let form = match self.parameter.way {
            SyncWay::Priority => SyncNames { way: SyncWay::Quorum, ..self.parameter.clone() },
            SyncWay::Quorum | SyncWay::Off => return Upkeep::default(),
        };
        self.parameter(form)
    }

    /// 1. c leads and is lost. a is elected by the key in which c leads, makes commits wait for b or c, and is promoted. b
    ///    confirms some; before a has written the key, it is lost, too.
    /// 2. c is back alone. It is the leader by the key, which has everything and needs no vote.
    ///
    /// Therefore the key is ours before we are promoted. (In the original it becomes ours afterwards.)
    fn preset_for_quorum(&self) -> Upkeep {
        let (electing, others) = self.predecessors();
        // We are found without being asked.
        let ourselves = usize::from(electing.len() > others.len());
        let count = electing.len().saturating_sub(self.key.quorum as usize + ourselves);
        let least = usize::from(self.view.settings.synchronous_mode_strict);
        let parameter = SyncNames::new(SyncWay::Quorum, count.max(least), others.clone());
        if parameter != *self.parameter || !self.view.memory.sync_proof.is_in_force() {
            return self.parameter(parameter);
        }
        if self.key.leader.as_ref() == Some(&self.view.me.name) {
            return Upkeep::default();
        }
        let (me, quorum, list) = (&self.view.me.name, self.key.quorum, listed(&others));
        let note = Note::info(format!("Setting leader to {me}, quorum to {quorum} of {} ({list})", others.len()));
        self.key(quorum as usize, others, note)
    }

    fn preset_for_priority(&self) -> Upkeep {
        let strict = self.view.settings.synchronous_mode_strict;
        let kept = if strict { self.predecessors().1 } else { Names::new() };
        let standbys: Vec<MemberName> = kept.iter().cloned().collect();
        let ours = SyncState { leader: Some(self.view.me.name.clone()), quorum: 0, standbys };
        if *self.key != ours {
            let note = Note::info(format!("Synchronous standby status assigned to [{}]", listed(&kept)));
            return self.key(0, kept, note);
        }
        self.parameter(SyncNames::new(SyncWay::Priority, kept.len().max(usize::from(strict)), kept))
    }

    /// Those who could have elected us, and the same without us.
    fn predecessors(&self) -> (Names, Names) {
        let electing: Names = self.key.standbys.iter().chain(&self.key.leader).cloned().collect();
        let mut others = electing.clone();
        others.remove(&self.view.me.name);
        (electing, others)
    }

    fn key(&self, quorum: usize, standbys: BTreeSet<MemberName>, note: Note) -> Upkeep {
        let sync = SyncState {
            leader: Some(self.view.me.name.clone()),
            quorum: u32::try_from(quorum).unwrap_or(u32::MAX),
            standbys: standbys.into_iter().collect(),
        };
        Upkeep { write: Some(Write::Key { sync, judged: self.stamp.cloned() }), notes: vec![note] }
    }

    fn parameter(&self, names: SyncNames) -> Upkeep {
        if names == *self.parameter {
            return Upkeep::default();
        }
        let note = match names.holds_commits() {
            true => Note::info(format!("Assigning synchronous_standby_names to {names}")),
            false => Note::info("Assigning synchronous_standby_names to None"),
        };
        Upkeep { write: Some(Write::Parameter(names)), notes: vec![note] }
    }
}

fn doubted(inconsistent: Inconsistent) -> Note {
    Note::warning(format!("Quorum and sync not guaranteed to overlap: {inconsistent}"))
}

fn listed(names: &Names) -> String {
    names.iter().map(MemberName::as_str).collect::<Vec<&str>>().join(", ")
}
