//! What readings, answers of the store and ends of jobs change in memory, before anything is decided on them.

use std::sync::Arc;

use tamada_model::{Cluster, Job, JobEnd, MemberName, Mono, Now, PostgresFacts, Upstream};

use super::{Agent, Effect};
use crate::decision::{Leave, Note, Reason};
use crate::lease::HeldLease;
use crate::memory::{Bootstrap, ComesBack, Rewind, StepDownMode};
use crate::plan::{DcsWrite, WriteOutcome};
use crate::plant::{Plant, is_planted};
use crate::view::Seen;
use crate::{phrase, slots};

impl Agent {
    /// 9.2: what a fresh reading of the store changes in memory before anything is decided.
    pub(super) fn learn_cluster(&mut self, cluster: &Arc<Cluster>, now: Now) {
        let me = &self.setup.me.name;
        if cluster.leader_name() != Some(me) {
            self.memory.lease = None;
        }
        if is_planted(Plant::ReadingRenews) {
            self.memory.lease = self.memory.lease.map(|lease| HeldLease { asked_at: now.mono, ..lease });
        }
        if cluster.is_unlocked() {
            self.memory.seen_leaderless.extend(cluster.members.clone());
        } else {
            self.memory.race_opened = None;
            self.memory.acquire_failed = None;
            self.memory.seen_leaderless.clear();
        }
        self.doubt_rewind(cluster);
        let forsaken = self.memory.bootstrap.is_none() && crate::bootstrap::is_forsaken(cluster);
        self.memory.forsaken_since = forsaken.then(|| self.memory.forsaken_since.unwrap_or(now.mono));
        if !cluster.is_unlocked() || self.memory.cluster_with_leader.is_none() {
            self.memory.cluster_with_leader = Some(cluster.clone());
        }
        self.memory.leader_timeline = cluster.leader_member().and_then(|leader| leader.timeline);
        if self.setup.settings.pause {
            self.memory.was_paused = true;
        } else if self.memory.was_paused {
            self.memory.was_paused = false;
            if !self.memory.rewind.is_beyond_help() {
                self.memory.rewind = Rewind::Unsuspected;
            }
        }
    }

    pub(super) fn learn_postgres(&mut self, postgres: &PostgresFacts, now: Now) {
        let runs = postgres.process.is_running();
        if runs && self.running.is_none() {
            if postgres.answers.live().is_some() {
                self.memory.recovering = false;
                self.memory.starting_since = None;
                self.memory.start_timeout = None;
                self.memory.crash_recovery_tried = false;
                self.memory.comes_back = ComesBack::Unasked;
                if self.memory.rewind == Rewind::Done {
                    self.memory.rewind = Rewind::Unsuspected;
                }
            } else {
                self.memory.starting_since.get_or_insert(now.mono);
            }
            self.memory.crashed = false;
        }
        if !runs && self.memory.was_running && self.running.is_none() && self.memory.step_down.is_none() {
            self.memory.crashed = true;
            if self.memory.rewind == Rewind::NotNeeded {
                self.memory.rewind = Rewind::Unsuspected;
            }
        }
        if self.running.is_none() {
            self.memory.was_running = runs;
        }
        if !runs {
            self.memory.sync_names_asked = None;
        }
        self.memory.previous_wal = self.memory.wal;
        if let Some(live) = postgres.answers.live() {
            self.memory.wal = Some(live.wal_position());
            self.memory.sync_proof.look(live);
            self.memory.sync_names_asked.take_if(|(names, _)| *names == live.synchronous.names);
        }
    }

    /// What an answer of the store, or its absence, changes in memory.
    pub(super) fn learn_write(
        &mut self,
        write: &DcsWrite,
        outcome: &WriteOutcome,
        asked_at: Mono,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let done = *outcome == WriteOutcome::Done;
        if done {
            self.failed_writes = 0;
        }
        let asked_at = if is_planted(Plant::LeaseCountedFromAnswer) { now.mono } else { asked_at };
        let lease = done.then_some(HeldLease { asked_at, ttl: self.setup.settings.ttl });
        match write {
            DcsWrite::Acquire => return self.learn_acquire(outcome, lease, now, effects),
            DcsWrite::Renew { .. } => self.learn_renewal(outcome, lease, now, effects),
            DcsWrite::Take => {
                self.memory.lease = lease;
                if done {
                    self.memory.bootstrap = None;
                    self.memory.was_running = true;
                    effects.push(Effect::Say(self.sentence.clone()));
                }
            }
            DcsWrite::Release { .. } => self.learn_release(outcome, now, effects),
            DcsWrite::BeginBootstrap if done => effects.push(Effect::Say(self.sentence.clone())),
            DcsWrite::BeginBootstrap => {
                self.because = Some(Reason::InitializeLost);
                let lost = phrase::sentence(&Reason::InitializeLost, self.setup.me.name.as_str());
                self.sentence = lost.unwrap_or_default();
                effects.push(Effect::Say(self.sentence.clone()));
            }
            DcsWrite::SetInitialize { .. }
            | DcsWrite::DeleteInitialize
            | DcsWrite::SetConfig(_)
            | DcsWrite::ClearFailover(_)
            | DcsWrite::SetFailover { .. }
            | DcsWrite::SetHistory(_) => {}
            DcsWrite::SetSync { .. } | DcsWrite::DeleteSync(_) => {
                effects.extend(unwritten(outcome).map(Effect::Log));
            }
        }
        if !done {
            self.pause_after_failure(now);
        }
    }

    fn learn_acquire(&mut self, outcome: &WriteOutcome, lease: Option<HeldLease>, now: Now, effects: &mut Vec<Effect>) {
        let lost_before = self.memory.lost_race;
        self.memory.lease = lease;
        self.memory.won_race = lease.is_some();
        self.memory.lost_race = *outcome == WriteOutcome::Beaten;
        match outcome {
            WriteOutcome::Done => self.restart_retention(now),
            WriteOutcome::Beaten => {
                effects.push(Effect::Log(Note::info("Could not take out TTL lock")));
                // The first time the winner is worth an immediate look. If we then see none, readings are behind.
                if lost_before {
                    self.pause_after_failure(now);
                }
            }
            WriteOutcome::Unclear(why) | WriteOutcome::Failed(why) => {
                self.memory.acquire_failed = Some(why.clone());
                self.log_once(Note::warning(format!("The leader lock could not be taken: {why}")), effects);
                self.pause_after_failure(now);
            }
        }
    }

    fn log_once(&mut self, note: Note, effects: &mut Vec<Effect>) {
        effects.extend(Some(note).filter(|note| self.said.note(note, false)).map(Effect::Log));
    }

    fn learn_renewal(&mut self, outcome: &WriteOutcome, lease: Option<HeldLease>, now: Now, effects: &mut Vec<Effect>) {
        match outcome {
            WriteOutcome::Done => {
                self.memory.lease = lease;
                self.keep_retained(now, effects);
            }
            WriteOutcome::Unclear(_) if is_planted(Plant::UnclearRenewalCounts) => {
                self.memory.lease = Some(HeldLease { asked_at: now.mono, ttl: self.setup.settings.ttl });
            }
            WriteOutcome::Beaten => self.memory.lease = None,
            // Extends nothing; what we hold runs on to its own end.
            WriteOutcome::Unclear(_) | WriteOutcome::Failed(_) => {}
        }
        if let Some(seen) = &mut self.seen {
            seen.asked.renewal = Some(outcome.clone());
        }
    }

    /// 1. We stopped PostgreSQL and give the key back; the store does not answer.
    /// 2. We act as if it had: nobody gives the key back any more.
    /// 3. The others wait for it to run out, a whole ttl, with nobody writable.
    ///
    /// Therefore the lease stays ours until the store has spoken: whatever wanted the key gone wants it in the next pass,
    /// too.
    fn learn_release(&mut self, outcome: &WriteOutcome, now: Now, effects: &mut Vec<Effect>) {
        match outcome {
            WriteOutcome::Done | WriteOutcome::Beaten => {}
            WriteOutcome::Unclear(why) | WriteOutcome::Failed(why) => {
                self.log_once(Note::warning(format!("The leader lock could not be given back: {why}")), effects);
                return;
            }
        }
        self.memory.lease = None;
        self.memory.won_race = false;
        self.memory.recovering = false;
        if let Some(step_down) = &mut self.memory.step_down {
            step_down.released_at = Some(now.mono);
        }
        effects.push(Effect::Log(Note::info("Leader key released")));
        let spoken = self.because.as_ref().and_then(|because| phrase::sentence(because, self.setup.me.name.as_str()));
        effects.extend(spoken.map(Effect::Say));
    }

    /// 9.7: after taking the lock, absent members' slots are kept for their full time again. So is the former leader's:
    /// it did not count among its own standbys, its key ran out with the lock, and it will want its WAL when it is back.
    fn restart_retention(&mut self, now: Now) {
        let mut names = self.cluster().map(|cluster| cluster.status.retain_slots.clone()).unwrap_or_default();
        names.extend(self.former_leader().map(MemberName::slot_name));
        self.memory.retained_slots = names.into_iter().map(|name| (name, now.mono)).collect();
    }

    fn former_leader(&self) -> Option<&MemberName> {
        let former = self.memory.cluster_with_leader.as_ref()?;
        let name = former.leader_name().filter(|name| **name != self.setup.me.name)?;
        former.members.get(name).filter(|member| !member.tags.nostream()).map(|_| name)
    }

    fn keep_retained(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(seen) = self.seen.take() else {
            return;
        };
        if let Seen::Fresh { fact, .. } = &seen.cluster {
            for slot in slots::streaming_slots(&self.view(&seen, now), fact) {
                self.memory.retained_slots.insert(slot, now.mono);
            }
        }
        let ttl = self.setup.settings.member_slots_ttl;
        self.memory.retained_slots.retain(|slot, at| {
            let keeps = now.mono.since(*at) < ttl;
            if !keeps {
                let seconds = ttl.as_secs();
                let text =
                    format!("Replication slot '{slot}' for absent cluster member is expired after {seconds} sec.");
                effects.push(Effect::Log(Note::info(text)));
            }
            keeps
        });
        self.seen = Some(seen);
    }

    pub(super) fn learn_job_end(&mut self, job: &Job, end: &JobEnd, effects: &mut Vec<Effect>) {
        // It may have been a start, which writes the file anew.
        self.memory.sync_names_asked = None;
        match job {
            Job::Bootstrap => {
                let ok = matches!(end, JobEnd::Done | JobEnd::StillStarting);
                self.memory.bootstrap = Some(if ok { Bootstrap::Creating } else { Bootstrap::Failed });
            }
            Job::PostBootstrap => {
                let ok = *end == JobEnd::Done;
                self.memory.bootstrap = Some(if ok { Bootstrap::Prepared } else { Bootstrap::Failed });
            }
            Job::AbandonBootstrap => {
                effects.push(Effect::Log(Note::critical("Failed to bootstrap cluster")));
                let asked = self.memory.leaving && !self.memory.refusing;
                self.leave(if asked { Leave::AsAsked } else { Leave::Refusing }, effects);
            }
            Job::Stop(_) => {
                let Some(step_down) = &mut self.memory.step_down else { return };
                step_down.failed = true;
                // It will be stopped again, but without a lease not a moment may pass until then.
                if self.memory.lease.is_none() && !self.setup.settings.pause && !matches!(end, JobEnd::Stopped(_)) {
                    effects.push(Effect::Fence);
                }
                if let JobEnd::Stopped(position) = end {
                    step_down.failed = false;
                    step_down.stopped = Some(*position);
                    self.memory.comes_back = match step_down.mode {
                        StepDownMode::Shutdown => ComesBack::Unasked,
                        StepDownMode::Offline
                        | StepDownMode::Graceful
                        | StepDownMode::Immediate
                        | StepDownMode::ImmediateNoLock => ComesBack::AsStandby,
                    };
                }
            }
            Job::Promote { .. } => self.memory.pre_promote_refused = *end == JobEnd::PrePromoteRefused,
            Job::Rewind { from, .. } => {
                self.memory.rewound_from = match from {
                    Upstream::Member(leader) => Some(leader.name.clone()),
                    Upstream::Remote(_) | Upstream::Nobody => None,
                };
                self.learn_rewind(end);
            }
            Job::CrashRecovery => {}
            Job::Clone { .. } | Job::Reinitialize { .. } | Job::RemoveData => {
                self.memory.rewind = Rewind::Unsuspected;
            }
            Job::StartPrimary { .. } | Job::StartStandby { .. } | Job::Restart { .. } | Job::ChangeUpstream { .. } => {
                self.memory.was_running = matches!(end, JobEnd::Done | JobEnd::StillStarting);
            }
        }
    }
}

fn unwritten(outcome: &WriteOutcome) -> Option<Note> {
    match outcome {
        WriteOutcome::Done => None,
        WriteOutcome::Beaten => Some(Note::info("Synchronous replication key updated by someone else.")),
        WriteOutcome::Unclear(why) | WriteOutcome::Failed(why) => {
            Some(Note::warning(format!("Updating sync state failed: {why}")))
        }
    }
}

/// What keeps a rewind from succeeding is often over a moment later (its source was being restarted); so many times it
/// is tried again before an operator has to look.
const REWINDS: u32 = 3;

impl Agent {
    /// 1. b is rewound from a, and that ends well. Before b is started, c takes the lock and leads another history.
    /// 2. b's data has left c's history. For a rewind from c it would look as if it had changed nothing, and b waited for
    ///    a copy.
    ///
    /// Therefore a rewind counts beside the leader from whom it was.
    fn doubt_rewind(&mut self, cluster: &Cluster) {
        let from_another =
            cluster.leader_name().is_some_and(|leader| self.memory.rewound_from.as_ref() != Some(leader));
        if self.memory.rewind == Rewind::Done && from_another {
            self.memory.rewind = Rewind::Suspected;
        }
    }

    fn learn_rewind(&mut self, end: &JobEnd) {
        self.failed_rewinds = match end {
            JobEnd::Failed(_) => self.failed_rewinds + 1,
            JobEnd::Done => 0,
            JobEnd::NotNow(_)
            | JobEnd::Cancelled
            | JobEnd::StillStarting
            | JobEnd::Stopped(_)
            | JobEnd::PrePromoteRefused => self.failed_rewinds,
        };
        self.memory.rewind = match end {
            JobEnd::Done => Rewind::Done,
            JobEnd::Failed(_) if self.failed_rewinds >= REWINDS => {
                self.failed_rewinds = 0;
                Rewind::Failed
            }
            JobEnd::Failed(_) | JobEnd::NotNow(_) | JobEnd::Cancelled => Rewind::Needed,
            JobEnd::StillStarting | JobEnd::Stopped(_) | JobEnd::PrePromoteRefused => Rewind::Needed,
        };
    }
}
