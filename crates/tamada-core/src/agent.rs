//! The member's brain: events in, effects out, nothing else touched.
//!
//! ```text
//!          Wake                Observed               Gathered                Wrote / Commanded
//! Resting ──────► Observing ────────────► deciding ◄──────────► Gathering
//!    ▲                ▲                      │ Plan
//!    │                └──── look again ──────┤
//!    └───────── Tell, Touch ◄──────── Acting ┘
//! ```
//!
//! One pass at a time. What happens meanwhile only sets `again`; what must not wait (fencing) does not need a pass.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{
    Answers, Cluster, DataDir, Document, Job, JobEnd, Me, Member, Mono, Now, PostgresFacts, Reply, Report, Request,
    Settings, ShutdownPosition, State, Timeline,
};

use crate::decide::decide;
use crate::decision::{Decision, Fact, Leave, Note, Reason, Step};
use crate::lease::HeldLease;
use crate::memory::{Bootstrap, CheckpointAfterPromote, Memory, Rewind};
use crate::plan::{Act, Command, DcsWrite, Plan, Then, WriteOutcome, plan};
use crate::view::{Asked, JobView, Observation, Seen, View};
use crate::{phrase, requests, slots, tell};

pub type JobId = u64;
pub type RequestId = u64;

/// What an agent is born with, and gets anew when the configuration changes.
#[derive(Clone, PartialEq, Debug)]
pub struct Setup {
    pub me: Me,
    pub settings: Settings,
    /// The dynamic configuration in force.
    pub dynamic: Document,
}

/// Something happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A bell rang: look.
    Wake,
    /// The instant of [`Agent::next_wake`] has come.
    Tick,
    Observed {
        /// When the reading of the store began.
        asked_at: Mono,
        cluster: Result<Arc<Cluster>, String>,
        postgres: Arc<PostgresFacts>,
    },
    Gathered(Box<Asked>),
    /// The store write in flight ended.
    Wrote(WriteOutcome),
    /// The command in flight ended.
    Commanded,
    /// The member record was written, or could not be.
    Touched,
    JobProgress {
        id: JobId,
        state: Option<State>,
        shut_down: Option<ShutdownPosition>,
    },
    JobEnded {
        id: JobId,
        end: JobEnd,
    },
    /// The checkpoint after promotion ended; true when pg_control shows the current timeline.
    Checkpointed(bool),
    Request(RequestId, Request),
    Setup(Box<Setup>),
    Shutdown,
}

/// Something to be done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Read the cluster and look at PostgreSQL; answered by [`Event::Observed`].
    Observe {
        within: Duration,
        leader_timeline: Option<Timeline>,
    },
    /// Answered by [`Event::Gathered`].
    Gather(BTreeSet<Fact>),
    /// Answered by [`Event::Wrote`].
    Dcs {
        write: DcsWrite,
        within: Duration,
    },
    /// Answered by [`Event::Commanded`].
    Command(Command),
    /// Answered by [`Event::JobEnded`].
    Start(JobId, Job),
    Cancel(JobId),
    /// SIGQUIT to the postmaster at once, whatever else goes on.
    Fence,
    Reply(RequestId, Reply),
    Log(Note),
    /// The pass's sentence.
    Say(String),
    Tell(Arc<Report>),
    /// Write the member record; answered by [`Event::Touched`].
    Touch {
        record: Box<Member>,
        within: Duration,
    },
    Leave(Leave),
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Resting,
    Observing,
    Gathering,
    Acting(Box<Acting>),
    Touching,
}

#[derive(Debug)]
struct Acting {
    acts: VecDeque<Act>,
    chores: VecDeque<Act>,
    /// The one in flight, and when it was asked for.
    asked_at: Mono,
    flying: Option<Flying>,
    then: Then,
}

#[derive(Clone, PartialEq, Debug)]
enum Flying {
    Write { write: DcsWrite, essential: bool },
    Command,
}

#[derive(Clone, Debug)]
struct Running {
    id: JobId,
    job: Job,
    since: Mono,
    state: Option<State>,
    shut_down: Option<ShutdownPosition>,
    /// Whoever asked for it by REST and waits for the outcome.
    asked_by: Option<RequestId>,
}

#[derive(Debug)]
pub struct Agent {
    setup: Setup,
    memory: Memory,
    stage: Stage,
    seen: Option<Observation>,
    /// When the cluster was last read, on both clocks.
    cluster_seen: Option<(Mono, tamada_model::Wall)>,
    running: Option<Running>,
    next_job: JobId,
    waiting: VecDeque<(RequestId, Request)>,
    /// A pass is to follow at once.
    again: bool,
    last_pass: Option<Mono>,
    /// Not before then, after a failure: the same thing would only fail again.
    not_before: Option<Mono>,
    /// The last decision's reason, for whoever asks why.
    because: Option<Reason>,
    sentence: String,
    fenced: Option<Mono>,
    store_dark_since: Option<Mono>,
}

impl Agent {
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            memory: Memory::default(),
            stage: Stage::Resting,
            seen: None,
            cluster_seen: None,
            running: None,
            next_job: 1,
            waiting: VecDeque::new(),
            again: false,
            last_pass: None,
            not_before: None,
            because: None,
            sentence: String::new(),
            fenced: None,
            store_dark_since: None,
        }
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    pub fn settings(&self) -> &Settings {
        &self.setup.settings
    }

    /// Takes an event in; what is to be done about it comes back, in order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.fence_if_late(now, &mut effects);
        match event {
            Event::Wake => self.again = true,
            Event::Tick => {}
            Event::Observed { asked_at, cluster, postgres } => {
                self.observed(asked_at, cluster, postgres, now, &mut effects)
            }
            Event::Gathered(asked) => self.gathered(*asked, now, &mut effects),
            Event::Wrote(outcome) => self.wrote(outcome, now, &mut effects),
            Event::Commanded => self.commanded(now, &mut effects),
            Event::Touched => self.touched(),
            Event::JobProgress { id, state, shut_down } => self.job_progress(id, state, shut_down),
            Event::JobEnded { id, end } => self.job_ended(id, end, now, &mut effects),
            Event::Checkpointed(done) => {
                let checkpoint = if done { CheckpointAfterPromote::Done } else { CheckpointAfterPromote::Missing };
                if self.memory.checkpoint == CheckpointAfterPromote::Asked {
                    self.memory.checkpoint = checkpoint;
                }
                self.again |= done;
            }
            Event::Request(id, request) => self.waiting.push_back((id, request)),
            Event::Setup(setup) => {
                self.setup = *setup;
                self.again = true;
            }
            Event::Shutdown => {
                self.memory.leaving = true;
                self.again = true;
            }
        }
        self.go_on(now, &mut effects);
        effects
    }

    /// When to be woken at the latest if nothing happens until then.
    pub fn next_wake(&self, now: Now) -> Mono {
        let fence = self.memory.lease.map(|lease| lease.fence_at()).filter(|at| *at > now.mono);
        let pass = match (self.is_resting(), self.not_before) {
            // The pass under way ends by an event.
            (false, _) => now.mono + Duration::from_secs(60),
            (true, Some(not_before)) => self.next_pass(now).max(not_before),
            (true, None) => self.next_pass(now),
        };
        fence.map_or(pass, |fence| pass.min(fence))
    }

    fn next_pass(&self, now: Now) -> Mono {
        let Some(last) = self.last_pass.filter(|_| !self.again) else {
            return now.mono;
        };
        let mut wake = last + self.pace();
        if let Some(lease) = self.memory.lease {
            let dues = [lease.renew_at(), lease.give_up_at(self.setup.settings.retry_timeout), lease.ends_at()];
            wake = dues.into_iter().filter(|due| *due > last).fold(wake, Mono::min);
        }
        if let Some(at) = self.memory.step_down.as_ref().and_then(|step_down| step_down.released_at) {
            wake = wake.min(at + crate::decide::SUCCESSOR_PATIENCE);
        }
        if let Some(seconds) = self.seconds_to_next_schedule(now) {
            wake = wake.min(now.mono + Duration::from_secs_f64(seconds.max(0.0)));
        }
        wake
    }

    pub fn is_resting(&self) -> bool {
        match self.stage {
            Stage::Resting => true,
            Stage::Observing | Stage::Gathering | Stage::Acting(_) | Stage::Touching => false,
        }
    }

    /// How soon the next pass comes if nothing is heard: `loop_wait`, or less while something is in motion.
    fn pace(&self) -> Duration {
        let loop_wait = self.setup.settings.loop_wait;
        let moving = match &self.because {
            None => Duration::from_millis(100),
            Some(Reason::NotHealthiest { because: crate::Unfit::BehindPublishedPosition { .. }, .. }) => {
                Duration::from_millis(50)
            }
            Some(Reason::StillStarting { .. } | Reason::PromotionUnderWay | Reason::RecoveryAfterBootstrap) => {
                Duration::from_millis(200)
            }
            Some(
                Reason::StoreDark { .. }
                | Reason::StoreDarkAndLeading { .. }
                | Reason::NotHealthiest { .. }
                | Reason::RaceBackoff { .. }
                | Reason::WaitingForSuccessor
                | Reason::WaitingForLeadersCheckpoint { .. }
                | Reason::WaitingForLeaderToBootstrap { .. }
                | Reason::StartTimedOutButAlone
                | Reason::DivergenceUnclear { .. },
            ) => Duration::from_secs(1),
            Some(_) => loop_wait,
        };
        moving.min(loop_wait)
    }

    fn seconds_to_next_schedule(&self, now: Now) -> Option<f64> {
        if self.setup.settings.pause {
            return None;
        }
        let failover = self.cluster().and_then(|cluster| cluster.failover.as_ref());
        let switchover = failover.and_then(|request| request.value.scheduled_at.as_ref()).and_then(|at| at.at);
        let restart = self.memory.scheduled_restart.as_ref().and_then(|plan| plan.schedule.at);
        [switchover, restart]
            .into_iter()
            .flatten()
            .map(|at| at.seconds_from(now.wall))
            .filter(|left| *left > 0.0)
            .reduce(f64::min)
    }

    fn cluster(&self) -> Option<&Arc<Cluster>> {
        match &self.seen.as_ref()?.cluster {
            Seen::Fresh { fact, .. } => Some(fact),
            Seen::Dark { .. } => None,
        }
    }

    /// The last line of defence that this process has: PostgreSQL still writable and the lease about to end.
    fn fence_if_late(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(lease) = self.memory.lease else {
            return;
        };
        let late = now.mono >= lease.fence_at() && self.fenced != Some(lease.asked_at);
        let released = self.memory.step_down.as_ref().is_some_and(|step_down| step_down.released_at.is_some());
        if !late || released || self.setup.settings.pause || !self.may_be_writable() {
            return;
        }
        self.fenced = Some(lease.asked_at);
        effects.push(Effect::Log(Note::error(
            "The lease ends and could not be renewed in time: stopping PostgreSQL immediately",
        )));
        effects.push(Effect::Fence);
        self.again = true;
    }

    fn may_be_writable(&self) -> bool {
        let promoting = self.running.as_ref().is_some_and(|running| match running.job {
            Job::Promote { .. } | Job::StartPrimary { .. } => true,
            Job::Bootstrap
            | Job::PostBootstrap
            | Job::Clone { .. }
            | Job::Reinitialize { .. }
            | Job::StartStandby { .. }
            | Job::ChangeUpstream { .. }
            | Job::Restart { .. }
            | Job::CrashRecovery
            | Job::Rewind { .. }
            | Job::Stop(_)
            | Job::AbandonBootstrap
            | Job::RemoveData => false,
        });
        promoting
            || self.seen.as_ref().is_some_and(|seen| match &seen.postgres.answers {
                Answers::Live(live) => live.is_primary(),
                Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => seen.postgres.role.is_primary(),
            })
    }

    /// Begins a pass if one is wanted and none is under way; serves waiting requests between passes.
    fn go_on(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.is_resting() {
            return;
        }
        self.serve_requests(now, effects);
        let held_off = self.not_before.is_some_and(|not_before| now.mono < not_before) && !self.memory.leaving;
        if held_off || now.mono < self.next_pass(now) {
            return;
        }
        self.again = false;
        self.not_before = None;
        self.last_pass = Some(now.mono);
        self.observe(now, effects);
    }

    fn observe(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.stage = Stage::Observing;
        let within = self.patience(now, self.setup.settings.retry_timeout);
        effects.push(Effect::Observe { within, leader_timeline: self.memory.leader_timeline });
    }

    /// At most `wish`, and never past the moment at which a leader would have to give up.
    fn patience(&self, now: Now, wish: Duration) -> Duration {
        let least = Duration::from_millis(100);
        match self.memory.lease {
            Some(lease) if now.mono < lease.ends_at() => {
                let left = now.mono.until(lease.give_up_at(self.setup.settings.retry_timeout));
                wish.min(left.max(least))
            }
            Some(_) | None => wish,
        }
    }

    fn view<'a>(&'a self, seen: &'a Observation, now: Now) -> View<'a> {
        View {
            me: &self.setup.me,
            settings: &self.setup.settings,
            dynamic: &self.setup.dynamic,
            seen,
            memory: &self.memory,
            now,
        }
    }

    fn job_view(&self) -> JobView {
        match &self.running {
            None => JobView::Idle,
            Some(running) => JobView::Running {
                job: running.job.clone(),
                since: running.since,
                state: running.state,
                shut_down: running.shut_down,
            },
        }
    }

    fn observed(
        &mut self,
        asked_at: Mono,
        cluster: Result<Arc<Cluster>, String>,
        postgres: Arc<PostgresFacts>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let cluster = match cluster {
            Ok(fact) => {
                self.cluster_seen = Some((asked_at, now.wall));
                self.store_dark_since = None;
                self.learn_cluster(&fact);
                Seen::Fresh { at: asked_at, fact }
            }
            Err(because) => {
                let since = *self.store_dark_since.get_or_insert(asked_at);
                Seen::Dark { since, because }
            }
        };
        self.learn_postgres(&postgres, now);
        let seen = Observation { cluster, postgres, job: self.job_view(), asked: Asked::default() };
        self.seen = Some(seen);
        self.decide_and_act(now, effects);
    }

    /// 9.2: what a fresh reading of the store changes in memory before anything is decided.
    fn learn_cluster(&mut self, cluster: &Arc<Cluster>) {
        let me = &self.setup.me.name;
        if cluster.leader_name() != Some(me) {
            self.memory.lease = None;
        }
        if !cluster.is_unlocked() {
            self.memory.race_opened = None;
            self.memory.yielding_until = None;
        }
        if !cluster.is_unlocked() || self.memory.cluster_with_leader.is_none() {
            self.memory.cluster_with_leader = Some(cluster.clone());
        }
        if cluster.leader_name().is_some() {
            self.memory.last_leader = cluster.leader_name().cloned();
        }
        self.memory.leader_timeline = cluster.leader_member().and_then(|leader| leader.timeline);
        if self.setup.settings.pause {
            self.memory.was_paused = true;
        } else if self.memory.was_paused {
            self.memory.was_paused = false;
            self.memory.rewind = Rewind::Unsuspected;
        }
    }

    fn learn_postgres(&mut self, postgres: &PostgresFacts, now: Now) {
        let runs = postgres.process.is_running();
        if runs && self.running.is_none() {
            if postgres.answers.live().is_some() {
                self.memory.recovering = false;
                self.memory.starting_since = None;
                self.memory.start_timeout = None;
                self.memory.crash_recovery_tried = false;
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
        self.memory.previous_wal = self.memory.wal;
        if let Some(live) = postgres.answers.live() {
            self.memory.wal = Some(live.wal_position());
        }
    }

    fn gathered(&mut self, asked: Asked, now: Now, effects: &mut Vec<Effect>) {
        let Some(seen) = &mut self.seen else {
            return;
        };
        let own = std::mem::take(&mut seen.asked);
        seen.asked = Asked {
            peers: asked.peers.or(own.peers),
            recovery_match: asked.recovery_match.or(own.recovery_match),
            divergence: asked.divergence.or(own.divergence),
            history_file: asked.history_file.or(own.history_file),
            renewal: own.renewal,
        };
        self.decide_and_act(now, effects);
    }

    fn decide_and_act(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(mut seen) = self.seen.take() else {
            return;
        };
        // A job may have moved on while facts were gathered; deciding on its former state would be deciding on the past.
        seen.job = self.job_view();
        let step = decide(&self.view(&seen, now));
        match step {
            Step::Ask(facts) => {
                self.stage = Stage::Gathering;
                effects.push(Effect::Gather(facts));
                self.seen = Some(seen);
            }
            Step::Do(decision) => {
                let plan = plan(&decision, &self.view(&seen, now));
                self.seen = Some(seen);
                self.begin(decision, plan, now, effects);
            }
        }
    }

    fn begin(&mut self, decision: Decision, plan: Plan, now: Now, effects: &mut Vec<Effect>) {
        for mark in &plan.marks {
            self.memory.apply(mark, now);
        }
        effects.extend(plan.notes.into_iter().map(Effect::Log));
        // A first write that fails makes the sentence untrue; it is then spoken by whatever is decided next.
        let waits = plan.acts.first().is_some_and(|act| match act {
            Act::Dcs(_) => true,
            Act::Command(_) | Act::Start(_) | Act::Cancel | Act::Fence | Act::Leave(_) => false,
        });
        if let Some(sentence) = plan.sentence {
            self.sentence = sentence.clone();
            if !waits {
                effects.push(Effect::Say(sentence));
            }
        }
        self.because = Some(decision.because);
        self.stage = Stage::Acting(Box::new(Acting {
            acts: plan.acts.into(),
            chores: plan.chores.into(),
            asked_at: now.mono,
            flying: None,
            then: plan.then,
        }));
        self.act(now, effects);
    }

    /// Does acts until one has to be awaited, or none is left.
    fn act(&mut self, now: Now, effects: &mut Vec<Effect>) {
        loop {
            let Stage::Acting(acting) = &mut self.stage else {
                return;
            };
            let (act, essential) = match acting.acts.pop_front() {
                Some(act) => (act, true),
                None => match acting.chores.pop_front() {
                    Some(act) => (act, false),
                    None => return self.finish(now, effects),
                },
            };
            match act {
                Act::Dcs(write) => {
                    acting.asked_at = now.mono;
                    acting.flying = Some(Flying::Write { write: write.clone(), essential });
                    let within = self.patience(now, self.setup.settings.retry_timeout);
                    effects.push(Effect::Dcs { write, within });
                    return;
                }
                Act::Command(command) => {
                    acting.flying = Some(Flying::Command);
                    effects.push(Effect::Command(command));
                    return;
                }
                Act::Start(job) => self.start(job, None, now, effects),
                Act::Cancel => effects.extend(self.running.as_ref().map(|running| Effect::Cancel(running.id))),
                Act::Fence => effects.push(Effect::Fence),
                Act::Leave(how) => effects.push(Effect::Leave(how)),
            }
        }
    }

    fn start(&mut self, job: Job, asked_by: Option<RequestId>, now: Now, effects: &mut Vec<Effect>) {
        assert!(self.running.is_none(), "one long action at a time");
        let id = self.next_job;
        self.next_job += 1;
        if job == Job::Bootstrap {
            self.memory.bootstrap = Some(Bootstrap::Creating);
        }
        let running = Running { id, job: job.clone(), since: now.mono, state: None, shut_down: None, asked_by };
        self.running = Some(running);
        effects.push(Effect::Start(id, job));
    }

    fn commanded(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Stage::Acting(acting) = &mut self.stage {
            acting.flying = None;
        }
        self.act(now, effects);
    }

    fn wrote(&mut self, outcome: WriteOutcome, now: Now, effects: &mut Vec<Effect>) {
        let Stage::Acting(acting) = &mut self.stage else {
            return;
        };
        let asked_at = acting.asked_at;
        let Some(Flying::Write { write, essential }) = acting.flying.take() else {
            return;
        };
        if outcome != WriteOutcome::Done && essential {
            acting.acts.clear();
        }
        self.learn_write(&write, &outcome, asked_at, now, effects);
        let Stage::Acting(acting) = &self.stage else {
            return;
        };
        if acting.then == Then::DecideAgain && acting.acts.is_empty() {
            self.decide_and_act(now, effects);
        } else {
            self.act(now, effects);
        }
    }

    /// What an answer of the store, or its absence, changes in memory.
    fn learn_write(
        &mut self,
        write: &DcsWrite,
        outcome: &WriteOutcome,
        asked_at: Mono,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let done = *outcome == WriteOutcome::Done;
        let lease = done.then_some(HeldLease { asked_at, ttl: self.setup.settings.ttl });
        match write {
            DcsWrite::Acquire => {
                self.memory.lease = lease;
                self.memory.won_race = done;
                self.memory.lost_race = !done;
                if done {
                    self.restart_retention(now);
                } else {
                    effects.push(Effect::Log(Note::info("Could not take out TTL lock")));
                }
            }
            DcsWrite::Renew { .. } => self.learn_renewal(outcome, lease, now),
            DcsWrite::Take => {
                self.memory.lease = lease;
                if done {
                    self.memory.bootstrap = None;
                    self.memory.was_running = true;
                    effects.push(Effect::Say(self.sentence.clone()));
                }
            }
            DcsWrite::Release { .. } => self.learn_release(now, effects),
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
        }
        if !done && *write != DcsWrite::Acquire {
            self.pause_after_failure(now);
        }
    }

    fn learn_renewal(&mut self, outcome: &WriteOutcome, lease: Option<HeldLease>, now: Now) {
        match outcome {
            WriteOutcome::Done => {
                self.memory.lease = lease;
                self.keep_retained(now);
            }
            WriteOutcome::Beaten => self.memory.lease = None,
            // Extends nothing; what we hold runs on to its own end.
            WriteOutcome::Unclear(_) | WriteOutcome::Failed(_) => {}
        }
        if let Some(seen) = &mut self.seen {
            seen.asked.renewal = Some(outcome.clone());
        }
    }

    /// Whatever the store answered: we asked to be rid of the key, and act as if we were.
    fn learn_release(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.memory.lease = None;
        self.memory.won_race = false;
        if let Some(step_down) = &mut self.memory.step_down {
            step_down.released_at = Some(now.mono);
        }
        effects.push(Effect::Log(Note::info("Leader key released")));
        let spoken = self.because.as_ref().and_then(|because| phrase::sentence(because, self.setup.me.name.as_str()));
        effects.extend(spoken.map(Effect::Say));
    }

    fn pause_after_failure(&mut self, now: Now) {
        let pause = Duration::from_millis(300).min(self.setup.settings.loop_wait);
        self.not_before = Some(now.mono + pause);
    }

    /// 9.7: after taking the lock, absent members' slots are kept for their full time again.
    fn restart_retention(&mut self, now: Now) {
        let names = self.cluster().map(|cluster| cluster.status.retain_slots.clone()).unwrap_or_default();
        self.memory.retained_slots = names.into_iter().map(|name| (name, now.mono)).collect();
    }

    fn keep_retained(&mut self, now: Now) {
        let Some(seen) = self.seen.take() else {
            return;
        };
        if let Seen::Fresh { fact, .. } = &seen.cluster {
            for slot in slots::streaming_slots(&self.view(&seen, now), fact) {
                self.memory.retained_slots.insert(slot, now.mono);
            }
        }
        let ttl = self.setup.settings.member_slots_ttl;
        self.memory.retained_slots.retain(|_, at| now.mono.since(*at) < ttl);
        self.seen = Some(seen);
    }

    /// The end of a pass: look again, or tell the world and rest.
    fn finish(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Stage::Acting(acting) = std::mem::take(&mut self.stage) else {
            return;
        };
        if acting.then == Then::LookAgain {
            self.again = true;
        }
        effects.push(Effect::Tell(Arc::new(self.report(now))));
        let dark = self.cluster().is_none();
        let unnamed = self.memory.join_aborted;
        if dark || unnamed {
            return;
        }
        if let Some(record) = self.member_record() {
            self.stage = Stage::Touching;
            let within = self.patience(now, self.setup.settings.retry_timeout.min(Duration::from_secs(2)));
            effects.push(Effect::Touch { record: Box::new(record), within });
        }
    }

    fn touched(&mut self) {
        self.stage = Stage::Resting;
    }

    fn job_progress(&mut self, id: JobId, state: Option<State>, shut_down: Option<ShutdownPosition>) {
        if let Some(running) = self.running.as_mut().filter(|running| running.id == id) {
            running.state = state.or(running.state);
            running.shut_down = shut_down.or(running.shut_down);
            self.again = true;
        }
    }

    fn job_ended(&mut self, id: JobId, end: JobEnd, now: Now, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.take_if(|running| running.id == id) else {
            return;
        };
        if let Some(asked_by) = running.asked_by {
            effects.push(Effect::Reply(asked_by, requests::restart_reply(&end)));
        }
        self.memory.was_running = false;
        self.again = true;
        match &end {
            JobEnd::Failed(why) => {
                effects.push(Effect::Log(Note::error(format!("{} failed: {why}", running.job.text()))));
                self.hold_off(now);
            }
            JobEnd::NotNow(why) => {
                effects.push(Effect::Log(Note::info(why.clone())));
                self.hold_off(now);
            }
            JobEnd::Done
            | JobEnd::StillStarting
            | JobEnd::Stopped(_)
            | JobEnd::PrePromoteRefused
            | JobEnd::Cancelled => {}
        }
        self.learn_job_end(&running.job, &end, effects);
    }

    /// A failure is not repeated at once, whatever rings.
    fn hold_off(&mut self, now: Now) {
        self.not_before = Some(now.mono + Duration::from_secs(1).min(self.setup.settings.loop_wait));
    }

    fn learn_job_end(&mut self, job: &Job, end: &JobEnd, effects: &mut Vec<Effect>) {
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
                effects.push(Effect::Leave(Leave::Refusing));
            }
            Job::Stop(_) => {
                if let (Some(step_down), JobEnd::Stopped(position)) = (&mut self.memory.step_down, end) {
                    step_down.stopped = Some(*position);
                    if step_down.mode == crate::memory::StepDownMode::Offline {
                        self.memory.restart_in_the_dark = true;
                    }
                }
            }
            Job::Promote { .. } => self.memory.pre_promote_refused = *end == JobEnd::PrePromoteRefused,
            Job::Rewind { .. } => self.memory.rewind = after_rewind(end),
            Job::CrashRecovery => {}
            Job::Clone { .. } | Job::Reinitialize { .. } | Job::RemoveData => {
                self.memory.rewind = Rewind::Unsuspected;
            }
            Job::StartPrimary { .. } | Job::StartStandby { .. } | Job::Restart { .. } | Job::ChangeUpstream { .. } => {
                self.memory.was_running = matches!(end, JobEnd::Done | JobEnd::StillStarting);
            }
        }
    }

    fn serve_requests(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((id, request)) = self.waiting.pop_front() {
            let Some(seen) = self.seen.take() else {
                effects.push(Effect::Reply(id, Reply::text(503, "not ready: the cluster has not been seen yet")));
                continue;
            };
            let busy = self.running.as_ref().map(|running| running.job.text());
            let answer = requests::serve(&self.view(&seen, now), &request, busy.as_deref());
            self.seen = Some(seen);
            match answer {
                requests::Answer::Reply(reply) => effects.push(Effect::Reply(id, reply)),
                requests::Answer::Note(reply, note) => {
                    effects.push(Effect::Log(note));
                    effects.push(Effect::Reply(id, reply));
                }
                requests::Answer::Plan(plan) => {
                    self.memory.scheduled_restart = plan;
                    self.again = true;
                    let text = if self.memory.scheduled_restart.is_some() {
                        (202, "Restart scheduled")
                    } else {
                        (200, "scheduled restart deleted")
                    };
                    effects.push(Effect::Reply(id, Reply::text(text.0, text.1)));
                }
                requests::Answer::Restart(job) => {
                    self.memory.recovering = true;
                    self.start(job, Some(id), now, effects);
                    self.again = true;
                }
                requests::Answer::Reinitialize(job) => {
                    self.memory.rewind = Rewind::Unsuspected;
                    self.start(job, None, now, effects);
                    effects.push(Effect::Reply(id, Reply::text(200, "reinitialize started")));
                    self.again = true;
                }
                requests::Answer::CancelFirst => {
                    effects.extend(self.running.as_ref().map(|running| Effect::Cancel(running.id)));
                    self.waiting.push_front((id, request));
                    return;
                }
            }
        }
    }

    /// What this member tells about itself.
    pub fn report(&self, now: Now) -> Report {
        tell::report(&tell::Told {
            setup: &self.setup,
            memory: &self.memory,
            seen: self.seen.as_ref(),
            cluster_seen: self.cluster_seen,
            job: self.job_view(),
            because: self.because.as_ref(),
            sentence: &self.sentence,
            next_pass: now.mono + self.pace(),
        })
    }

    fn member_record(&self) -> Option<Member> {
        let seen = self.seen.as_ref()?;
        Some(tell::member(&self.setup, &self.memory, seen, &self.job_view()))
    }

    /// What is left to tell when the process goes: the record with the stopped state (21.5).
    pub fn farewell(&self) -> Option<Member> {
        self.member_record()
    }

    /// Whether PostgreSQL has data that a start may be tried on; for the simulator's and tests' eyes.
    pub fn has_data(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| match seen.postgres.data {
            DataDir::Present(_) => true,
            DataDir::Empty | DataDir::Unreadable(_) => false,
        })
    }
}

fn after_rewind(end: &JobEnd) -> Rewind {
    match end {
        JobEnd::Done => Rewind::Done,
        JobEnd::Failed(_) => Rewind::Failed,
        JobEnd::NotNow(_) | JobEnd::Cancelled => Rewind::Needed,
        JobEnd::StillStarting | JobEnd::Stopped(_) | JobEnd::PrePromoteRefused => Rewind::Needed,
    }
}
